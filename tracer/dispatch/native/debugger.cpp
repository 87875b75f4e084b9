#include "debugger.h"

#include "boundary.h"

#include <structmember.h>

namespace bytegraph {
namespace {

PyTypeObject* hidden_type = nullptr;
PyObject* breaks_name = nullptr;  // of the attribute of `bdb.Bdb` that has the lines with breakpoints by file, interned
thread_local int hiding = 0;      // how many of ours hide what runs in this thread

struct Hidden {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  PyObject* callable;
};

Hidden* as_hidden(PyObject* self) { return reinterpret_cast<Hidden*>(self); }

PyObject* vectorcall(PyObject* self, PyObject* const* args, size_t count, PyObject* keywords) {
  Object callable = Object::borrow(as_hidden(self)->callable);
  HiddenFromDebugger hidden;
  return PyObject_Vectorcall(callable.get(), args, count, keywords);
}

PyObject* hide(PyObject*, PyObject* callable) {
  PyObject* object = hidden_type->tp_alloc(hidden_type, 0);
  if (!object) return nullptr;
  as_hidden(object)->vectorcall = guarded<vectorcall>;
  as_hidden(object)->callable = Py_NewRef(callable);
  return object;
}

PyObject* show(PyObject*, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  if (count < 1) {
    PyErr_SetString(PyExc_TypeError, "shown takes a callable and its arguments");
    return nullptr;
  }
  PyThreadState* thread = PyThreadState_Get();
  int before = std::exchange(hiding, 0);
  for (int i = 0; i < before; ++i) PyThreadState_LeaveTracing(thread);
  PyObject* result = PyObject_Vectorcall(args[0], args + 1, count - 1, keywords);
  for (int i = 0; i < before; ++i) PyThreadState_EnterTracing(thread);
  hiding = before;
  return result;
}

PyObject* get_attribute(PyObject* self, PyObject* name) { return PyObject_GetAttr(as_hidden(self)->callable, name); }

PyObject* represent(PyObject* self) { return PyObject_Repr(as_hidden(self)->callable); }

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_hidden(self)->callable);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(as_hidden(self)->callable);
  return 0;
}

void deallocate(PyObject* self) {
  PyObject_GC_UnTrack(self);
  clear(self);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Hidden, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

const char documentation[] = "What `hidden` returns: a callable whose frames no debugger sees.";

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(documentation)},
    {Py_tp_traverse, slot<traverse>()},
    {Py_tp_clear, slot<clear>()},
    {Py_tp_dealloc, slot<deallocate>()},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_getattro, slot<get_attribute>()},
    {Py_tp_repr, slot<represent>()},
    {Py_tp_members, members},
    {0, nullptr},
};

PyType_Spec specification = {
    "tracer._native.Hidden", sizeof(Hidden), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

PyMethodDef functions[] = {
    {"hidden", method<hide>(), METH_O, "hidden(callable): called like it; a debugger sees none of the frames of a call"},
    {"shown", method<show>(), METH_FASTCALL | METH_KEYWORDS,
     "shown(callable, *args, **kwargs): a call within a hidden one whose frames a debugger sees"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

HiddenFromDebugger::HiddenFromDebugger() : hides_(PyThreadState_Get()->c_tracefunc) {
  if (!hides_) return;
  ++hiding;
  PyThreadState_EnterTracing(PyThreadState_Get());
}

HiddenFromDebugger::~HiddenFromDebugger() {
  if (!hides_) return;
  --hiding;
  PyThreadState_LeaveTracing(PyThreadState_Get());
}

namespace {

// Whether a table of breakpoints, by file, has one; false, without an error, for what is no such table.
bool any_in(Object table) {
  bool any = false;
  if (table && PyDict_Check(table.get())) {
    Py_ssize_t position = 0;
    PyObject* lines;
    while (!any && PyDict_Next(table.get(), &position, nullptr, &lines)) any = PyObject_IsTrue(lines) > 0;
  }
  if (PyErr_Occurred()) PyErr_Clear();
  return any;
}

// The debugger of debugpy, VS Code and PyCharm: one for the process, whose trace function says nothing of it.
Object pydevd_breakpoints() {
  Object name(PyUnicode_FromString("pydevd"));
  Object module(name ? PyImport_GetModule(name.get()) : nullptr);
  Object debugger(module ? PyObject_CallMethod(module.get(), "get_global_debugger", nullptr) : nullptr);
  return Object(debugger && debugger.get() != Py_None ? PyObject_GetAttrString(debugger.get(), "breakpoints") : nullptr);
}

}  // namespace

bool has_breakpoints() {
  PyThreadState* thread = PyThreadState_Get();
  if (!thread->c_tracefunc || !thread->c_traceobj) return false;
  HiddenFromDebugger hidden;
  bool is_method = PyMethod_Check(thread->c_traceobj);
  Object breaks(is_method ? PyObject_GetAttr(PyMethod_GET_SELF(thread->c_traceobj), breaks_name) : nullptr);
  return breaks ? any_in(std::move(breaks)) : (PyErr_Clear(), any_in(pydevd_breakpoints()));
}

bool add_debugger_functions(PyObject* module) {
  breaks_name = PyUnicode_InternFromString("breaks");
  hidden_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&specification));
  return breaks_name && hidden_type && PyModule_AddType(module, hidden_type) == 0 &&
         PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace bytegraph
