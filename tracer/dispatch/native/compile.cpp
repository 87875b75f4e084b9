// From guards and inputs, which are Python objects, to the nodes, checks and steps of a program.
#include <unordered_map>

#include "guard_program.h"

namespace bytegraph {
namespace {

// Numbers by name, read once from the `number` fields of one of the Python tables.
class Numbers {
 public:
  Numbers(const char* module, const char* table) : module_(module), table_(table) {}

  // -1 with a Python error if there is no such name.
  long operator[](PyObject* name) {
    if (!by_name_ && !load()) return -1;
    PyObject* number = PyDict_GetItemWithError(by_name_, name);
    if (number) return PyLong_AsLong(number);
    if (!PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "%R is not in %s.%s", name, module_, table_);
    return -1;
  }

 private:
  bool load() {
    Object module(PyImport_ImportModule(module_));
    Object table(module ? PyObject_GetAttrString(module.get(), table_) : nullptr);
    Object by_name(table ? PyDict_New() : nullptr);
    if (!by_name) return false;
    PyObject *name, *row;
    Py_ssize_t position = 0;
    while (PyDict_Next(table.get(), &position, &name, &row)) {
      Object number(PyObject_GetAttrString(row, "number"));
      if (!number || PyDict_SetItem(by_name.get(), name, number.get()) < 0) return false;
    }
    by_name_ = by_name.release();
    return true;
  }

  const char *module_, *table_;
  PyObject* by_name_ = nullptr;
};

Numbers accessors("tracer.guards.source", "ACCESSORS");
Numbers check_numbers("tracer.guards.checks", "CHECKS");
Numbers operations("tracer.guards.checks", "OPERATIONS");

PyObject* interned(const char* text) { return PyUnicode_InternFromString(text); }

struct Names {
  PyObject *base, *accessor, *key, *object;
};

const Names& names() {
  static const Names names{interned("base"), interned("accessor"), interned("key"), interned("object")};
  return names;
}

constexpr const char* hook_tables[] = {"_forward_hooks", "_forward_pre_hooks", "_backward_hooks",
                                       "_backward_pre_hooks"};

Field field_named(PyObject* name) {
  static const struct {
    const char* name;
    Field field;
  } fields[] = {{"__code__", Field::code},
                {"__defaults__", Field::defaults},
                {"__kwdefaults__", Field::keyword_defaults},
                {"__self__", Field::self},
                {"__func__", Field::function}};
  for (const auto& known : fields) {
    if (PyUnicode_Check(name) && !PyUnicode_CompareWithASCIIString(name, known.name)) return known.field;
  }
  return Field::other;
}

bool has_int_key(Access access) {
  return access == Access::cell || access == Access::index || access == Access::key ||
         access == Access::deque_item || access == Access::size || access == Access::stride;
}

bool is_durable(Access access) {
  switch (access) {
    case Access::dict: case Access::type: case Access::class_attribute: case Access::item: case Access::key:
    case Access::globals: case Access::builtins: case Access::cell:
      return true;
    default: return false;
  }
}

}  // namespace

class Compiler {
 public:
  Compiler(GuardProgram& program, PyObject* parameters) : program_(program), parameters_(parameters) {}

  bool compile() {
    program_.anchors_.resize(2);
    program_.anchors_[call_scope].node = program_.anchors_[static_scope].node = none;
    PyObject *rows = program_.rows_.get(), *inputs = program_.inputs_.get();
    by_source_.reserve(PyTuple_GET_SIZE(rows) + PyTuple_GET_SIZE(inputs));
    program_.nodes_.reserve(PyTuple_GET_SIZE(rows) * 2);
    program_.checks_.reserve(PyTuple_GET_SIZE(rows) * 2);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(rows); ++i) {
      if (!add_row(PyTuple_GET_ITEM(rows, i))) return false;
    }
    std::vector<uint32_t> input_nodes;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); ++i) {
      input_nodes.push_back(node_of(PyTuple_GET_ITEM(inputs, i)));
      if (input_nodes.back() == none) return false;
    }
    place_nodes();
    for (uint32_t node : input_nodes) program_.input_places_.push_back({at(node).scope, at(node).slot});
    return true;
  }

 private:
  Node& at(uint32_t index) { return program_.nodes_[index]; }

  // Nodes ------------------------------------------------------------------------------------------

  uint32_t node_of(PyObject* source) {
    auto known = by_source_.find(source);
    if (known != by_source_.end()) return known->second;
    Object base(PyObject_GetAttr(source, names().base)), accessor(PyObject_GetAttr(source, names().accessor));
    Object key(PyObject_GetAttr(source, names().key));
    if (!base || !accessor || !key) return none;
    long number = accessors[accessor.get()];
    if (number < 0) return none;
    Node node{};
    node.access = static_cast<Access>(number);
    node.key = key.get();  // lives as long as its source
    if (base.get() != Py_None && (node.base = node_of(base.get())) == none) return none;
    if (!read_key(node)) return none;
    uint32_t index = add(node);
    by_source_.emplace(source, index);
    return index;
  }

  bool read_key(Node& node) {
    if (node.access == Access::item_of) return (node.other = node_of(node.key)) != none;
    if (has_int_key(node.access)) {
      node.index = PyLong_AsSsize_t(node.key);
      return !PyErr_Occurred();
    }
    if (node.access == Access::getattr) node.field = field_named(node.key);
    if (node.access == Access::argument) {
      node.index = PySequence_Index(parameters_, node.key);
      return node.index >= 0;
    }
    if (node.access == Access::object) {
      node.index = PyWeakref_CheckRef(node.key);
      if (node.index) return true;
      Object target(PyObject_GetAttr(node.key, names().object));
      node.key = target.get();  // the Strong that refers to it is the source's
      return static_cast<bool>(target);
    }
    return true;
  }

  uint32_t add(const Node& node) {
    uint32_t index = program_.nodes_.size();
    program_.nodes_.push_back(node);
    if (node.base == none) return index;
    Node& base = at(node.base);
    (base.first_child == none ? base.first_child : at(base.last_child).next_sibling) = index;
    base.last_child = index;
    switch (node.access) {
      case Access::dict: base.reads_dict = base.typed = true; break;
      case Access::type: base.typed = true; break;
      case Access::key: base.ordered = base.sized = true; break;
      case Access::item: base.sized = true; break;
      case Access::class_attribute: base.reads_class = base.sized = true; break;
      default: break;
    }
    return index;
  }

  // Checks -----------------------------------------------------------------------------------------

  bool add_row(PyObject* row) {
    if (!PyTuple_Check(row) || PyTuple_GET_SIZE(row) < 3) {
      PyErr_Format(PyExc_TypeError, "not a Guard: %R", row);
      return false;
    }
    PyObject *source = PyTuple_GET_ITEM(row, 0), *expected = PyTuple_GET_ITEM(row, 2);
    long number = check_numbers[PyTuple_GET_ITEM(row, 1)];
    if (number < 0) return false;
    auto test = static_cast<Test>(number);
    if (test == Test::state) return add_state(expected);
    if (test == Test::expression) return add_condition(expected);
    uint32_t node = node_of(source);
    if (node == none) return false;
    switch (test) {
      case Test::same_as: case Test::not_same_as: {
        uint32_t other = node_of(expected);
        program_.comparisons_.push_back({node, other, test == Test::same_as});
        return other != none;
      }
      case Test::no_hooks: return add_hook_checks(node, source);
      default: return add_check(node, test, expected);
    }
  }

  bool add_check(uint32_t index, Test test, PyObject* expected) {
    Check check{};
    check.test = test;
    check.expected = expected;
    if (!prepare(check)) return false;
    uint32_t place = program_.checks_.size();
    program_.checks_.push_back(check);
    Node& node = at(index);
    (node.first_check == none ? node.first_check : program_.checks_[node.last_check].next) = place;
    node.last_check = place;
    switch (test) {
      case Test::type: node.typed = true; break;
      case Test::same_object: node.is_known = true; break;
      case Test::tensor: node.is_tensor = true; break;
      case Test::keys: node.ordered = node.sized = true; break;
      case Test::length: case Test::absent: case Test::set_items: node.sized = true; break;
      case Test::equal: node.sized |= PySet_Check(expected) != 0; break;
      case Test::empty: node.is_hook_table = true; break;
      default: break;
    }
    return true;
  }

  bool prepare(Check& check) {
    switch (check.test) {
      case Test::type: case Test::same_object: return prepare_held(check);
      case Test::tensor: return (check.tensor = tensor_check(check.expected)) != nullptr;
      case Test::keys: return is_a(check.expected, PyTuple_Check(check.expected), "a tuple of keys");
      case Test::length: return is_a(check.expected, PyLong_Check(check.expected), "a length");
      case Test::set_items: return is_a(check.expected, PyAnySet_Check(check.expected), "a set");
      default: return true;
    }
  }

  static bool is_a(PyObject* expected, bool holds, const char* what) {
    if (!holds) PyErr_Format(PyExc_TypeError, "a guard needs %s, not %R", what, expected);
    return holds;
  }

  static bool prepare_held(Check& check) {
    if (PyWeakref_CheckRef(check.expected)) {
      check.reference = check.expected;
      check.expected = PyWeakref_GET_OBJECT(check.reference);
      if (check.expected == Py_None) check.expected = check.reference;  // gone already: never found again
      return true;
    }
    Object target(PyObject_GetAttr(check.expected, names().object));
    check.expected = target.get();
    return static_cast<bool>(target);
  }

  TensorCheck* tensor_check(PyObject* facts) {
    if (!checks_by_facts_ && !(checks_by_facts_ = Object(PyDict_New()))) return nullptr;
    PyObject* known = PyDict_GetItemWithError(checks_by_facts_.get(), facts);
    if (known) return static_cast<TensorCheck*>(PyLong_AsVoidPtr(known));
    PyErr_Clear();  // facts that cannot be hashed (symbolic sizes) are not shared
    auto made = TensorCheck::make(facts);
    if (!made) return nullptr;
    Object address(PyLong_FromVoidPtr(made.get()));
    if (address && PyDict_SetItem(checks_by_facts_.get(), facts, address.get()) < 0) PyErr_Clear();
    program_.tensor_checks_.push_back(std::move(made));
    return program_.tensor_checks_.back().get();
  }

  // "no hooks": the four tables of the instance are empty, and so are those that concern all modules.
  bool add_hook_checks(uint32_t owner, PyObject* source) {
    static PyObject* tables[4];
    Object dict_source(PyObject_CallMethod(source, "child", "s", "dict"));
    uint32_t dict = dict_source ? node_of(dict_source.get()) : none;
    if (dict == none) return false;
    for (size_t i = 0; i < 4; ++i) {
      if (!tables[i]) tables[i] = interned(hook_tables[i]);
      Node node{};
      node.access = Access::item;
      node.base = dict;
      node.key = tables[i];
      if (!add_check(add(node), Test::empty, Py_None)) return false;
    }
    return program_.checks_global_hooks_ = true;
  }

  bool add_state(PyObject* expected) {
    auto state = StateCheck::make(expected);
    if (!state) return false;
    program_.states_.push_back(std::move(state));
    return true;
  }

  bool add_condition(PyObject* expected) {
    Object sources(PySequence_Tuple(Object(PyObject_GetAttrString(expected, "sources")).get()));
    Object steps(sources ? PySequence_Tuple(Object(PyObject_GetAttrString(expected, "program")).get()) : nullptr);
    if (!steps) return false;
    Condition condition;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(sources.get()); ++i) {
      condition.nodes.push_back(node_of(PyTuple_GET_ITEM(sources.get(), i)));
      if (condition.nodes.back() == none) return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(steps.get()); ++i) {
      PyObject* name;
      long long operand;
      if (!PyArg_ParseTuple(PyTuple_GET_ITEM(steps.get(), i), "UL", &name, &operand)) return false;
      long operation = operations[name];
      if (operation < 0) return false;
      condition.program.push_back({static_cast<Operation>(operation), operand});
    }
    int depth = stack_depth(condition.program);
    bool loads_known = true;
    for (const Instruction& step : condition.program) {
      bool load = step.operation == Operation::load;
      loads_known &= !load || (step.operand >= 0 && step.operand < static_cast<int64_t>(condition.nodes.size()));
    }
    if (depth < 1 || depth > most_expression_depth || !loads_known) {
      PyErr_Format(PyExc_ValueError, "malformed expression: %R", expected);
      return false;
    }
    program_.conditions_.push_back(std::move(condition));
    return true;
  }

  // Members, anchors and steps ---------------------------------------------------------------------

  void place_nodes() {
    program_.steps_.push_back({none, static_scope});
    for (uint32_t index = 0; index < program_.nodes_.size(); ++index) {
      Node& node = at(index);
      uint32_t scope = scope_of(node);
      if (scope != none) {
        node.member = true;
        node.scope = scope;
        node.slot = program_.anchors_[scope].members.size();
        program_.anchors_[scope].members.push_back(index);
        continue;
      }
      node.slot = program_.call_values_++;
      if (is_anchor(node)) {
        node.anchor = program_.anchors_.size();
        program_.anchors_.emplace_back();
        program_.anchors_.back().node = index;
      }
      program_.steps_.push_back({index, node.anchor});
    }
    if (program_.anchors_[static_scope].members.empty()) program_.steps_.erase(program_.steps_.begin());
  }

  // The scope that `node` is a member of, or `none` if it must be read on every call.
  uint32_t scope_of(const Node& node) {
    if (node.access == Access::object || node.access == Access::module) return static_scope;
    if (node.base == none) return none;
    const Node& base = at(node.base);
    uint32_t scope = base.member ? base.scope : base.anchor;
    if (scope == none) return none;
    if (!base.member) return is_durable(node.access) ? scope : none;
    if (node.access == Access::index) return is_tuple(base) ? scope : none;
    bool in_a_word = node.access == Access::contents || node.field != Field::other;
    return is_durable(node.access) || (in_a_word && node.is_known) ? scope : none;
  }

  bool is_anchor(const Node& node) const {
    if (node.is_tensor) return false;
    if (node.reads_dict || node.reads_class) return true;
    return node.sized && (node.access == Access::globals || node.access == Access::builtins);
  }

  bool is_tuple(const Node& node) const {
    for (uint32_t i = node.first_check; i != none; i = program_.checks_[i].next) {
      const Check& check = program_.checks_[i];
      if (check.test == Test::same_object) return PyTuple_Check(check.expected);
      if (check.test != Test::type || !PyType_Check(check.expected)) continue;
      return PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(check.expected), &PyTuple_Type);
    }
    return false;
  }

  GuardProgram& program_;
  PyObject* parameters_;
  std::unordered_map<PyObject*, uint32_t> by_source_;
  Object checks_by_facts_;
};

std::unique_ptr<GuardProgram> GuardProgram::make(PyObject* rows, PyObject* inputs, PyObject* parameters) {
  auto program = std::make_unique<GuardProgram>();
  program->rows_ = Object(PySequence_Tuple(rows));
  program->inputs_ = program->rows_ ? Object(PySequence_Tuple(inputs)) : Object();
  if (!program->inputs_ || !Compiler(*program, parameters).compile()) return nullptr;
  return program;
}

}  // namespace bytegraph
