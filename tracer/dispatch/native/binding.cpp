// Making bindings, verifying them, and looking again at the one container whose version moved.
#include "binding.h"

#include "frame.h"

namespace bytegraph {
namespace {

const uint64_t unversioned = 0;  // a stamp here never fits: its owner is looked at on every call

const uint64_t* word(const void* address) { return static_cast<const uint64_t*>(address); }

void add(Binding& binding, const uint64_t* address, uint64_t expected, uint32_t owner) {
  binding.stamps.push_back({address, expected});
  binding.owners.push_back(owner);
}

void add(Binding& binding, const uint64_t* address, uint32_t owner = none) {
  add(binding, address, *address, owner);
}

bool may_change_class(PyTypeObject* type) {
  if (type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE) return PyType_IsSubtype(type, &PyModule_Type);
  return (type->tp_flags & Py_TPFLAGS_HEAPTYPE) || PyType_IsSubtype(type, &PyModule_Type);
}

// Where the object at `node`, a field of `base`, is kept; null if that is not one word in memory.
const uint64_t* place_in(PyObject* base, const Node& node) {
  if (node.access == Access::contents) return word(&reinterpret_cast<PyCellObject*>(base)->ob_ref);
  if (!PyFunction_Check(base)) return nullptr;
  auto* function = reinterpret_cast<PyFunctionObject*>(base);
  switch (node.field) {
    case Field::code: return word(&function->func_code);
    case Field::defaults: return word(&function->func_defaults);
    case Field::keyword_defaults: return word(&function->func_kwdefaults);
    default: return nullptr;
  }
}

// A type's version tag is 32 bits, and the padding behind it never changes.
static_assert(offsetof(PyTypeObject, tp_version_tag) % sizeof(uint64_t) == 0);
static_assert(offsetof(PyTypeObject, tp_finalize) - offsetof(PyTypeObject, tp_version_tag) == sizeof(uint64_t));

bool has_version(PyTypeObject* type) { return type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG; }

bool depends_on_content(Access access) {
  return access == Access::item || access == Access::key || access == Access::class_attribute;
}

// Fixed by the identity of an immutable base, so that no stamp covers it.
bool depends_on_identity(Access access) {
  return access == Access::index || access == Access::cell || access == Access::globals ||
         access == Access::builtins || access == Access::type;
}

}  // namespace

Binding* Anchor::find(PyObject* root) {
  size_t count = roots_.size();
  if (last_ < count && roots_[last_] == root) return bindings_[last_].get();
  if (last_ + 1 < count && roots_[last_ + 1] == root) return bindings_[++last_].get();
  for (size_t i = 0; i < count; ++i) {
    if (roots_[i] == root) return bindings_[last_ = i].get();
  }
  return nullptr;
}

Binding* Anchor::install(std::unique_ptr<Binding> binding) {
  size_t place = 0;
  while (place < roots_.size() && roots_[place] != binding->root) ++place;
  if (place == roots_.size()) {
    if (place < most_bindings) {
      roots_.push_back(nullptr);
      bindings_.emplace_back();
    } else {
      place = oldest_++ % most_bindings;
    }
  }
  roots_[place] = binding->root;
  bindings_[place] = std::move(binding);
  return bindings_[last_ = place].get();
}

Verdict GuardProgram::bind(Frame& frame, uint32_t scope, PyObject* root) {
  Anchor& anchor = anchors_[scope];
  if (!frame.nested) {
    if (Binding* known = anchor.find(root)) {
      frame.enter(scope, *known);
      if (verify(frame, *known)) return Verdict::holds;
    }
  }
  auto binding = std::make_unique<Binding>();
  binding->root = root;
  binding->values.resize(anchor.members.size());
  frame.enter(scope, *binding);
  Verdict built = build(frame, anchor, *binding);
  if (built != Verdict::holds) return built;
  if (frame.nested) {
    frame.temporaries.push_back(std::move(binding));
  } else {
    frame.enter(scope, *anchor.install(std::move(binding)));
  }
  return Verdict::holds;
}

Verdict GuardProgram::build(Frame& frame, const Anchor& anchor, Binding& binding) {
  if (anchor.node != none) stamp(binding, anchor.node, binding.root);
  for (uint32_t index : anchor.members) {
    const Node& node = nodes_[index];
    PyObject* value = frame.read(node);
    if (!value) return unreadable();
    frame.value(node) = value;
    Verdict found = checks_hold(node, value, true);
    if (found != Verdict::holds) return found;
    if (node.is_known) stamp_known(frame, binding, index);
    stamp(binding, index, value);
  }
  return Verdict::holds;
}

// Everything that would have to change in memory for what was read at `value` to be no longer so.
void GuardProgram::stamp(Binding& binding, uint32_t index, PyObject* value) {
  const Node& node = nodes_[index];
  if (node.access == Access::object && node.index) {
    add(binding, word(&reinterpret_cast<PyWeakReference*>(node.key)->wr_object));
  }
  if (node.access == Access::module) {
    add(binding, &reinterpret_cast<PyDictObject*>(PyImport_GetModuleDict())->ma_version_tag, index);
  }
  if (node.typed && may_change_class(Py_TYPE(value))) add(binding, word(&value->ob_type));
  if (node.reads_dict) {
    if (PyObject** slot = _PyObject_GetDictPtr(value)) add(binding, word(slot));
  }
  if (node.sized) stamp_content(binding, index, value);
  for (uint32_t check = node.first_check; check != none; check = checks_[check].next) {
    if (checks_[check].test == Test::empty) add(binding, word(&reinterpret_cast<PyDictObject*>(value)->ma_used));
    if (checks_[check].test == Test::tensor) {
      binding.tensors.push_back({value, checks_[check].tensor, index});
    }
  }
}

// A field whose object is known needs no second look while the field is the same and the object alive.
void GuardProgram::stamp_known(Frame& frame, Binding& binding, uint32_t index) {
  const Node& node = nodes_[index];
  if (node.access != Access::contents && node.access != Access::getattr) return;
  if (const uint64_t* place = place_in(frame.value(node.base), node)) {
    add(binding, place);
  } else {
    add(binding, &unversioned, 1, index);
  }
  for (uint32_t check = node.first_check; check != none; check = checks_[check].next) {
    PyObject* reference = checks_[check].reference;
    if (reference) add(binding, word(&reinterpret_cast<PyWeakReference*>(reference)->wr_object));
  }
}

void GuardProgram::stamp_content(Binding& binding, uint32_t index, PyObject* value) {
  bool own_order = nodes_[index].ordered && PyODict_Check(value);
  if (PyDict_Check(value) && !own_order) {
    add(binding, &reinterpret_cast<PyDictObject*>(value)->ma_version_tag, index);
    return;
  }
  if (PyType_Check(value)) {
    auto* type = reinterpret_cast<PyTypeObject*>(value);
    static PyObject* any_name = PyUnicode_InternFromString("__doc__");
    _PyType_Lookup(type, any_name);  // gives the type a version if it can have one
    if (has_version(type)) {
      add(binding, word(&type->tp_version_tag), index);
      return;
    }
  }
  if (PyList_Check(value)) {
    add(binding, word(&reinterpret_cast<PyVarObject*>(value)->ob_size));
    return;
  }
  bool immutable = PyTuple_Check(value) || PyFrozenSet_Check(value) || PyUnicode_Check(value);
  if (!immutable) add(binding, &unversioned, 1, index);
}

bool GuardProgram::verify(Frame& frame, Binding& binding) {
  const Stamp* stamps = binding.stamps.data();
  size_t count = binding.stamps.size();
  for (size_t i = 0; i < count; ++i) {
    if (*stamps[i].address == stamps[i].expected) [[likely]] continue;
    if (binding.owners[i] == none || !repair(frame, binding, binding.owners[i])) {
      PyErr_Clear();
      return false;
    }
    if (stamps[i].address != &unversioned) binding.stamps[i].expected = *stamps[i].address;
  }
  return tensors_hold(binding.tensors.data(), binding.tensors.size());
}

// The container at node `owner` changed: whether all that was read from it is as it was.
bool GuardProgram::repair(Frame& frame, Binding& binding, uint32_t owner) {
  const Node& node = nodes_[owner];
  PyObject* container = frame.value(node);
  bool read_again = node.access == Access::module || node.access == Access::getattr;
  if (read_again && frame.read(node) != container) return false;
  if (checks_hold(node, container, false) != Verdict::holds) return false;
  for (uint32_t index = node.first_child; index != none; index = nodes_[index].next_sibling) {
    const Node& child = nodes_[index];
    if (!child.member || !depends_on_content(child.access)) continue;
    PyObject* value = frame.read(child);
    if (!value) return false;
    bool same = value == frame.value(child);
    if (!(same ? still_so(frame, child, value) : replace_leaf(frame, binding, index, value))) return false;
  }
  return !PyType_Check(container) || has_version(reinterpret_cast<PyTypeObject*>(container)) ||
         !node.sized;
}

// A value at the address it had may still be another one, made after the first was freed: ask again
// what only its identity vouched for. What has stamps of its own is verified in its turn.
bool GuardProgram::still_so(Frame& frame, const Node& node, PyObject* value) {
  if (checks_hold(node, value, false) != Verdict::holds) return false;
  for (uint32_t index = node.first_child; index != none; index = nodes_[index].next_sibling) {
    const Node& child = nodes_[index];
    if (!child.member || !depends_on_identity(child.access)) continue;
    PyObject* found = frame.read(child);
    if (!found || found != frame.value(child) || !still_so(frame, child, found)) return false;
  }
  return true;
}

// Another value where nothing was read through the old one: as good, if it passes the same checks.
bool GuardProgram::replace_leaf(Frame& frame, Binding& binding, uint32_t index, PyObject* value) {
  const Node& node = nodes_[index];
  if (node.sized || node.typed || node.reads_dict || node.is_hook_table) return false;
  for (uint32_t child = node.first_child; child != none; child = nodes_[child].next_sibling) {
    if (nodes_[child].member) return false;
  }
  if (checks_hold(node, value, true) != Verdict::holds) return false;
  frame.value(node) = value;
  for (TensorRecord& record : binding.tensors) {
    if (record.node == index) record.tensor = value;
  }
  return true;
}

}  // namespace bytegraph
