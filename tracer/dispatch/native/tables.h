// What guards are compiled from: the numbers of the rows of Python's tables, and guards as a file has them.
#pragma once

#include "access.h"
#include "common.h"

namespace bytegraph {

// The numbers of the rows of one Python table. The extension was built with those in `rows`; a row of the live table
// that is not among them, or has another number, has no code here and is refused.
class Numbers {
 public:
  template <size_t count>
  Numbers(const char* module, const char* table, const NamedNumber (&rows)[count])
      : module_(module), table_(table), rows_(rows), count_(count) {}

  // -1 with a Python error if there is no such row.
  long operator[](PyObject* name) {
    if (!by_name_ && !(by_name_ = PyDict_New())) return -1;
    PyObject* number = PyDict_GetItemWithError(by_name_, name);
    if (number) return PyLong_AsLong(number);
    return PyErr_Occurred() ? -1 : look_up(name);
  }

 private:
  long look_up(PyObject* name) {
    Object module(PyImport_ImportModule(module_));
    Object table(module ? PyObject_GetAttrString(module.get(), table_) : nullptr);
    if (!table) return -1;
    Object row(PyObject_GetItem(table.get(), name));
    if (!row) {
      if (PyErr_ExceptionMatches(PyExc_KeyError)) {
        PyErr_Format(PyExc_ValueError, "%R is not in %s.%s", name, module_, table_);
      }
      return -1;
    }
    Object number(PyObject_GetAttrString(row.get(), "number"));
    if (!number) return -1;
    long value = PyLong_AsLong(number.get());
    if (value == -1 && PyErr_Occurred()) return -1;
    if (!has_code(name, value)) {
      PyErr_Format(PyExc_ValueError,
                   "%s.%s[%R] has the number %ld, for which the native guard program has no code: write its case in "
                   "tracer/dispatch/native and build the extensions again",
                   module_, table_, name, value);
      return -1;
    }
    return PyDict_SetItem(by_name_, name, number.get()) < 0 ? -1 : value;
  }

  bool has_code(PyObject* name, long number) const {
    for (size_t i = 0; PyUnicode_Check(name) && i < count_; ++i) {
      if (PyUnicode_CompareWithASCIIString(name, rows_[i].name) == 0) return rows_[i].number == number;
    }
    return false;
  }

  const char *module_, *table_;
  const NamedNumber* rows_;
  size_t count_;
  PyObject* by_name_ = nullptr;  // rows that were looked up and have code
};

inline Numbers accesses("tracer.guards.source", "ACCESSORS", access_numbers);
inline Numbers checks("tracer.guards.checks", "CHECKS", check_numbers);
inline Numbers operations("tracer.guards.checks", "OPERATIONS", operation_numbers);

// Guards as a file has them, in the lists of `StoredGuards` of tracer/store/guards.py.
struct Tables {
  PyObject *paths, *steps, *facts, *rows, *inputs, *sources;

  // False with a Python error if `tuple` is not one of such lists.
  bool read(PyObject* tuple) {
    return PyArg_ParseTuple(tuple, "O!O!O!O!O!O!", &PyList_Type, &paths, &PyList_Type, &steps, &PyList_Type, &facts,
                            &PyList_Type, &rows, &PyList_Type, &inputs, &PyList_Type, &sources);
  }
};

// The number at a place of a list, which is below `limit`; `least` - 1 with a Python error if there is none.
inline Py_ssize_t number_at(PyObject* list, Py_ssize_t place, Py_ssize_t least, Py_ssize_t limit) {
  PyObject* item = place < PyList_GET_SIZE(list) ? PyList_GET_ITEM(list, place) : nullptr;
  Py_ssize_t number = item && PyLong_CheckExact(item) ? PyLong_AsSsize_t(item) : least - 1;
  if (number >= least && number < limit) return number;
  PyErr_Format(PyExc_ValueError, "no row of another table: %R", item ? item : Py_None);
  return least - 1;
}

}  // namespace bytegraph
