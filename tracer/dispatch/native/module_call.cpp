#include "module_call.h"

#include <algorithm>

#include "boundary.h"
#include "small_array.h"

namespace bytegraph {
namespace {

PyObject* call_attribute = nullptr;

// What a class that `call_natively` changed keeps: the callable, and its first argument.
PyObject* call_of(PyTypeObject* type) {
  PyObject* pair = _PyType_Lookup(type, call_attribute);
  return pair && PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2 ? pair : nullptr;
}

PyObject* call(PyObject* self, PyObject* args, PyObject* keywords) {
  Object pair = Object::borrow(call_of(Py_TYPE(self)));
  if (!pair) return PyErr_Format(PyExc_TypeError, "the class of %R has lost its %U", self, call_attribute);
  size_t count = PyTuple_GET_SIZE(args);
  SmallArray<PyObject*, 16> all(count + 2);
  all[1] = PyTuple_GET_ITEM(pair.get(), 1);
  std::copy_n(&PyTuple_GET_ITEM(args, 0), count, all.data() + 2);
  return PyObject_VectorcallDict(PyTuple_GET_ITEM(pair.get(), 0), all.data() + 1,
                                 (count + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, keywords);
}

// CPython gives a class that is assigned another `__call__`, and subclasses, a slot of its own again.
PyObject* call_natively(PyObject*, PyObject* type) {
  bool fits = PyType_Check(type) && PyType_HasFeature(reinterpret_cast<PyTypeObject*>(type), Py_TPFLAGS_HEAPTYPE) &&
              call_of(reinterpret_cast<PyTypeObject*>(type));
  if (!fits) return PyErr_Format(PyExc_TypeError, "%R is no class with a pair %U", type, call_attribute);
  reinterpret_cast<PyTypeObject*>(type)->tp_call = guarded<call>;
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"call_natively", method<call_natively>(), METH_O,
     "call_natively(cls): calls of its instances are `callable(first, *args, **kwargs)`, as its `__call__` has to define\n"
     "it, too, where `(callable, first)` is the class attribute that CALL_ATTRIBUTE names"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_module_call(PyObject* module) {
  call_attribute = PyUnicode_InternFromString("_bytegraph_call");
  return call_attribute && PyModule_AddObjectRef(module, "CALL_ATTRIBUTE", call_attribute) == 0 &&
         PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace bytegraph
