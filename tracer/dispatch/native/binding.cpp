// Building bindings, verifying them, and repairing those in which the version of one container changed.
#include "binding.h"

#include "dict_layout.h"
#include "evaluation.h"

namespace bytegraph {
namespace {

const uint64_t unversioned = 0;  // a stamp of this word never fits, so that its owner is repaired on every call

// `dictionary` is the one that the word lies in, if it is one that watchers know of.
void add(Binding& binding, const void* address, uint32_t owner = none, PyObject* dictionary = nullptr) {
  bool is_told = dictionary && binding.watch.add(dictionary);  // before its version is read, which this moves
  uint64_t expected = address == &unversioned ? 1 : load_word(address);
  binding.stamps.add(address, expected, owner, is_told ? dictionary : nullptr);
  if (has_watchers && !is_told) binding.untold.add(address, expected, owner, nullptr);
}

void add_unversioned(Binding& binding, uint32_t owner) { add(binding, &unversioned, owner); }

void add_version(Binding& binding, PyObject* dict, uint32_t owner) {
  add(binding, &reinterpret_cast<PyDictObject*>(dict)->ma_version_tag, owner, dict);
}

bool may_change_class(PyTypeObject* type) {
  if (type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE) return PyType_IsSubtype(type, &PyModule_Type);
  return (type->tp_flags & Py_TPFLAGS_HEAPTYPE) || PyType_IsSubtype(type, &PyModule_Type);
}

// The address of the field of `base` that `node` reads; null if the value is not one word of memory.
const void* place_in(PyObject* base, const Node& node) {
  if (node.access == Access::contents) return &reinterpret_cast<PyCellObject*>(base)->ob_ref;
  if (node.field == Field::name && PyType_Check(base)) return name_of_class(base);
  if (!PyFunction_Check(base)) return nullptr;
  auto* function = reinterpret_cast<PyFunctionObject*>(base);
  switch (node.field) {
    case Field::code: return &function->func_code;
    case Field::defaults: return &function->func_defaults;
    case Field::keyword_defaults: return &function->func_kwdefaults;
    case Field::name: return &function->func_name;
    case Field::self:
    case Field::function:
    case Field::other: return nullptr;
  }
  return nullptr;
}

// A type's version tag is 32 bits, and the padding behind it never changes.
static_assert(offsetof(PyTypeObject, tp_version_tag) % sizeof(uint64_t) == 0);
static_assert(offsetof(PyTypeObject, tp_finalize) - offsetof(PyTypeObject, tp_version_tag) == sizeof(uint64_t));

const void* version_of(PyTypeObject* type) {
  return reinterpret_cast<const char*>(type) + offsetof(PyTypeObject, tp_version_tag);
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
      roots_.reserve(place + 1);  // both, before either grows: so they keep the same length if memory runs out
      bindings_.reserve(place + 1);
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

Verdict GuardProgram::bind(Evaluation& evaluation, uint32_t scope, PyObject* root) {
  Anchor& anchor = anchors_[scope];
  if (!evaluation.nested) {
    if (Binding* binding = anchor.find(root)) {
      evaluation.enter(scope, *binding);
      if (verify(evaluation, *binding)) return Verdict::holds;
    }
  }
  ++full_reads_;
  auto binding = std::make_unique<Binding>();
  binding->root = root;
  binding->watch.clean();
  binding->values.resize(anchor.members.size());
  evaluation.enter(scope, *binding);
  Verdict built = build(evaluation, anchor, *binding);
  if (built != Verdict::holds) return built;
  if (evaluation.nested) {
    evaluation.temporaries.push_back(std::move(binding));
  } else {
    evaluation.enter(scope, *anchor.install(std::move(binding)));
  }
  return Verdict::holds;
}

Verdict GuardProgram::build(Evaluation& evaluation, const Anchor& anchor, Binding& binding) {
  if (anchor.node != none) stamp(binding, anchor.node, binding.root);
  for (uint32_t index : anchor.members) {
    const Node& node = nodes_[index];
    PyObject* value = evaluation.read(node);
    if (!value) return unreadable();
    evaluation.value(node) = value;
    Verdict found = tests_hold(node, value, true);
    if (found != Verdict::holds) return found;
    if (node.is_known) stamp_known(evaluation, binding, index);
    stamp(binding, index, value);
  }
  return Verdict::holds;
}

// Stamps every word of memory that must change before what was read from `value` can change.
void GuardProgram::stamp(Binding& binding, uint32_t index, PyObject* value) {
  const Node& node = nodes_[index];
  if (node.access == Access::object && node.index) {
    add(binding, &reinterpret_cast<PyWeakReference*>(node.key)->wr_object);
  }
  if (node.access == Access::module) {
    add_version(binding, PyImport_GetModuleDict(), index);
  }
  if (node.typed && may_change_class(Py_TYPE(value))) add(binding, &value->ob_type);
  if (node.reads_dict) {
    // Made now, so that its slot is not stamped while it is still empty.
    if (PyObject* dict = instance_dict(value)) make_versioned(value, dict);
    if (PyObject** slot = _PyObject_GetDictPtr(value)) add(binding, slot);
  }
  if (node.sized) stamp_content(binding, index, value);
  for (uint32_t test = node.first_test; test != none; test = tests_[test].next) {
    if (tests_[test].test == Test::empty) add(binding, &reinterpret_cast<PyDictObject*>(value)->ma_used, none, value);
    if (tests_[test].test == Test::tensor) {
      binding.tensors.push_back({value, tests_[test].tensor, index});
    }
  }
}

// A field tested to hold one object need not be read again while the field is unchanged and the object alive. A literal
// is alive if it is the guard's own; of another that equals it, the field may hold a later one at the same address.
void GuardProgram::stamp_known(Evaluation& evaluation, Binding& binding, uint32_t index) {
  const Node& node = nodes_[index];
  if (node.access != Access::contents && node.access != Access::getattr) return;
  PyObject *base = evaluation.value(node.base), *value = evaluation.value(node);
  bool is_held = false;
  for (uint32_t test = node.first_test; test != none; test = tests_[test].next) {
    bool of_identity = tests_[test].test == Test::same_object || tests_[test].test == Test::equal;
    is_held |= of_identity && tests_[test].expected == value;
    PyObject* reference = tests_[test].reference;
    if (reference) add(binding, &reinterpret_cast<PyWeakReference*>(reference)->wr_object);
  }
  const void* place = is_held ? place_in(base, node) : nullptr;
  place ? add(binding, place) : add_unversioned(binding, index);
  if (place && PyType_Check(base)) add(binding, &base->ob_type);
}

void GuardProgram::stamp_content(Binding& binding, uint32_t index, PyObject* value) {
  bool own_order = nodes_[index].ordered && PyODict_Check(value);
  if (PyDict_Check(value) && !own_order) {
    is_versioned(value) ? add_version(binding, value, index) : add_unversioned(binding, index);
    return;
  }
  if (PyType_Check(value)) {
    auto* type = reinterpret_cast<PyTypeObject*>(value);
    static PyObject* any_name = PyUnicode_InternFromString("__doc__");
    _PyType_Lookup(type, any_name);  // assigns the type a version if it can have one
    if (has_version(type)) {
      add(binding, version_of(type), index);
      return;
    }
  }
  if (PyList_Check(value)) {
    add(binding, &reinterpret_cast<PyVarObject*>(value)->ob_size);
    return;
  }
  bool immutable = PyTuple_Check(value) || PyFrozenSet_Check(value) || PyUnicode_Check(value);
  if (!immutable) add_unversioned(binding, index);
}

// While the watch is clean, its dictionaries are alive and as they were: so is what they hold, in which other stamps lie.
bool GuardProgram::verify(Evaluation& evaluation, Binding& binding) {
  bool holds = has_watchers && binding.watch.is_clean() && stamps_hold(evaluation, binding, binding.untold, false);
  if (!holds || !binding.watch.is_clean()) {
    bool watches_again = binding.watch.is_lost();
    binding.watch.clean();
    if (!stamps_hold(evaluation, binding, binding.stamps, watches_again)) {
      binding.watch.lose();
      return false;
    }
  }
  return tensors_hold(binding.tensors.data(), binding.tensors.size());
}

bool GuardProgram::stamps_hold(Evaluation& evaluation, Binding& binding, Stamps& stamps, bool watches_again) {
  Stamp* words = stamps.words.data();
  size_t count = stamps.words.size();
  auto holds = [words](size_t i) { return load_word(words[i].address) == words[i].expected; };
  for (size_t i = 0; i < count; ++i) {
    while (!watches_again && i < count && holds(i)) ++i;
    if (i == count) break;
    if (!holds(i) && (stamps.owners[i] == none || !repair(evaluation, binding, stamps.owners[i]))) {
      PyErr_Clear();
      return false;
    }
    if (watches_again && stamps.dictionaries[i]) binding.watch.add(stamps.dictionaries[i], true);
    if (words[i].address != &unversioned) words[i].expected = load_word(words[i].address);
  }
  return true;
}

// The container at the node `owner` changed: whether everything that was read from it is unchanged.
bool GuardProgram::repair(Evaluation& evaluation, Binding& binding, uint32_t owner) {
  const Node& node = nodes_[owner];
  PyObject* container = evaluation.value(node);
  bool read_again = node.access == Access::module || node.access == Access::getattr || node.access == Access::contents;
  if (read_again && evaluation.read(node) != container) return false;
  if (tests_hold(node, container, false) != Verdict::holds) return false;
  for (uint32_t index = node.first_child; index != none; index = nodes_[index].next_sibling) {
    const Node& child = nodes_[index];
    if (!child.member || !traits(child.access).is_by_content) continue;
    PyObject* value = evaluation.read(child);
    if (!value) return false;
    bool same = value == evaluation.value(child);
    if (!(same ? still_so(evaluation, child, value) : replace_leaf(evaluation, binding, index, value))) return false;
  }
  return !PyType_Check(container) || has_version(reinterpret_cast<PyTypeObject*>(container)) ||
         !node.sized;
}

// A value at the same address may be another object, created after the first was freed: repeat its tests, and check
// again what followed from its identity alone. What has stamps of its own is verified when they are.
bool GuardProgram::still_so(Evaluation& evaluation, const Node& node, PyObject* value) {
  if (tests_hold(node, value, false) != Verdict::holds) return false;
  for (uint32_t index = node.first_child; index != none; index = nodes_[index].next_sibling) {
    const Node& child = nodes_[index];
    if (!child.member || !traits(child.access).is_by_identity) continue;
    PyObject* found = evaluation.read(child);
    if (!found || found != evaluation.value(child) || !still_so(evaluation, child, found)) return false;
  }
  return true;
}

// Puts another value in the place of one through which nothing was read, if it passes the same tests.
bool GuardProgram::replace_leaf(Evaluation& evaluation, Binding& binding, uint32_t index, PyObject* value) {
  const Node& node = nodes_[index];
  if (node.sized || node.typed || node.reads_dict || node.is_hook_table) return false;
  for (uint32_t child = node.first_child; child != none; child = nodes_[child].next_sibling) {
    if (nodes_[child].member) return false;
  }
  if (tests_hold(node, value, true) != Verdict::holds) return false;
  evaluation.value(node) = value;
  for (TensorRecord& record : binding.tensors) {
    if (record.node == index) record.tensor = value;
  }
  return true;
}

}  // namespace bytegraph
