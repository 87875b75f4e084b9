// Whether a dictionary's version tells of every change, who is told before it changes, and whether a class has a version,
// which depends on the version of CPython. Only reads, bindings and their watchers include this file.
#pragma once

#include <Python.h>

#if PY_VERSION_HEX >= 0x030D0000
#define Py_BUILD_CORE
#include <internal/pycore_dict.h>
#undef Py_BUILD_CORE
#endif

namespace bytegraph {

#if PY_VERSION_HEX < 0x030D0000

inline bool has_version(PyTypeObject* type) { return type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG; }
inline bool is_versioned(PyObject*) { return true; }
inline void make_versioned(PyObject*, PyObject*) {}

#else

// The flag of before is never set from 3.13 on.
inline bool has_version(PyTypeObject* type) { return type->tp_version_tag != 0; }

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

// Watchers: functions that CPython calls before a dictionary changes, or ends. An interpreter has eight.

void before_change(PyObject* dict, bool ends);  // watching.cpp

#if PY_VERSION_HEX < 0x030C0000

constexpr bool has_watchers = false;
inline int add_watcher() { return -1; }
inline void remove_watcher(int) {}
inline bool watch(int, PyObject*) { return false; }
inline void unwatch(int, PyObject*) {}

#else

constexpr bool has_watchers = true;

inline int add_watcher() {
  int number = PyDict_AddWatcher([](PyDict_WatchEvent event, PyObject* dict, PyObject*, PyObject*) {
    before_change(dict, event == PyDict_EVENT_DEALLOCATED);
    return 0;
  });
  if (number < 0) PyErr_Clear();
  return number;
}

inline void remove_watcher(int number) {
  if (PyDict_ClearWatcher(number) < 0) PyErr_Clear();
}

inline bool watch(int number, PyObject* dict) {
  bool watched = PyDict_Watch(number, dict) == 0;
  if (!watched) PyErr_Clear();
  return watched;
}

inline void unwatch(int number, PyObject* dict) {
  if (PyDict_Unwatch(number, dict) < 0) PyErr_Clear();
}

#endif

}  // namespace bytegraph
