// Evaluating a guard program on one call.
#include "guard_program.h"

#include <cmath>

#include "evaluation.h"
#include "lifetimes.h"

namespace bytegraph {
namespace {

// The tables of hooks for all modules. The import of torch.nn creates them, and nothing replaces them.
bool no_global_hooks() {
  static const std::vector<PyObject*> tables = [] {
    std::vector<PyObject*> found;
    Object module(PyImport_ImportModule("torch.nn.modules.module"));
    for (const char* name : {"_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks",
                             "_global_backward_pre_hooks"}) {
      PyObject* table = module ? PyObject_GetAttrString(module.get(), name) : nullptr;
      if (table && PyDict_Check(table)) found.push_back(table);
    }
    PyErr_Clear();
    return found;
  }();
  for (PyObject* table : tables) {
    if (PyDict_GET_SIZE(table)) return false;
  }
  return tables.size() == 4;
}

class Running {
 public:
  explicit Running(uint32_t& depth) : depth_(depth) { ++depth_; }
  ~Running() { --depth_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  uint32_t& depth_;
};

}  // namespace

Verdict GuardProgram::run(const Call& call, PyObject** arguments, std::vector<Object>& owned) {
  for (const auto& state : states_) {
    if (!state->holds()) return Verdict::fails;
  }
  if (checks_global_hooks_ && !no_global_hooks()) return Verdict::fails;
  Running running(running_);
  Evaluation evaluation(*this, call, owned, running_ > 1);
  Verdict verdict = run_steps(evaluation);
  if (verdict == Verdict::holds) verdict = comparisons_hold(evaluation);
  if (verdict != Verdict::holds) return verdict;
  for (const Place& place : input_places_) *arguments++ = evaluation.value(place);
  return Verdict::holds;
}

Verdict GuardProgram::run_steps(Evaluation& evaluation) {
  for (const Step& step : steps_) {
    PyObject* value = nullptr;
    if (step.node != none) {
      const Node& node = nodes_[step.node];
      value = evaluation.read(node);
      if (!value) return unreadable();
      evaluation.value(node) = value;
      Verdict found = tests_hold(node, value, true);
      if (found != Verdict::holds) return found;
    }
    if (step.scope != none) {
      Verdict bound = bind(evaluation, step.scope, value);
      if (bound != Verdict::holds) return bound;
    }
  }
  return Verdict::holds;
}

Verdict GuardProgram::comparisons_hold(Evaluation& evaluation) {
  for (const Comparison& compared : comparisons_) {
    if ((evaluation.value(compared.left) == evaluation.value(compared.right)) != compared.same) return Verdict::fails;
  }
  for (const Condition& condition : conditions_) {
    auto load = [&](Operation operation, int64_t which, int64_t* number) {
      PyObject* value = evaluation.value(condition.nodes[which]);
      if (operation == Operation::load_float) {
        if (!PyFloat_CheckExact(value) || std::isnan(PyFloat_AS_DOUBLE(value))) return false;
        *number = float_order(PyFloat_AS_DOUBLE(value));
        return true;
      }
      int overflow = 0;
      *number = PyLong_CheckExact(value) ? PyLong_AsLongLongAndOverflow(value, &overflow) : 0;
      return PyLong_CheckExact(value) && !overflow;
    };
    if (!expression_holds(condition.program, load)) return Verdict::fails;
  }
  for (const Aliasing& aliasing : aliasings_) {
    if (!aliasing_holds(evaluation, aliasing)) return Verdict::fails;
  }
  for (const LetGo& place : let_go_) {
    if (!ends_unseen(evaluation, place)) return Verdict::fails;
  }
  return Verdict::holds;
}

bool GuardProgram::aliasing_holds(Evaluation& evaluation, const Aliasing& aliasing) const {
  SmallArray<MemorySpan, 64> spans(aliasing.nodes.size());
  for (size_t i = 0; i < aliasing.nodes.size(); ++i) {
    spans[i].written = i < aliasing.written;
    if (!memory_span(evaluation.value(aliasing.nodes[i]), &spans[i])) return false;
  }
  return any_written_overlap(spans.data(), aliasing.nodes.size()) == aliasing.overlapping;
}

bool GuardProgram::ends_unseen(Evaluation& evaluation, const LetGo& place) const {
  PyObject* value = evaluation.value(place.node);
  if (place.key) {
    value = PyDict_Check(value) ? PyDict_GetItemWithError(value, place.key) : nullptr;
    if (!value) PyErr_Clear();
  }
  return !value || !ends_visibly(value);
}

size_t GuardProgram::binding_count() const {
  size_t count = 0;
  for (const Anchor& anchor : anchors_) count += anchor.size();
  return count;
}

bool GuardProgram::is_dead() const {
  for (const Node& node : nodes_) {
    bool weak = node.access == Access::object && node.index;
    if (weak && PyWeakref_GET_OBJECT(node.key) == Py_None) return true;
  }
  for (const NodeTest& test : tests_) {
    if (test.reference && PyWeakref_GET_OBJECT(test.reference) != test.expected) return true;
  }
  return false;
}

int GuardProgram::traverse(visitproc visit, void* arg) const {
  Py_VISIT(rows_.get());
  Py_VISIT(inputs_.get());
  return 0;
}

}  // namespace bytegraph
