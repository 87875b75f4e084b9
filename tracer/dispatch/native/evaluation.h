// One evaluation of a guard program on a call: it knows where the value of every node is.
#pragma once

#include "guard_program.h"
#include "small_array.h"

namespace bytegraph {

class Evaluation {
 public:
  Evaluation(const GuardProgram& program, const Call& call, std::vector<Object>& owned, bool nested)
      : nodes(program.nodes_.data()),
        call(call),
        owned(owned),
        nested(nested),
        values_(program.call_values_),
        scopes_(program.anchors_.size()) {
    scopes_[call_scope] = values_.data();
  }
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;

  PyObject*& value(uint32_t index) { return value(nodes[index]); }
  PyObject*& value(const Node& node) { return scopes_[node.scope][node.slot]; }
  PyObject* value(const Place& place) { return scopes_[place.scope][place.slot]; }
  void enter(uint32_t scope, Binding& binding) { scopes_[scope] = binding.values.data(); }

  // The value of `node`, borrowed or added to `owned`. Null, with or without a Python error, if it cannot be read.
  PyObject* read(const Node& node);

  PyObject* keep(PyObject* created) {
    if (owned.empty()) owned.reserve(16);
    if (created) owned.emplace_back(created);
    return created;
  }

  const Node* nodes;
  const Call& call;
  std::vector<Object>& owned;
  const bool nested;  // this program is already running further up the stack
  std::vector<std::unique_ptr<Binding>> temporaries;

 private:
  SmallArray<PyObject*, 64> values_;
  SmallArray<PyObject**, 16> scopes_;
};

// The dict of an instance, borrowed; made if there is none yet, as a program that is given it may write to it. Null for
// a type and for an instance that has none, with a Python error if it cannot be made.
PyObject* instance_dict(PyObject* base);

// The number of items that `value` stores, whatever a subclass says; -1 if it is no container.
Py_ssize_t stored_length(PyObject* value);

// The keys of an ordered dictionary, which keeps an order of its own, as a new list.
Object ordered_keys(PyObject* dictionary);

}  // namespace bytegraph
