// The tests of the value of one node; tracer/guards/checks.py defines what they mean.
#include "constants.h"
#include "evaluation.h"

namespace bytegraph {
namespace {

Verdict verdict(bool holds) { return holds ? Verdict::holds : Verdict::fails; }

Verdict are_keys(PyObject* keys, PyObject* expected);

// What equals only itself is expected by a weak reference to it, as is a weak reference to it.
Verdict is_key(PyObject* key, PyObject* expected) {
  if (PyTuple_CheckExact(key) && PyTuple_CheckExact(expected)) return are_keys(key, expected);
  PyObject* target = PyWeakref_CheckRefExact(key) ? PyWeakref_GET_OBJECT(key) : key;
  if (target != Py_None && PyWeakref_CheckRef(expected) && PyWeakref_GET_OBJECT(expected) == target) return Verdict::holds;
  return equal_constants(key, expected);
}

Verdict are_keys(PyObject* keys, PyObject* expected) {
  Py_ssize_t size = PyTuple_GET_SIZE(keys);
  if (size != PyTuple_GET_SIZE(expected)) return Verdict::fails;
  for (Py_ssize_t i = 0; i < size; ++i) {
    Verdict same = is_key(PyTuple_GET_ITEM(keys, i), PyTuple_GET_ITEM(expected, i));
    if (same != Verdict::holds) return same;
  }
  return Verdict::holds;
}

Verdict has_keys(PyObject* value, PyObject* expected) {
  if (!PyDict_Check(value) || PyDict_GET_SIZE(value) != PyTuple_GET_SIZE(expected)) return Verdict::fails;
  if (PyODict_Check(value)) {
    Object keys = ordered_keys(value);
    Object found(keys ? PyList_AsTuple(keys.get()) : nullptr);
    return found ? are_keys(found.get(), expected) : unreadable();
  }
  PyObject *key, *ignored;
  Py_ssize_t position = 0, i = 0;
  while (PyDict_Next(value, &position, &key, &ignored)) {
    Verdict same = is_key(key, PyTuple_GET_ITEM(expected, i++));
    if (same != Verdict::holds) return same;
  }
  return Verdict::holds;
}

Verdict is_absent(PyObject* value, PyObject* name) {
  if (PyDict_Check(value)) {
    int found = PyDict_Contains(value, name);
    return found < 0 ? unreadable() : verdict(!found);
  }
  if (PyAnySet_Check(value)) {
    int found = PySet_Contains(value, name);
    return found < 0 ? unreadable() : verdict(!found);
  }
  if (!PyType_Check(value)) return Verdict::fails;
  return verdict(!_PyType_Lookup(reinterpret_cast<PyTypeObject*>(value), name));
}

Verdict is_present(PyObject* value, PyObject* member) {
  int found = PyDict_Check(value) ? PyDict_Contains(value, member) : 0;
  if (PyAnySet_Check(value)) found = PySet_Contains(value, member);
  return found < 0 ? unreadable() : verdict(found);
}

// The bytes of the table, then the members in the order of their places; those of deleted members have the hash -1.
Verdict has_order(PyObject* value, PyObject* expected) {
  if (!PyAnySet_Check(value) || PySet_GET_SIZE(value) != PyTuple_GET_SIZE(expected) - 1) return Verdict::fails;
  auto* set = reinterpret_cast<PySetObject*>(value);
  Py_ssize_t table = set->table == set->smalltable ? 0 : (set->mask + 1) * Py_ssize_t(sizeof(setentry));
  if (table != PyLong_AsSsize_t(PyTuple_GET_ITEM(expected, 0))) return Verdict::fails;
  Py_ssize_t next = 1;
  for (Py_ssize_t place = 0; place <= set->mask; ++place) {
    const setentry& entry = set->table[place];
    if (!entry.key || entry.hash == -1) continue;
    Verdict same = is_key(entry.key, PyTuple_GET_ITEM(expected, next++));
    if (same != Verdict::holds) return same;
  }
  return Verdict::holds;
}

Verdict equals(PyObject* value, PyObject* expected) {
  bool unordered = PyFrozenSet_CheckExact(value) && PyFrozenSet_CheckExact(expected) && value != expected;
  return unordered ? equal_members(value, expected) : equal_constants(value, expected);
}

bool is_alive(const NodeTest& test) {
  return !test.reference || PyWeakref_GET_OBJECT(test.reference) == test.expected;
}

Verdict holds(const NodeTest& test, PyObject* value) {
  switch (test.test) {
    case Test::type:
      return verdict(reinterpret_cast<PyObject*>(Py_TYPE(value)) == test.expected && is_alive(test));
    case Test::same_object: return verdict(value == test.expected && is_alive(test));
    case Test::equal: return equals(value, test.expected);
    case Test::tensor: return (*test.tensor)(value);
    case Test::length: return verdict(stored_length(value) == PyLong_AsSsize_t(test.expected));
    case Test::keys: return has_keys(value, test.expected);
    case Test::absent: return is_alive(test) ? is_absent(value, test.expected) : Verdict::fails;
    case Test::present: return is_alive(test) ? is_present(value, test.expected) : Verdict::fails;
    case Test::set_items:
      return PyAnySet_Check(value) ? equal_members(value, test.expected) : Verdict::fails;
    case Test::set_order: return has_order(value, test.expected);
    case Test::empty: return verdict(PyDict_Check(value) && PyDict_GET_SIZE(value) == 0);
  }
  return Verdict::error;  // not reached: every test has its case
}

}  // namespace

Verdict GuardProgram::tests_hold(const Node& node, PyObject* value, bool tensors) const {
  for (uint32_t index = node.first_test; index != none; index = tests_[index].next) {
    const NodeTest& test = tests_[index];
    if (test.test == Test::tensor && !tensors) continue;
    Verdict found = holds(test, value);
    if (found != Verdict::holds) return found;
  }
  return Verdict::holds;
}

}  // namespace bytegraph
