#include "constants.h"

#include <cmath>
#include <cstring>

namespace bytegraph {
namespace {

Verdict verdict(bool holds) { return holds ? Verdict::holds : Verdict::fails; }

bool same_number(double a, double b) {
  return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
}

Verdict compared(PyObject* found, PyObject* expected) {
  int same = PyObject_RichCompareBool(found, expected, Py_EQ);
  return same < 0 ? unreadable() : verdict(same);
}

Verdict ask_python(const char* name, PyObject* found, PyObject* expected) {
  Object checks(PyImport_ImportModule("tracer.guards.checks"));
  if (!checks) return Verdict::error;
  Object answer(PyObject_CallMethod(checks.get(), name, "OO", found, expected));
  return answer ? verdict(answer.get() == Py_True) : unreadable();
}

}  // namespace

Verdict equal_elements(PyObject* found, PyObject* expected) {
  Py_ssize_t count = PyTuple_GET_SIZE(expected);
  if (PyTuple_GET_SIZE(found) != count) return Verdict::fails;
  for (Py_ssize_t i = 0; i < count; ++i) {
    Verdict same = equal_constants(PyTuple_GET_ITEM(found, i), PyTuple_GET_ITEM(expected, i));
    if (same != Verdict::holds) return same;
  }
  return Verdict::holds;
}

Verdict equal_members(PyObject* found, PyObject* expected) {
  Py_ssize_t size = PyTuple_Check(expected) ? PyTuple_GET_SIZE(expected) : PySet_GET_SIZE(expected);
  if (PySet_GET_SIZE(found) != size) return Verdict::fails;
  return size == 0 ? Verdict::holds : ask_python("same_members", found, expected);
}

Verdict equal_constants(PyObject* found, PyObject* expected) {
  if (found == expected) return Verdict::holds;
  PyTypeObject* type = Py_TYPE(found);
  if (type != Py_TYPE(expected)) return Verdict::fails;
  if (type == &PyLong_Type || type == &PyUnicode_Type || type == &PyBytes_Type) return compared(found, expected);
  if (type == &PyFloat_Type) return verdict(same_number(PyFloat_AS_DOUBLE(found), PyFloat_AS_DOUBLE(expected)));
  if (type == &PyBool_Type) return Verdict::fails;
  if (PyTuple_Check(found)) return equal_elements(found, expected);
  return ask_python("equal_constants", found, expected);
}

}  // namespace bytegraph
