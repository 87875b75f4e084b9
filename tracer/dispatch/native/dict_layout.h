// Whether a dictionary's version tells of every change, which depends on the version of CPython. Only bindings include
// this file.
#pragma once

#include <Python.h>

#if PY_VERSION_HEX >= 0x030D0000
#define Py_BUILD_CORE
#include <internal/pycore_dict.h>
#undef Py_BUILD_CORE
#endif

namespace bytegraph {

#if PY_VERSION_HEX < 0x030D0000

inline bool is_versioned(PyObject*) { return true; }
inline void make_versioned(PyObject*, PyObject*) {}

#else

// From 3.13 on a dictionary may be a view of the values that its instance holds inline. Storing an attribute writes
// these, and leaves the version as it is.
inline bool is_versioned(PyObject* dict) {
  const PyDictValues* values = reinterpret_cast<PyDictObject*>(dict)->ma_values;
  return !values || !values->embedded;
}

// Gives the dictionary of an instance values of its own, as CPython does before an instance gets another dictionary.
inline void make_versioned(PyObject* instance, PyObject* dict) {
  if (!is_versioned(dict) && _PyObject_SetManagedDict(instance, dict) < 0) PyErr_Clear();
}

#endif

}  // namespace bytegraph
