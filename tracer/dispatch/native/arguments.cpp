#include "arguments.h"

namespace bytegraph {

bool Signature::read(PyObject* object) {
  if (!PyCode_Check(object)) {
    PyErr_Format(PyExc_TypeError, "expected a code object, not %R", object);
    return false;
  }
  auto* code = reinterpret_cast<PyCodeObject*>(object);
  positional_ = code->co_argcount;
  positional_only_ = code->co_posonlyargcount;
  keyword_only_ = code->co_kwonlyargcount;
  takes_rest_ = code->co_flags & CO_VARARGS;
  takes_keywords_ = code->co_flags & CO_VARKEYWORDS;
  size_ = positional_ + keyword_only_ + takes_rest_ + takes_keywords_;
  Object all(PyCode_GetVarnames(code));
  names_ = Object(all ? PyTuple_GetSlice(all.get(), 0, size_) : nullptr);
  return static_cast<bool>(names_);
}

Fit Signature::bind(PyObject* function, PyObject* const* args, Py_ssize_t count, PyObject* keywords,
                        PyObject** locals, std::vector<Object>& owned) const {
  if (count > positional_ && !takes_rest_) return Fit::no;
  Py_ssize_t passed = count < positional_ ? count : positional_;
  for (Py_ssize_t i = 0; i < passed; ++i) locals[i] = args[i];
  Py_ssize_t named = positional_ + keyword_only_;
  for (Py_ssize_t i = passed; i < named; ++i) locals[i] = nullptr;
  if (takes_rest_) {
    PyObject* rest = PyTuple_New(count - passed);
    if (!rest) return Fit::error;
    for (Py_ssize_t i = passed; i < count; ++i) PyTuple_SET_ITEM(rest, i - passed, Py_NewRef(args[i]));
    owned.emplace_back(locals[named] = rest);
  }
  PyObject* others = nullptr;
  if (takes_keywords_) {
    if (!(others = PyDict_New())) return Fit::error;
    owned.emplace_back(locals[named + takes_rest_] = others);
  }
  if (keywords && PyTuple_GET_SIZE(keywords)) {
    Fit bound = bind_keywords(args + count, keywords, locals, others);
    if (bound != Fit::yes) return bound;
  }
  for (Py_ssize_t i = passed; i < named; ++i) {
    if (!locals[i]) return fill_defaults(function, locals) ? Fit::yes : Fit::no;
  }
  return Fit::yes;
}

Fit Signature::bind_keywords(PyObject* const* values, PyObject* keywords, PyObject** locals,
                                 PyObject* others) const {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keywords); ++i) {
    PyObject* name = PyTuple_GET_ITEM(keywords, i);
    Py_ssize_t place = find(name);
    if (place >= 0) {
      if (locals[place]) return Fit::no;
      locals[place] = values[i];
    } else if (!others) {
      return Fit::no;
    } else if (PyDict_SetItem(others, name, values[i]) < 0) {
      return Fit::error;
    }
  }
  return Fit::yes;
}

Py_ssize_t Signature::find(PyObject* name) const {
  Py_ssize_t named = positional_ + keyword_only_;
  PyObject* names = names_.get();
  for (Py_ssize_t i = positional_only_; i < named; ++i) {
    if (PyTuple_GET_ITEM(names, i) == name) return i;
  }
  for (Py_ssize_t i = positional_only_; i < named; ++i) {
    if (PyUnicode_Compare(PyTuple_GET_ITEM(names, i), name) == 0) return i;
  }
  return -1;
}

bool Signature::fill_defaults(PyObject* object, PyObject** locals) const {
  if (!PyFunction_Check(object)) return false;
  auto* function = reinterpret_cast<PyFunctionObject*>(object);
  PyObject *defaults = function->func_defaults, *keyword_defaults = function->func_kwdefaults;
  Py_ssize_t first = positional_ - (defaults ? PyTuple_GET_SIZE(defaults) : 0);
  for (Py_ssize_t i = 0; i < positional_; ++i) {
    if (locals[i]) continue;
    if (i < first) return false;
    locals[i] = PyTuple_GET_ITEM(defaults, i - first);
  }
  for (Py_ssize_t i = positional_; i < positional_ + keyword_only_; ++i) {
    if (locals[i]) continue;
    PyObject* value =
        keyword_defaults ? PyDict_GetItemWithError(keyword_defaults, PyTuple_GET_ITEM(names_.get(), i)) : nullptr;
    if (!value) return false;
    locals[i] = value;
  }
  return true;
}

bool Signature::unbind(PyObject* const* locals, std::vector<PyObject*>& args, Object& keywords) const {
  Py_ssize_t named = positional_ + keyword_only_;
  PyObject* rest = takes_rest_ ? locals[named] : nullptr;
  PyObject* others = takes_keywords_ ? locals[named + takes_rest_] : nullptr;
  bool fits = (!rest || PyTuple_Check(rest)) && (!others || PyDict_Check(others));
  if (!fits) {
    PyErr_SetString(PyExc_TypeError, "the values of *args and **kwargs must be a tuple and a dict");
    return false;
  }
  args.assign(locals, locals + positional_);
  for (Py_ssize_t i = 0; rest && i < PyTuple_GET_SIZE(rest); ++i) args.push_back(PyTuple_GET_ITEM(rest, i));
  keywords = Object(PyTuple_New(keyword_only_ + (others ? PyDict_GET_SIZE(others) : 0)));
  if (!keywords) return false;
  Py_ssize_t place = 0;
  for (Py_ssize_t i = positional_; i < named; ++i) {
    PyTuple_SET_ITEM(keywords.get(), place++, Py_NewRef(PyTuple_GET_ITEM(names_.get(), i)));
    args.push_back(locals[i]);
  }
  PyObject *name, *value;
  for (Py_ssize_t position = 0; others && PyDict_Next(others, &position, &name, &value);) {
    PyTuple_SET_ITEM(keywords.get(), place++, Py_NewRef(name));
    args.push_back(value);
  }
  return true;
}

}  // namespace bytegraph
