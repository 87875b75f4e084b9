// What each check asks of one value: CHECKS of tracer/guards/checks.py, natively.
#include "constants.h"
#include "frame.h"

namespace bytegraph {
namespace {

Verdict verdict(bool holds) { return holds ? Verdict::holds : Verdict::fails; }

Verdict has_keys(PyObject* value, PyObject* expected) {
  if (!PyDict_Check(value) || PyDict_GET_SIZE(value) != PyTuple_GET_SIZE(expected)) return Verdict::fails;
  if (PyODict_Check(value)) {
    Object keys = ordered_keys(value);
    Object found(keys ? PyList_AsTuple(keys.get()) : nullptr);
    return found ? equal_elements(found.get(), expected) : unreadable();
  }
  PyObject *key, *ignored;
  Py_ssize_t position = 0, i = 0;
  while (PyDict_Next(value, &position, &key, &ignored)) {
    Verdict same = equal_constants(key, PyTuple_GET_ITEM(expected, i++));
    if (same != Verdict::holds) return same;
  }
  return Verdict::holds;
}

Verdict is_absent(PyObject* value, PyObject* name) {
  if (PyDict_Check(value)) {
    int found = PyDict_Contains(value, name);
    return found < 0 ? unreadable() : verdict(!found);
  }
  if (!PyType_Check(value)) return Verdict::fails;
  return verdict(!_PyType_Lookup(reinterpret_cast<PyTypeObject*>(value), name));
}

bool is_alive(const Check& check) {
  return !check.reference || PyWeakref_GET_OBJECT(check.reference) == check.expected;
}

Verdict holds(const Check& check, PyObject* value) {
  switch (check.test) {
    case Test::type:
      return verdict(reinterpret_cast<PyObject*>(Py_TYPE(value)) == check.expected && is_alive(check));
    case Test::same_object: return verdict(value == check.expected && is_alive(check));
    case Test::equal: return equal_constants(value, check.expected);
    case Test::tensor: return (*check.tensor)(value);
    case Test::length: return verdict(stored_length(value) == PyLong_AsSsize_t(check.expected));
    case Test::keys: return has_keys(value, check.expected);
    case Test::absent: return is_absent(value, check.expected);
    case Test::set_items:
      return PyAnySet_Check(value) ? equal_members(value, check.expected) : Verdict::fails;
    case Test::empty: return verdict(PyDict_Check(value) && PyDict_GET_SIZE(value) == 0);
    default: return Verdict::holds;  // asked of more than one value: see cross_checks_hold
  }
}

}  // namespace

Verdict GuardProgram::checks_hold(const Node& node, PyObject* value, bool tensors) const {
  for (uint32_t index = node.first_check; index != none; index = checks_[index].next) {
    const Check& check = checks_[index];
    if (check.test == Test::tensor && !tensors) continue;
    Verdict found = holds(check, value);
    if (found != Verdict::holds) return found;
  }
  return Verdict::holds;
}

}  // namespace bytegraph
