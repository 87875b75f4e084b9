// Bindings: what one root object (say, one model) looked like when all guards below it held.
//
// A stamp is a word of memory and what it must still contain for a fact to hold without looking: a
// dictionary's version, an object's type, a type's version, a list's length. Stamps are in the order
// in which the objects were reached, so that a word is only read once those before it proved that the
// object it lies in is still alive. Bindings own nothing of the user's. Where CPython tells of changes of dictionaries
// (see watching.h), stamps in those are compared only after one has changed.
//
// Strict aliasing: a stamped word is a pointer, a size or a version in one of CPython's structs, so that reading it
// through a `uint64_t*` would be undefined. `load_word` copies its bytes instead, which is always defined and compiles
// to the same single load. Nothing in the extensions reads memory as another type than it was written as in any other
// way, so they are compiled with the compiler's default, -fstrict-aliasing.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "common.h"
#include "tensors.h"
#include "watching.h"

namespace bytegraph {

inline uint64_t load_word(const void* address) {
  uint64_t word;
  std::memcpy(&word, address, sizeof word);
  return word;
}

struct Stamp {
  const void* address;
  uint64_t expected;
};

struct Stamps {
  std::vector<Stamp> words;
  std::vector<uint32_t> owners;         // for each stamp the node that `repair` can read again, or `none`
  std::vector<PyObject*> dictionaries;  // for each stamp the watched dictionary that it lies in, if any; borrowed

  void add(const void* address, uint64_t expected, uint32_t owner, PyObject* dictionary) {
    words.push_back({address, expected});
    owners.push_back(owner);
    dictionaries.push_back(dictionary);
  }
};

struct Binding {
  PyObject* root = nullptr;  // borrowed; only ever compared
  Stamps stamps;
  Watch watch;    // of the dictionaries in which stamps lie
  Stamps untold;  // the stamps whose changes it is not told of: all that is compared while the watch is clean
  std::vector<TensorRecord> tensors;
  std::vector<PyObject*> values;  // by slot, borrowed
};

// The node from which members are reached, and a binding for each root that was seen there.
class Anchor {
 public:
  uint32_t node;                  // `none` for the static scope
  std::vector<uint32_t> members;  // every node after its base

  Binding* find(PyObject* root);
  Binding* install(std::unique_ptr<Binding> binding);
  size_t size() const { return bindings_.size(); }

 private:
  static constexpr size_t most_bindings = 128;

  std::vector<PyObject*> roots_;
  std::vector<std::unique_ptr<Binding>> bindings_;
  size_t last_ = 0, oldest_ = 0;
};

}  // namespace bytegraph
