// Trial deletion from one object: an object dies with it when all references to it come from objects that die.
#include "lifetimes.h"

#include <cstring>
#include <unordered_map>
#include <vector>

#include "boundary.h"
#include "frame_layout.h"

namespace bytegraph {
namespace {

// Beyond this many objects an end counts as visible: looking further would take longer than a graph break.
constexpr size_t most_objects = 20000;

struct Deaths {
  PyObject* first;
  std::unordered_map<PyObject*, Py_ssize_t> references;  // to each object that was met, from objects that die
  std::vector<PyObject*> pending;                        // objects that die, and were not looked at
};

int meet(PyObject* object, void* argument) {
  auto* deaths = static_cast<Deaths*>(argument);
  if (!object || object == deaths->first || PyType_Check(object)) return 0;
  if (++deaths->references[object] == Py_REFCNT(object)) deaths->pending.push_back(object);
  return 0;
}

bool is_plain(PyTypeObject* cls) {
  return cls == &_PyWeakref_RefType || cls == &_PyWeakref_ProxyType || cls == &_PyWeakref_CallableProxyType;
}

// Whether a weak reference is one of torch's or of ours, which keep tables and caches: its class is, or what it calls
// back. TorchDynamo counts the generations of all modules in such a table once it has compiled something.
bool is_of_a_library(PyWeakReference* reference) {
  PyTypeObject* cls = Py_TYPE(reference);
  PyObject* callback = reference->wr_callback;
  PyObject* module = nullptr;
  if (!is_plain(cls)) {
    module = cls->tp_dict ? PyDict_GetItemString(cls->tp_dict, "__module__") : nullptr;
  } else if (callback && PyFunction_Check(callback)) {
    module = PyDict_GetItemString(PyFunction_GET_GLOBALS(callback), "__name__");
  }
  const char* name = module && PyUnicode_Check(module) ? PyUnicode_AsUTF8(module) : nullptr;
  if (!name) PyErr_Clear();
  return name && (!std::strncmp(name, "torch.", 6) || !std::strncmp(name, "passes.", 7));
}

bool is_referred_to(PyObject* object) {
  if (!PyType_SUPPORTS_WEAKREFS(Py_TYPE(object))) return false;
  auto* reference = *reinterpret_cast<PyWeakReference**>(PyObject_GET_WEAKREFS_LISTPTR(object));
  while (reference && is_of_a_library(reference)) reference = reference->wr_next;
  return reference;
}

// A weak reference that dies first does not call its callback.
bool has_callback(PyObject* reference) {
  return reinterpret_cast<PyWeakReference*>(reference)->wr_callback && PyWeakref_GET_OBJECT(reference) != Py_None;
}

bool shows_its_end(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  if (is_referred_to(object)) return true;
  if (PyWeakref_Check(object) && has_callback(object)) return true;
  if (PyGen_CheckExact(object)) {
    int8_t state = reinterpret_cast<PyGenObject*>(object)->gi_frame_state;
    return FRAME_CREATED < state && state < FRAME_EXECUTING;
  }
  if (PyCoro_CheckExact(object)) return reinterpret_cast<PyCoroObject*>(object)->cr_frame_state < FRAME_EXECUTING;
  if (PyAsyncGen_CheckExact(object)) {
    return reinterpret_cast<PyAsyncGenObject*>(object)->ag_frame_state < FRAME_EXECUTING;
  }
  return type->tp_finalize || type->tp_del || PyMemoryView_Check(object);
}

// Whether a function is held by the namespace of its module, under its name: it lives on without the frame.
bool lives_in_its_module(PyObject* object) {
  PyObject* held = nullptr;
  if (PyFunction_Check(object)) {
    held = PyDict_GetItemWithError(PyFunction_GET_GLOBALS(object), reinterpret_cast<PyFunctionObject*>(object)->func_name);
  } else if (PyCFunction_Check(object) && PyCFunction_GET_SELF(object) && PyModule_Check(PyCFunction_GET_SELF(object))) {
    PyObject* names = PyModule_GetDict(PyCFunction_GET_SELF(object));
    held = PyDict_GetItemString(names, reinterpret_cast<PyCFunctionObject*>(object)->m_ml->ml_name);
  }
  if (!held) PyErr_Clear();
  return held == object;
}

PyObject* python_ends_visibly(PyObject*, PyObject* object) { return PyBool_FromLong(ends_visibly(object)); }

PyMethodDef functions[] = {
    {"ends_visibly", method<python_ends_visibly>(), METH_O,
     "ends_visibly(object): whether a program can see the end of an object that its last holder lets go of"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool ends_visibly(PyObject* object) {
  if (PyType_Check(object) || lives_in_its_module(object)) return false;
  if (shows_its_end(object)) return true;
  if (!PyObject_IS_GC(object)) return false;
  Deaths deaths{object, {}, {}};
  PyObject* dying = object;
  while (true) {
    if (PyObject_IS_GC(dying)) Py_TYPE(dying)->tp_traverse(dying, meet, &deaths);
    if (deaths.references.size() > most_objects) return true;
    if (deaths.pending.empty()) return false;
    dying = deaths.pending.back();
    deaths.pending.pop_back();
    if (shows_its_end(dying)) return true;
  }
}

bool add_lifetimes(PyObject* module) { return PyModule_AddFunctions(module, functions) == 0; }

}  // namespace bytegraph
