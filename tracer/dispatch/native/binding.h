// Bindings: what one root object (say, one model) looked like when all guards below it held.
//
// A stamp is a word of memory and what it must still contain for a fact to hold without looking: a
// dictionary's version, an object's type, a type's version, a list's length. Stamps are in the order
// in which the objects were reached, so that a word is only read once those before it proved that the
// object it lies in is still alive. Bindings own nothing of the user's.
#pragma once

#include <memory>
#include <vector>

#include "common.h"
#include "tensors.h"

namespace bytegraph {

struct Stamp {
  const uint64_t* address;
  uint64_t expected;
};

struct Binding {
  PyObject* root = nullptr;  // borrowed; only ever compared
  std::vector<Stamp> stamps;
  std::vector<uint32_t> owners;  // for each stamp the node that can be looked at again, or `none`
  std::vector<TensorRecord> tensors;
  std::vector<PyObject*> values;  // by slot, borrowed
};

// Where members hang from, and the bindings of the roots seen there.
class Anchor {
 public:
  uint32_t node;                  // `none` for the static scope
  std::vector<uint32_t> members;  // in an order in which bases come first

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
