#include "captured_function.h"

#include "boundary.h"

#include <structmember.h>

namespace bytegraph {
namespace {

struct CapturedFunction {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  PyObject* function;
  FrameCache* cache;
  PyObject* weak_references;
};

CapturedFunction* as_captured(PyObject* self) { return reinterpret_cast<CapturedFunction*>(self); }

PyObject* vectorcall(PyObject* self, PyObject* const* args, size_t count, PyObject* keywords) {
  CapturedFunction* captured = as_captured(self);
  Object function = Object::borrow(captured->function), cache = Object::borrow(reinterpret_cast<PyObject*>(captured->cache));
  return dispatch(captured->cache, function.get(), args, count, keywords, self);
}

PyObject* create(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"function", "cache", nullptr};
  PyObject *function, *cache;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!O!:CapturedFunction", const_cast<char**>(names),
                                   &PyFunction_Type, &function, frame_cache_type, &cache)) {
    return nullptr;
  }
  if (PyFunction_GET_CODE(function) != reinterpret_cast<FrameCache*>(cache)->code) {
    return PyErr_Format(PyExc_ValueError, "the cache is for the code of another function than %R", function);
  }
  auto* captured = reinterpret_cast<CapturedFunction*>(type->tp_alloc(type, 0));
  if (!captured) return nullptr;
  captured->vectorcall = guarded<vectorcall>;
  captured->function = Py_NewRef(function);
  captured->cache = reinterpret_cast<FrameCache*>(Py_NewRef(cache));
  return reinterpret_cast<PyObject*>(captured);
}

// Gives subclasses written in Python the fast paths of the type: vectorcall, and calls of methods without binding.
PyObject* init_subclass(PyObject* type, PyObject*) {
  reinterpret_cast<PyTypeObject*>(type)->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR;
  Py_RETURN_NONE;
}

PyObject* bind_method(PyObject* self, PyObject* instance, PyObject*) {
  if (!instance || instance == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, instance);
}

// Names that every class has attributes of; those of the function are meant. Its class, too: other tracers of torch's take
// nothing that is no function by isinstance.
bool is_the_functions(PyObject* name) {
  for (const char* shared : {"__doc__", "__module__", "__dict__", "__class__"}) {
    if (PyUnicode_CompareWithASCIIString(name, shared) == 0) return true;
  }
  return false;
}

// A subclass has a dictionary, for attributes that others look up there instead of asking for them.
bool has_own(PyObject* self, PyObject* name) {
  if (_PyType_Lookup(Py_TYPE(self), name)) return !is_the_functions(name);
  PyObject** dict = _PyObject_GetDictPtr(self);
  return dict && *dict && PyDict_GetItemWithError(*dict, name);
}

PyObject* get_attribute(PyObject* self, PyObject* name) {
  if (has_own(self, name)) return PyObject_GenericGetAttr(self, name);
  if (PyErr_Occurred()) return nullptr;
  return PyObject_GetAttr(as_captured(self)->function, name);
}

int set_attribute(PyObject* self, PyObject* name, PyObject* value) {
  if (_PyType_Lookup(Py_TYPE(self), name) && !is_the_functions(name)) {
    return PyObject_GenericSetAttr(self, name, value);
  }
  return PyObject_SetAttr(as_captured(self)->function, name, value);
}

PyObject* represent(PyObject* self) { return PyUnicode_FromFormat("<captured %R>", as_captured(self)->function); }

// Pickled and copied like a function: by its qualified name.
PyObject* reduce(PyObject* self, PyObject*) { return PyObject_GetAttrString(as_captured(self)->function, "__qualname__"); }

PyObject* list_names(PyObject* self, PyObject*) {
  Object own(PyObject_Dir(reinterpret_cast<PyObject*>(Py_TYPE(self))));
  Object of_function(own ? PyObject_Dir(as_captured(self)->function) : nullptr);
  Object left(of_function ? PySet_New(own.get()) : nullptr), right(left ? PySet_New(of_function.get()) : nullptr);
  Object names(right ? PyNumber_Or(left.get(), right.get()) : nullptr);
  return names ? PySequence_List(names.get()) : nullptr;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_captured(self)->function);
  Py_VISIT(as_captured(self)->cache);
  return 0;
}

void deallocate(PyObject* self) {
  PyObject_GC_UnTrack(self);
  CapturedFunction* captured = as_captured(self);
  if (captured->weak_references) PyObject_ClearWeakRefs(self);
  Py_CLEAR(captured->function);
  Py_CLEAR(captured->cache);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"__init_subclass__", method<init_subclass>(), METH_NOARGS | METH_CLASS, nullptr},
    {"__reduce__", method<reduce>(), METH_NOARGS, nullptr},
    {"__dir__", method<list_names>(), METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef members[] = {
    {"__wrapped__", T_OBJECT, offsetof(CapturedFunction, function), READONLY, "the original function"},
    {"frame_cache", T_OBJECT, offsetof(CapturedFunction, cache), READONLY, "the cache its calls go through"},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(CapturedFunction, vectorcall), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CapturedFunction, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

const char documentation[] =
    "CapturedFunction(function, cache)\n--\n\n"
    "Calls go through `cache`; everything else is the function's: name, attributes, binding as a method.";

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(documentation)},
    {Py_tp_new, slot<create>()},
    {Py_tp_traverse, slot<traverse>()},
    {Py_tp_dealloc, slot<deallocate>()},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_descr_get, slot<bind_method>()},
    {Py_tp_getattro, slot<get_attribute>()},
    {Py_tp_setattro, slot<set_attribute>()},
    {Py_tp_repr, slot<represent>()},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, nullptr},
};

PyType_Spec specification = {
    "tracer._native.CapturedFunction", sizeof(CapturedFunction), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_VECTORCALL |
        Py_TPFLAGS_METHOD_DESCRIPTOR,
    slots};

}  // namespace

bool add_captured_function_type(PyObject* module) {
  auto* type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&specification));
  return type && PyModule_AddType(module, type) == 0;
}

}  // namespace bytegraph
