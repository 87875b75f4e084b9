// The value of each kind of access; ACCESSORS of tracer/guards/source.py defines it.
// A base may be of any type: every case tests it first.
#include "dict_layout.h"
#include "evaluation.h"

#include <structmember.h>

namespace bytegraph {
namespace {

PyTypeObject* deque_type() {
  static PyTypeObject* type = [] {
    Object module(PyImport_ImportModule("collections"));
    return reinterpret_cast<PyTypeObject*>(module ? PyObject_GetAttrString(module.get(), "deque") : nullptr);
  }();
  return type;
}

PyObject* sequence_item(PyObject* base, Py_ssize_t index) {
  if (!PyList_Check(base) && !PyTuple_Check(base)) return nullptr;
  Py_ssize_t size = Py_SIZE(base);
  if (index < 0) index += size;
  if (index < 0 || index >= size) return nullptr;
  return PyList_Check(base) ? PyList_GET_ITEM(base, index) : PyTuple_GET_ITEM(base, index);
}

PyObject* nth_key(PyObject* base, Py_ssize_t index) {
  if (!PyDict_Check(base) || index < 0) return nullptr;
  if (PyODict_Check(base)) {
    Object keys = ordered_keys(base);
    return keys && index < PyList_GET_SIZE(keys.get()) ? PyList_GET_ITEM(keys.get(), index) : nullptr;
  }
  PyObject *key = nullptr, *value;
  Py_ssize_t position = 0;
  for (Py_ssize_t i = 0; i <= index; ++i) {
    if (!PyDict_Next(base, &position, &key, &value)) return nullptr;
  }
  return key;
}

PyObject* or_none(PyObject* value) { return value ? value : Py_None; }

PyObject* known_field(PyObject* base, Field field) {
  if (field == Field::other) return nullptr;
  if (PyFunction_Check(base)) {
    auto* function = reinterpret_cast<PyFunctionObject*>(base);
    if (field == Field::code) return function->func_code;
    if (field == Field::defaults) return or_none(function->func_defaults);
    if (field == Field::keyword_defaults) return or_none(function->func_kwdefaults);
    if (field == Field::name) return function->func_name;
  } else if (PyMethod_Check(base)) {
    if (field == Field::self) return PyMethod_GET_SELF(base);
    if (field == Field::function) return PyMethod_GET_FUNCTION(base);
  } else if (field == Field::name) {
    if (PyObject** name = name_of_class(base)) return *name;
  }
  return nullptr;
}

// Notes in `node` where an attribute is kept in the instance itself, as `__slots__` are.
void learn_slot(const Node& node, PyTypeObject* type) {
  if (type->tp_getattro != PyObject_GenericGetAttr || !PyUnicode_Check(node.key)) return;
  PyObject* descriptor = _PyType_Lookup(type, node.key);
  if (!descriptor || !Py_IS_TYPE(descriptor, &PyMemberDescr_Type) || !has_version(type)) return;
  const PyMemberDef* member = reinterpret_cast<PyMemberDescrObject*>(descriptor)->d_member;
  if (member->type != T_OBJECT_EX) return;
  node.slot_version = type->tp_version_tag;
  node.slot_offset = member->offset;
}

// A new reference, or borrowed from its holder if `*borrowed`.
PyObject* attribute(const Node& node, PyObject* base, bool* borrowed) {
  *borrowed = true;
  if (PyObject* field = known_field(base, node.field)) return field;
  PyTypeObject* type = Py_TYPE(base);
  if (!node.slot_version) learn_slot(node, type);
  if (node.slot_version && node.slot_version == type->tp_version_tag) {
    return *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(base) + node.slot_offset);
  }
  node.slot_version = 0;
  *borrowed = false;
  return PyObject_GetAttr(base, node.key);
}

// A new list of the classes that a class has for direct subclasses, whatever its metaclass answers.
PyObject* subclasses(PyObject* base) {
  return PyType_Check(base) ? PyObject_CallMethod(reinterpret_cast<PyObject*>(&PyType_Type), "__subclasses__", "O", base)
                            : nullptr;
}

// New references to the item of a deque and to what a context variable holds.
PyObject* deque_item(PyObject* base, Py_ssize_t index) {
  if (!deque_type() || !PyObject_TypeCheck(base, deque_type())) return nullptr;
  return deque_type()->tp_as_sequence->sq_item(base, index < 0 ? index + stored_length(base) : index);
}

PyObject* held(PyObject* base) {
  PyObject* item = nullptr;
  return PyContextVar_CheckExact(base) && PyContextVar_Get(base, base, &item) == 0 ? item : nullptr;
}

PyObject* number(PyObject* base, TensorNumber which, Py_ssize_t dim) {
  int64_t result;
  return tensor_number(base, which, dim, &result) ? PyLong_FromLongLong(result) : nullptr;
}

// What ACCESSORS gets: the rows about iterators and arrays have no other definition than that of Python.
PyObject* get_in_python(const char* accessor, PyObject* base, PyObject* key) {
  static PyObject* accessors = [] {
    Object module(PyImport_ImportModule("tracer.guards.source"));
    return module ? PyObject_GetAttrString(module.get(), "ACCESSORS") : nullptr;
  }();
  PyObject* row = accessors ? PyDict_GetItemString(accessors, accessor) : nullptr;
  Object get(row ? PyObject_GetAttrString(row, "get") : nullptr);
  return get ? PyObject_CallFunctionObjArgs(get.get(), base, key, nullptr) : nullptr;
}

}  // namespace

PyObject* instance_dict(PyObject* base) {
  if (PyType_Check(base)) return nullptr;
  PyObject** slot = _PyObject_GetDictPtr(base);
  if (!slot) return nullptr;
  if (!*slot) Object made(PyObject_GenericGetDict(base, nullptr));
  return *slot;
}

Py_ssize_t stored_length(PyObject* value) {
  if (PyDict_Check(value)) return PyDict_GET_SIZE(value);
  if (PyList_Check(value) || PyTuple_Check(value)) return Py_SIZE(value);
  if (PyAnySet_Check(value)) return PySet_GET_SIZE(value);
  if (PyUnicode_Check(value)) return PyUnicode_GET_LENGTH(value);
  if (deque_type() && PyObject_TypeCheck(value, deque_type())) return deque_type()->tp_as_sequence->sq_length(value);
  return -1;
}

Object ordered_keys(PyObject* dictionary) {
  Object keys(PyObject_CallMethod(reinterpret_cast<PyObject*>(&PyODict_Type), "keys", "O", dictionary));
  return keys ? Object(PySequence_List(keys.get())) : Object();
}

PyObject* Evaluation::read(const Node& node) {
  PyObject* base = node.base == none ? nullptr : value(node.base);
  switch (node.access) {
    case Access::argument: return call.locals[node.index];
    case Access::function: return call.function;
    case Access::object: {
      if (!node.index) return node.key;
      PyObject* target = PyWeakref_GET_OBJECT(node.key);
      // Kept until the evaluation ends: code that a later guard calls may drop the last other reference.
      return target == Py_None ? nullptr : keep(Py_NewRef(target));
    }
    case Access::module: return PyDict_GetItemWithError(PyImport_GetModuleDict(), node.key);
    case Access::globals: return PyFunction_Check(base) ? PyFunction_GET_GLOBALS(base) : nullptr;
    case Access::builtins:
      return PyFunction_Check(base) ? reinterpret_cast<PyFunctionObject*>(base)->func_builtins : nullptr;
    case Access::cell: {
      PyObject* closure = PyFunction_Check(base) ? PyFunction_GET_CLOSURE(base) : nullptr;
      return closure ? sequence_item(closure, node.index) : nullptr;
    }
    case Access::contents: return PyCell_Check(base) ? PyCell_GET(base) : nullptr;
    case Access::type: return reinterpret_cast<PyObject*>(Py_TYPE(base));
    case Access::dict: return instance_dict(base);
    case Access::class_attribute:
      return PyType_Check(base) ? _PyType_Lookup(reinterpret_cast<PyTypeObject*>(base), node.key) : nullptr;
    case Access::getattr: {
      bool borrowed;
      PyObject* result = attribute(node, base, &borrowed);
      return borrowed ? result : keep(result);
    }
    case Access::item: return PyDict_Check(base) ? PyDict_GetItemWithError(base, node.key) : nullptr;
    case Access::index: return sequence_item(base, node.index);
    case Access::key: return nth_key(base, node.index);
    case Access::deque_item: return keep(deque_item(base, node.index));
    case Access::length: {
      Py_ssize_t length = stored_length(base);
      return length < 0 ? nullptr : keep(PyLong_FromSsize_t(length));
    }
    case Access::item_of: return PyDict_Check(base) ? PyDict_GetItemWithError(base, value(node.other)) : nullptr;
    case Access::size: return keep(number(base, TensorNumber::size, node.index));
    case Access::stride: return keep(number(base, TensorNumber::stride, node.index));
    case Access::storage_offset: return keep(number(base, TensorNumber::storage_offset, 0));
    case Access::subclasses: return keep(subclasses(base));
    case Access::call:
      if (PyWeakref_CheckRef(base)) return PyWeakref_GET_OBJECT(base);
      return PyCFunction_Check(base) ? keep(PyObject_CallNoArgs(base)) : nullptr;
    case Access::upcoming: return keep(get_in_python("upcoming", base, node.key));
    case Access::has_upcoming: return keep(get_in_python("has upcoming", base, node.key));
    case Access::leaf: return keep(get_in_python("leaf", base, node.key));
    case Access::form: return keep(get_in_python("form", base, node.key));
    case Access::memory: return keep(get_in_python("memory", base, node.key));
    case Access::layout: return keep(get_in_python("layout", base, node.key));
    case Access::held: return keep(held(base));
  }
  return nullptr;
}

}  // namespace bytegraph
