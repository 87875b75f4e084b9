// A guard program: the guards and inputs of one entry as flat arrays (see docs/native_guards.md).
//
// Every access path is a node with a value. A node is a *member* of an anchor if its value cannot change unless a
// dictionary's version, a type's version or another stamped word of memory changes (see binding.h). The anchor is the
// instance, type or globals dictionary at which such paths start. All other nodes are read at every call.
//
// Knows nothing of entries, caches or argument binding.
#pragma once

#include <memory>
#include <vector>

#include "access.h"
#include "binding.h"
#include "common.h"
#include "expression.h"
#include "state.h"
#include "tensors.h"

namespace bytegraph {

// What is asked of the value of one node. `add_row` in compile.cpp says which of these a row of CHECKS becomes.
enum class Test : uint8_t { type, same_object, equal, tensor, length, keys, absent, present, set_items, set_order, empty };

// Attributes of functions, methods and classes, which captures read most; they are read without the descriptor protocol.
enum class Field : uint8_t { other, code, defaults, keyword_defaults, self, function, name };

constexpr uint32_t none = UINT32_MAX;
constexpr uint32_t call_scope = 0;    // values read at every call
constexpr uint32_t static_scope = 1;  // members whose paths start at objects and imported modules

// The word in which a plain class, whose metaclass is `type`, keeps its name; null for any other object.
inline PyObject** name_of_class(PyObject* base) {
  bool is_plain = Py_IS_TYPE(base, &PyType_Type) && (reinterpret_cast<PyTypeObject*>(base)->tp_flags & Py_TPFLAGS_HEAPTYPE);
  return is_plain ? &reinterpret_cast<PyHeapTypeObject*>(base)->ht_name : nullptr;
}

struct NodeTest {
  Test test;
  uint32_t next = none;           // the next test of the same node
  PyObject* expected = nullptr;   // borrowed from the guard's row; the object itself for `type`, `same_object`
  PyObject* reference = nullptr;  // weak reference to `expected`, if it is held weakly
  TensorCheck* tensor = nullptr;
};

struct Node {
  Access access;
  Field field = Field::other;  // `getattr`
  bool member = false;       // its value is kept in a binding, not read at every call
  bool sized = false;        // has a test or a child that depends on the container's version
  bool typed = false;        // its type matters
  bool reads_dict = false;   // has a child `dict`
  bool reads_class = false;  // has a child `class_attribute`
  bool ordered = false;      // the order of its keys matters
  bool is_hook_table = false;
  bool is_known = false;     // tested to be one object, which the guard holds, weakly or not, or to equal a literal
  bool is_tensor = false;
  uint32_t base = none;
  uint32_t other = none;     // `item_of`: the node that gives the key
  uint32_t first_test = none, last_test = none;
  uint32_t first_child = none, last_child = none, next_sibling = none;
  uint32_t scope = call_scope, slot = 0;
  uint32_t anchor = none;    // the scope whose anchor this node is
  PyObject* key = nullptr;   // borrowed from the source
  mutable uint32_t slot_version = 0;  // `getattr`: while the base's type has this version tag (0: none), the
  mutable Py_ssize_t slot_offset = 0;  // attribute is the object at this offset in it
  Py_ssize_t index = 0;
};

struct Place {
  uint32_t scope, slot;
};

struct Comparison {
  uint32_t left, right;
  bool same;
};

struct Condition {
  Expression program;
  std::vector<uint32_t> nodes;
};

// Of these tensors, the first `written` are written to: whether one of those shares memory with another of them.
struct Aliasing {
  std::vector<uint32_t> nodes;
  size_t written;
  bool overlapping;
};

// What a program lets go of: the value of a node or, with a key, what the dictionary there holds under it, if anything.
struct LetGo {
  uint32_t node;
  PyObject* key;  // may be null
};

struct Call {
  PyObject* function;
  PyObject* const* locals;
};

class Evaluation;

class GuardProgram {
 public:
  // `rows` and `inputs` are sequences of guards and sources; `parameters` the names of the locals, in order.
  // Null with a Python error if a row or a source is malformed.
  static std::unique_ptr<GuardProgram> make(PyObject* rows, PyObject* inputs, PyObject* parameters);

  // Whether all guards hold; if so, `arguments[i]` is the value of the i-th input: borrowed, and
  // alive at least as long as the model is unchanged and `owned` exists.
  Verdict run(const Call& call, PyObject** arguments, std::vector<Object>& owned);

  size_t input_count() const { return input_places_.size(); }
  size_t binding_count() const;
  size_t full_reads() const { return full_reads_; }
  bool is_dead() const;  // an object at which a path starts, or which a test expects, is gone

  int traverse(visitproc visit, void* arg) const;

 private:
  friend class Compiler;
  friend class Evaluation;

  struct Step {
    uint32_t node;   // to read, or `none`
    uint32_t scope;  // to bind once the node is read, or `none`
  };

  Verdict run_steps(Evaluation& evaluation);
  Verdict bind(Evaluation& evaluation, uint32_t scope, PyObject* root);
  Verdict build(Evaluation& evaluation, const Anchor& anchor, Binding& binding);
  void stamp(Binding& binding, uint32_t index, PyObject* value);
  void stamp_known(Evaluation& evaluation, Binding& binding, uint32_t index);
  void stamp_content(Binding& binding, uint32_t index, PyObject* value);
  bool verify(Evaluation& evaluation, Binding& binding);
  bool stamps_hold(Evaluation& evaluation, Binding& binding, Stamps& stamps, bool watches_again);
  bool repair(Evaluation& evaluation, Binding& binding, uint32_t owner);
  bool still_so(Evaluation& evaluation, const Node& node, PyObject* value);
  bool replace_leaf(Evaluation& evaluation, Binding& binding, uint32_t index, PyObject* value);
  Verdict tests_hold(const Node& node, PyObject* value, bool tensors) const;
  Verdict comparisons_hold(Evaluation& evaluation);
  bool aliasing_holds(Evaluation& evaluation, const Aliasing& aliasing) const;
  bool ends_unseen(Evaluation& evaluation, const LetGo& place) const;

  Object rows_, inputs_;  // keep alive everything the nodes and tests borrow
  std::vector<Node> nodes_;
  std::vector<NodeTest> tests_;
  std::vector<Step> steps_;
  std::vector<Anchor> anchors_;  // by scope; the first is unused
  std::vector<Place> input_places_;
  std::vector<Comparison> comparisons_;
  std::vector<Condition> conditions_;
  std::vector<Aliasing> aliasings_;
  std::vector<LetGo> let_go_;
  std::vector<std::unique_ptr<TensorCheck>> tensor_checks_;
  std::vector<std::unique_ptr<StateCheck>> states_;
  bool checks_global_hooks_ = false;
  uint32_t call_values_ = 0;
  uint32_t running_ = 0;
  size_t full_reads_ = 0;
};

}  // namespace bytegraph
