#include "step.h"

#include "boundary.h"

namespace bytegraph {

PyTypeObject* step_type = nullptr;

namespace {

Step* as_step(PyObject* self) { return reinterpret_cast<Step*>(self); }

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(as_step(self)->callable);
  Py_VISIT(as_step(self)->args);
  Py_VISIT(Py_TYPE(self));
  return 0;
}

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  Py_XDECREF(as_step(self)->callable);
  Py_XDECREF(as_step(self)->args);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* go_on(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count < 1) {
    PyErr_SetString(PyExc_TypeError, "go_on takes a callable and its arguments");
    return nullptr;
  }
  Object tuple(PyTuple_New(count - 1));
  if (!tuple) return nullptr;
  for (Py_ssize_t i = 1; i < count; ++i) PyTuple_SET_ITEM(tuple.get(), i - 1, Py_NewRef(args[i]));
  PyObject* step = step_type->tp_alloc(step_type, 0);
  if (!step) return nullptr;
  as_step(step)->callable = Py_NewRef(args[0]);
  as_step(step)->args = tuple.release();
  return step;
}

PyMethodDef functions[] = {
    {"go_on", method<go_on>(), METH_FASTCALL,
     "go_on(callable, *args) -> Step: a program returns it to have the call made when its own frames are gone"},
    {nullptr, nullptr, 0, nullptr},
};

const char documentation[] = "A call that is still to be made; the dispatcher makes it.";

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(documentation)},
    {Py_tp_traverse, slot<traverse>()},
    {Py_tp_dealloc, slot<deallocate>()},
    {0, nullptr},
};

PyType_Spec specification = {"tracer._native.Step", sizeof(Step), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

}  // namespace

bool add_step_type(PyObject* module) {
  step_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&specification));
  return step_type && PyModule_AddType(module, step_type) == 0 && PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace bytegraph
