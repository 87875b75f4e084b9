// One run of a guard program: where every node's value is while it lasts.
#pragma once

#include "guard_program.h"

namespace bytegraph {

class Frame {
 public:
  Frame(const GuardProgram& program, const Call& call, std::vector<Object>& owned, bool nested)
      : nodes(program.nodes_.data()), call(call), owned(owned), nested(nested) {
    values_ = program.call_values_ <= inline_values ? small_values_ : new PyObject*[program.call_values_];
    size_t scopes = program.anchors_.size();
    scopes_ = scopes <= inline_scopes ? small_scopes_ : new PyObject**[scopes];
    scopes_[call_scope] = values_;
  }
  ~Frame() {
    if (values_ != small_values_) delete[] values_;
    if (scopes_ != small_scopes_) delete[] scopes_;
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  PyObject*& value(uint32_t index) { return value(nodes[index]); }
  PyObject*& value(const Node& node) { return scopes_[node.scope][node.slot]; }
  PyObject* value(const Place& place) { return scopes_[place.scope][place.slot]; }
  void enter(uint32_t scope, Binding& binding) { scopes_[scope] = binding.values.data(); }

  // The value `node` leads to, borrowed or added to `owned`; null, with or without a Python error, if nowhere.
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
  static constexpr size_t inline_values = 64, inline_scopes = 16;

  PyObject** values_;
  PyObject*** scopes_;
  PyObject* small_values_[inline_values];
  PyObject** small_scopes_[inline_scopes];
};

// How many items `value` stores, whatever a subclass says; -1 if it is no container.
Py_ssize_t stored_length(PyObject* value);

// The keys of a dictionary in their order, as a new list: for ordered dictionaries, which keep their own.
Object ordered_keys(PyObject* dictionary);

}  // namespace bytegraph
