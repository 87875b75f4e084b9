// Compiles guards and inputs, which are Python objects, to the nodes, tests and steps of a program.
#include <optional>
#include <unordered_map>

#include "guard_program.h"
#include "tables.h"

namespace bytegraph {
namespace {

PyObject* interned(const char* text) { return PyUnicode_InternFromString(text); }

constexpr int most_steps = 200;  // of one access path of tables

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
                {"__func__", Field::function},
                {"__name__", Field::name}};
  for (const auto& row : fields) {
    if (PyUnicode_Check(name) && !PyUnicode_CompareWithASCIIString(name, row.name)) return row.field;
  }
  return Field::other;
}

}  // namespace

class Compiler {
 public:
  Compiler(GuardProgram& program, PyObject* parameters) : program_(program), parameters_(parameters) {}

  // Compiles guards and inputs that are sequences of Python objects.
  bool compile() {
    PyObject *rows = program_.rows_.get(), *inputs = program_.inputs_.get();
    by_source_.reserve(PyTuple_GET_SIZE(rows) + PyTuple_GET_SIZE(inputs));
    begin(PyTuple_GET_SIZE(rows));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(rows); ++i) {
      if (!add_row(PyTuple_GET_ITEM(rows, i))) return false;
    }
    std::vector<uint32_t> input_nodes;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); ++i) {
      input_nodes.push_back(node_of(PyTuple_GET_ITEM(inputs, i)));
      if (input_nodes.back() == none) return false;
    }
    return end(input_nodes);
  }

  // Compiles guards and inputs that are numbers in tables.
  bool compile(PyObject* tuple) {
    if (!tables_.read(tuple)) return false;
    by_number_.assign(PyList_GET_SIZE(tables_.paths) / 2, none);
    prepared_.resize(PyList_GET_SIZE(tables_.facts));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tables_.sources); ++i) {
      PyObject* source = PyList_GET_ITEM(tables_.sources, i);
      if (source != Py_None) numbers_.emplace(source, i);
    }
    Py_ssize_t count = PyList_GET_SIZE(tables_.rows);
    begin(count / 3);
    for (Py_ssize_t i = 0; i < count; i += 3) {
      if (!add_numbered_row(i)) return false;
    }
    std::vector<uint32_t> input_nodes;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tables_.inputs); ++i) {
      input_nodes.push_back(node_numbered(number_at(tables_.inputs, i, 0, by_number_.size()), 0));
      if (input_nodes.back() == none) return false;
    }
    return end(input_nodes);
  }

 private:
  Node& at(uint32_t index) { return program_.nodes_[index]; }

  void begin(Py_ssize_t rows) {
    program_.anchors_.resize(2);
    program_.anchors_[call_scope].node = program_.anchors_[static_scope].node = none;
    program_.nodes_.reserve(rows * 2);
    program_.tests_.reserve(rows * 2);
  }

  bool end(const std::vector<uint32_t>& input_nodes) {
    place_nodes();
    for (uint32_t node : input_nodes) program_.input_places_.push_back({at(node).scope, at(node).slot});
    return true;
  }

  // Nodes ------------------------------------------------------------------------------------------

  // The node of a source, which is added after those it starts from; `none` with a Python error.
  uint32_t node_of(PyObject* source) {
    auto place = by_source_.find(source);
    if (place != by_source_.end()) return place->second;
    auto number = numbers_.find(source);
    if (number != numbers_.end()) return node_numbered(number->second, 0);
    if (Py_EnterRecursiveCall(" while an access path is compiled")) return none;
    uint32_t node = new_node(source);
    Py_LeaveRecursiveCall();
    return node;
  }

  uint32_t new_node(PyObject* source) {
    Object base(PyObject_GetAttr(source, names().base)), accessor(PyObject_GetAttr(source, names().accessor));
    Object key(PyObject_GetAttr(source, names().key));
    if (!base || !accessor || !key) return none;
    Node node{};
    node.key = key.get();  // borrowed: it lives as long as its source
    if (!read_access(node, accessor.get(), base.get() == Py_None)) return none;
    if (base.get() != Py_None && (node.base = node_of(base.get())) == none) return none;
    if (node.access == Access::item_of && (node.other = node_of(node.key)) == none) return none;
    if (!read_key(node)) return none;
    uint32_t index = added(node);
    by_source_.emplace(source, index);
    return index;
  }

  // The node of the access path with a number, which is `depth` steps before one that was asked for.
  uint32_t node_numbered(Py_ssize_t number, int depth) {
    if (number < 0) return none;
    if (by_number_[number] != none) return by_number_[number];
    Py_ssize_t base = number_at(tables_.paths, 2 * number, -1, number);
    Py_ssize_t step = number_at(tables_.paths, 2 * number + 1, 0, PyList_GET_SIZE(tables_.steps));
    if (base < -1 || step < 0) return none;
    PyObject* pair = PyList_GET_ITEM(tables_.steps, step);
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 || depth > most_steps) {
      PyErr_Format(PyExc_ValueError, "an access path that is none: %R", pair);
      return none;
    }
    Node node{};
    node.key = PyTuple_GET_ITEM(pair, 1);
    if (!read_access(node, PyTuple_GET_ITEM(pair, 0), base < 0)) return none;
    if (base >= 0 && (node.base = node_numbered(base, depth + 1)) == none) return none;
    if (node.access == Access::item_of) {
      Py_ssize_t key = PyLong_CheckExact(node.key) ? PyLong_AsSsize_t(node.key) : -1;
      if (key < 0 || key >= number) {
        PyErr_Format(PyExc_ValueError, "the key of an access path that is none: %R", node.key);
        return none;
      }
      if ((node.other = node_numbered(key, depth + 1)) == none) return none;
    }
    if (!read_key(node)) return none;
    return by_number_[number] = added(node);
  }

  bool read_access(Node& node, PyObject* accessor, bool starts) {
    long number = accesses[accessor];
    if (number < 0) return false;
    node.access = static_cast<Access>(number);
    if (traits(node.access).is_root == starts) return true;
    PyErr_Format(PyExc_ValueError, "an access path cannot %s with %R", starts ? "start" : "go on", accessor);
    return false;
  }

  bool read_key(Node& node) {
    if (node.access == Access::item_of) return true;
    if (traits(node.access).has_int_key) {
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
      node.key = target.get();  // the source owns the Strong that refers to it
      return static_cast<bool>(target);
    }
    return true;
  }

  uint32_t added(const Node& node) { return node.access == Access::dict ? dict_of(node.base) : add(node); }

  // The node for the dictionary of an instance: one, whoever asks for it.
  uint32_t dict_of(uint32_t base) {
    for (uint32_t child = at(base).first_child; child != none; child = at(child).next_sibling) {
      if (at(child).access == Access::dict) return child;
    }
    Node node{};
    node.access = Access::dict;
    node.base = base;
    node.key = Py_None;
    return add(node);
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
      case Access::argument: case Access::function: case Access::object: case Access::module:
      case Access::globals: case Access::builtins: case Access::cell: case Access::contents: case Access::getattr:
      case Access::index: case Access::deque_item: case Access::length: case Access::item_of: case Access::size:
      case Access::stride: case Access::storage_offset: case Access::call: case Access::upcoming:
      case Access::has_upcoming: case Access::leaf: case Access::form: case Access::subclasses: case Access::memory:
      case Access::layout: case Access::held:
        break;
    }
    return index;
  }

  // Checks -----------------------------------------------------------------------------------------

  bool add_row(PyObject* row) {
    if (!PyTuple_Check(row) || PyTuple_GET_SIZE(row) < 3) {
      PyErr_Format(PyExc_TypeError, "not a Guard: %R", row);
      return false;
    }
    PyObject* source = PyTuple_GET_ITEM(row, 0);
    long number = checks[PyTuple_GET_ITEM(row, 1)];
    if (number < 0) return false;
    auto check = static_cast<Check>(number);
    uint32_t node = has_source(check) ? node_of(source) : none;
    return (node != none || !has_source(check)) && add_guard(check, node, PyTuple_GET_ITEM(row, 2));
  }

  // The guard whose numbers begin at a place of the table: of its access path, -1 for none, and of what it expects.
  bool add_numbered_row(Py_ssize_t place) {
    Py_ssize_t path = number_at(tables_.rows, place, -1, by_number_.size());
    Py_ssize_t fact = number_at(tables_.rows, place + 1, 0, PyList_GET_SIZE(tables_.facts));
    if (path < -1 || fact < 0) return false;
    PyObject* pair = PyList_GET_ITEM(tables_.facts, fact);
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
      PyErr_Format(PyExc_TypeError, "not a check and what it expects: %R", pair);
      return false;
    }
    long number = checks[PyTuple_GET_ITEM(pair, 0)];
    if (number < 0) return false;
    auto check = static_cast<Check>(number);
    if (has_source(check) != (path >= 0)) {
      PyErr_Format(PyExc_ValueError, "a guard %R of another source", PyTuple_GET_ITEM(pair, 0));
      return false;
    }
    uint32_t node = path < 0 ? none : node_numbered(path, 0);
    if (path >= 0 && node == none) return false;
    std::optional<NodeTest>& prepared = prepared_[fact];
    if (prepared) return add_test(node, *prepared);
    if (!add_guard(check, node, PyTuple_GET_ITEM(pair, 1))) return false;
    if (is_one_test(check)) {
      prepared = program_.tests_.back();
      prepared->next = none;
    }
    return true;
  }

  static bool has_source(Check check) {
    return check != Check::expression && check != Check::state && check != Check::aliasing;
  }

  // Whether a guard is one test of one node.
  static bool is_one_test(Check check) {
    return has_source(check) && check != Check::same_as && check != Check::not_same_as && check != Check::no_hooks &&
           check != Check::unseen_end;
  }

  bool add_guard(Check check, uint32_t node, PyObject* expected) {
    switch (check) {
      case Check::type: return add_test(node, Test::type, expected);
      case Check::same_object: return add_test(node, Test::same_object, expected);
      case Check::equal: return add_test(node, Test::equal, expected);
      case Check::tensor: return add_test(node, Test::tensor, expected);
      case Check::length: return add_test(node, Test::length, expected);
      case Check::keys: return add_test(node, Test::keys, expected);
      case Check::absent: return add_test(node, Test::absent, expected);
      case Check::present: return add_test(node, Test::present, expected);
      case Check::set_items: return add_test(node, Test::set_items, expected);
      case Check::set_order: return add_test(node, Test::set_order, expected);
      case Check::same_as: return add_comparison(node, expected, true);
      case Check::not_same_as: return add_comparison(node, expected, false);
      case Check::no_hooks: return add_hook_tests(node);
      case Check::expression: return add_condition(expected);
      case Check::state: return add_state(expected);
      case Check::aliasing: return add_aliasing(expected);
      case Check::unseen_end: return add_let_go(node, expected);
    }
    return false;  // not reached: every check has its case
  }

  bool add_comparison(uint32_t left, PyObject* right, bool same) {
    uint32_t right_node = node_of(right);
    if (right_node == none) return false;
    program_.comparisons_.push_back({left, right_node, same});
    return true;
  }

  bool add_test(uint32_t index, Test kind, PyObject* expected) {
    NodeTest test{};
    test.test = kind;
    test.expected = expected;
    return prepare(test) && add_test(index, test);
  }

  bool add_test(uint32_t index, const NodeTest& test) {
    PyObject* expected = test.expected;
    uint32_t place = program_.tests_.size();
    program_.tests_.push_back(test);
    Node& node = at(index);
    (node.first_test == none ? node.first_test : program_.tests_[node.last_test].next) = place;
    node.last_test = place;
    switch (test.test) {
      case Test::type: node.typed = true; break;
      case Test::same_object: node.is_known = true; break;
      case Test::tensor: node.is_tensor = true; break;
      case Test::keys:
        node.ordered |= PyTuple_GET_SIZE(expected) > 1;
        node.sized = true;
        break;
      case Test::length: case Test::absent: case Test::present: case Test::set_items: case Test::set_order:
        node.sized = true;
        break;
      case Test::equal:
        node.sized |= PySet_Check(expected) != 0;
        node.is_known |= is_literal(expected);
        break;
      case Test::empty: node.is_hook_table = true; break;
    }
    return true;
  }

  bool prepare(NodeTest& test) {
    switch (test.test) {
      case Test::type: case Test::same_object: return prepare_held(test);
      case Test::tensor: return (test.tensor = tensor_check(test.expected)) != nullptr;
      case Test::keys: return is_a(test.expected, PyTuple_Check(test.expected), "a tuple of keys");
      case Test::length: return is_a(test.expected, is_length(test.expected), "a length");
      case Test::set_order: return is_a(test.expected, PyTuple_Check(test.expected), "an order");
      case Test::set_items: return is_a(test.expected, is_set_of_members(test.expected), "a set");
      case Test::absent: case Test::present: return !PyWeakref_CheckRef(test.expected) || prepare_held(test);
      case Test::equal: case Test::empty: return true;
    }
    return false;  // not reached: every test has its case
  }

  // A set, or a tuple where members are held weakly.
  static bool is_set_of_members(PyObject* expected) { return PyAnySet_Check(expected) || PyTuple_Check(expected); }

  static bool is_literal(PyObject* expected) {
    return expected == Py_None || PyBool_Check(expected) || PyUnicode_CheckExact(expected) ||
           PyLong_CheckExact(expected) || PyFloat_CheckExact(expected);
  }

  static bool is_length(PyObject* expected) {
    bool fits = PyLong_Check(expected) && PyLong_AsSsize_t(expected) >= 0;
    PyErr_Clear();
    return fits;
  }

  static bool is_a(PyObject* expected, bool holds, const char* what) {
    if (!holds) PyErr_Format(PyExc_TypeError, "a guard needs %s, not %R", what, expected);
    return holds;
  }

  static bool prepare_held(NodeTest& test) {
    if (PyWeakref_CheckRef(test.expected)) {
      test.reference = test.expected;
      test.expected = PyWeakref_GET_OBJECT(test.reference);
      if (test.expected == Py_None) test.expected = test.reference;  // it is gone: nothing will ever match
      return true;
    }
    Object target(PyObject_GetAttr(test.expected, names().object));
    test.expected = target.get();
    return static_cast<bool>(target);
  }

  TensorCheck* tensor_check(PyObject* facts) {
    if (!checks_by_facts_ && !(checks_by_facts_ = Object(PyDict_New()))) return nullptr;
    PyObject* shared = PyDict_GetItemWithError(checks_by_facts_.get(), facts);
    if (shared) return static_cast<TensorCheck*>(PyLong_AsVoidPtr(shared));
    PyErr_Clear();  // facts that cannot be hashed (symbolic sizes) are not shared
    auto check = TensorCheck::make(facts);
    if (!check) return nullptr;
    Object address(PyLong_FromVoidPtr(check.get()));
    if (address && PyDict_SetItem(checks_by_facts_.get(), facts, address.get()) < 0) PyErr_Clear();
    program_.tensor_checks_.push_back(std::move(check));
    return program_.tensor_checks_.back().get();
  }

  // "no hooks": the four tables of the instance are empty, and so are those that concern all modules.
  bool add_hook_tests(uint32_t module) {
    static PyObject* tables[4];
    uint32_t dict = dict_of(module);
    for (size_t i = 0; i < 4; ++i) {
      if (!tables[i]) tables[i] = interned(hook_tables[i]);
      Node node{};
      node.access = Access::item;
      node.base = dict;
      node.key = tables[i];
      if (!add_test(add(node), Test::empty, Py_None)) return false;
    }
    static PyObject* replacement = interned("_compiled_call_impl");  // is called in their place
    if (!add_test(dict, Test::absent, replacement)) return false;
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
    bool loads_exist = true;
    for (const Instruction& step : condition.program) {
      bool load = is_load(step.operation);
      loads_exist &= !load || (step.operand >= 0 && step.operand < static_cast<int64_t>(condition.nodes.size()));
    }
    if (depth < 1 || depth > most_expression_depth || !loads_exist) {
      PyErr_Format(PyExc_ValueError, "malformed expression: %R", expected);
      return false;
    }
    program_.conditions_.push_back(std::move(condition));
    return true;
  }

  bool add_aliasing(PyObject* expected) {
    Object sources(PySequence_Tuple(Object(PyObject_GetAttrString(expected, "sources")).get()));
    Object written(sources ? PyObject_GetAttrString(expected, "written") : nullptr);
    Object overlapping(written ? PyObject_GetAttrString(expected, "overlapping") : nullptr);
    if (!overlapping) return false;
    Aliasing aliasing;
    aliasing.written = PyLong_AsSize_t(written.get());
    aliasing.overlapping = overlapping.get() == Py_True;
    if (PyErr_Occurred()) return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(sources.get()); ++i) {
      aliasing.nodes.push_back(node_of(PyTuple_GET_ITEM(sources.get(), i)));
      if (aliasing.nodes.back() == none) return false;
    }
    program_.aliasings_.push_back(std::move(aliasing));
    return true;
  }

  bool add_let_go(uint32_t node, PyObject* key) {
    program_.let_go_.push_back({node, key == Py_None ? nullptr : key});
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
    if (!base.member) return traits(node.access).is_durable ? scope : none;
    if (node.access == Access::index) return is_tuple(base) ? scope : none;
    bool in_a_word = node.access == Access::contents || node.field != Field::other;
    if (node.field == Field::name && !keeps_its_name(base)) return none;
    return traits(node.access).is_durable || (in_a_word && node.is_known) ? scope : none;
  }

  bool is_anchor(const Node& node) const {
    if (node.is_tensor) return false;
    if (node.reads_dict || node.reads_class) return true;
    return node.sized && (node.access == Access::globals || node.access == Access::builtins);
  }

  // Whether a node is known to be an object that keeps its name in a word; others make theirs at each look.
  bool keeps_its_name(const Node& node) const {
    for (uint32_t i = node.first_test; i != none; i = program_.tests_[i].next) {
      const NodeTest& test = program_.tests_[i];
      if (test.test != Test::same_object) continue;
      return PyFunction_Check(test.expected) || name_of_class(test.expected);
    }
    return false;
  }

  bool is_tuple(const Node& node) const {
    for (uint32_t i = node.first_test; i != none; i = program_.tests_[i].next) {
      const NodeTest& test = program_.tests_[i];
      if (test.test == Test::same_object) return PyTuple_Check(test.expected);
      if (test.test != Test::type || !PyType_Check(test.expected)) continue;
      return PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(test.expected), &PyTuple_Type);
    }
    return false;
  }

  GuardProgram& program_;
  PyObject* parameters_;
  std::unordered_map<PyObject*, uint32_t> by_source_;
  Object checks_by_facts_;
  Tables tables_{};
  std::vector<uint32_t> by_number_;                   // the nodes of the access paths of the tables
  std::vector<std::optional<NodeTest>> prepared_;     // by the number of what is compared
  std::unordered_map<PyObject*, Py_ssize_t> numbers_;  // of access paths of the tables that are Python objects already
};

std::unique_ptr<GuardProgram> GuardProgram::make(PyObject* rows, PyObject* inputs, PyObject* parameters) {
  auto program = std::make_unique<GuardProgram>();
  Object tables(PyList_Check(rows) ? nullptr : PyObject_GetAttrString(rows, "tables"));
  if (tables) {
    program->rows_ = std::move(tables);
    if (!Compiler(*program, parameters).compile(program->rows_.get())) return nullptr;
    return program;
  }
  PyErr_Clear();
  program->rows_ = Object(PySequence_Tuple(rows));
  program->inputs_ = program->rows_ ? Object(PySequence_Tuple(inputs)) : Object();
  if (!program->inputs_ || !Compiler(*program, parameters).compile()) return nullptr;
  return program;
}

}  // namespace bytegraph
