#include "entry.h"

#include "boundary.h"
#include "small_array.h"

#include <structmember.h>

namespace bytegraph {

PyTypeObject* entry_type = nullptr;

namespace {

Entry* as_entry(PyObject* self) { return reinterpret_cast<Entry*>(self); }

int initialise(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"guards", "inputs", "function", nullptr};
  PyObject *guards, *inputs, *program;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOO:NativeEntry", const_cast<char**>(names), &guards, &inputs,
                                   &program)) {
    return -1;
  }
  if (program != Py_None && !PyCallable_Check(program)) {
    PyErr_Format(PyExc_TypeError, "an entry's function must be callable or None, not %R", program);
    return -1;
  }
  Entry* entry = as_entry(self);
  if (entry->native) {
    PyErr_SetString(PyExc_ValueError, "an entry that belongs to a cache cannot be initialised again");
    return -1;
  }
  Py_XSETREF(entry->guards, Py_NewRef(guards));
  Py_XSETREF(entry->inputs, Py_NewRef(inputs));
  Py_XSETREF(entry->program, Py_NewRef(program));
  return 0;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Entry* entry = as_entry(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(entry->guards);
  Py_VISIT(entry->inputs);
  Py_VISIT(entry->program);
  return entry->native ? entry->native->traverse(visit, arg) : 0;
}

int clear(PyObject* self) {
  Entry* entry = as_entry(self);
  delete std::exchange(entry->native, nullptr);
  Py_CLEAR(entry->guards);
  Py_CLEAR(entry->inputs);
  Py_CLEAR(entry->program);
  return 0;
}

void deallocate(PyObject* self) {
  PyObject_GC_UnTrack(self);
  if (as_entry(self)->weak_references) PyObject_ClearWeakRefs(self);
  clear(self);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* bindings(PyObject* self, void*) {
  Entry* entry = as_entry(self);
  return PyLong_FromSize_t(entry->native ? entry->native->binding_count() : 0);
}

PyObject* full_reads(PyObject* self, void*) {
  Entry* entry = as_entry(self);
  return PyLong_FromSize_t(entry->native ? entry->native->full_reads() : 0);
}

PyObject* is_dead(PyObject* self, void*) {
  Entry* entry = as_entry(self);
  return PyBool_FromLong(entry->native && entry->native->is_dead());
}

PyMemberDef members[] = {
    {"guards", T_OBJECT, offsetof(Entry, guards), READONLY, "the GuardSet the program relies on"},
    {"inputs", T_OBJECT, offsetof(Entry, inputs), READONLY, "the sources whose values the program takes"},
    {"function", T_OBJECT, offsetof(Entry, program), READONLY, "the residual program; None: run the original"},
    {"arguments_are_held", T_BOOL, offsetof(Entry, arguments_are_held), 0,
     "whether only callers that hold the arguments themselves may use it"},
    {"hits", T_PYSSIZET, offsetof(Entry, hits), READONLY, "how often the program ran"},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Entry, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyGetSetDef properties[] = {
    {"bindings", guarded<bindings>, nullptr,
     "the number of root objects for which the guards are known to hold", nullptr},
    {"full_reads", guarded<full_reads>, nullptr,
     "how often all that is reached from a root object was read, as nothing, or something else, was known of it", nullptr},
    {"is_dead", guarded<is_dead>, nullptr,
     "whether an object that it compares with is gone, so that it cannot hit again", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

const char documentation[] =
    "NativeEntry(guards, inputs, function)\n--\n\n"
    "What a cache knows of a capture: `function(*values of inputs)` is called instead if all `guards` hold.";

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(documentation)},
    {Py_tp_init, slot<initialise>()},
    {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
    {Py_tp_traverse, slot<traverse>()},
    {Py_tp_clear, slot<clear>()},
    {Py_tp_dealloc, slot<deallocate>()},
    {Py_tp_members, members},
    {Py_tp_getset, properties},
    {0, nullptr},
};

PyType_Spec specification = {"tracer._native.NativeEntry", sizeof(Entry), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

bool add_entry_type(PyObject* module) {
  entry_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&specification));
  return entry_type && PyModule_AddType(module, entry_type) == 0;
}

bool prepare_entry(Entry* entry, PyObject* names) {
  if (!entry->guards) {
    PyErr_SetString(PyExc_ValueError, "the entry was never initialised");
    return false;
  }
  auto program = GuardProgram::make(entry->guards, entry->inputs, names);
  if (!program) return false;
  delete std::exchange(entry->native, program.release());
  return true;
}

Object inputs_of(Entry* entry, const Call& call) {
  std::vector<Object> owned;
  size_t count = entry->native->input_count();
  SmallArray<PyObject*, 32> inputs(count);
  Verdict verdict = entry->native->run(call, inputs.data(), owned);
  if (verdict == Verdict::error) return Object();
  if (verdict == Verdict::fails) return Object::borrow(Py_None);
  Object values(PyTuple_New(count));
  for (size_t i = 0; values && i < count; ++i) PyTuple_SET_ITEM(values.get(), i, Py_NewRef(inputs.data()[i]));
  return values;
}

}  // namespace bytegraph
