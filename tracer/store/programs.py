"""Residual programs as data: trees of a closed set of statements and expressions, from which the text is written again.

What a stored program may call is the graph, the helpers of tracer/output and tracer/values, and methods of Python's own
containers; it names nothing but its parameters, its constants and its own variables.
"""

from __future__ import annotations

import ast
import builtins
import types
from collections import OrderedDict, deque
from functools import partial
from typing import Any, Final, NamedTuple

import torch

from backends.verdict import Verdict
from passes.accelerator import random_states, set_random_states
from passes.operators.verify import Mispredicted
from tracer.output.draws import put_back, states_of
from tracer.output.graph_errors import versions_of
from tracer.output.mode_statements import OF_THREAD
from tracer.output.mutations import drop_attribute, drop_field, drop_name
from tracer.output.program import GRAPH
from tracer.output.statements import Statement
from tracer.store.content import LITERALS
from tracer.store.errors import BadFile, Unstorable
from tracer.store.graphs import are_plain_names, is_name
from tracer.store.values import ValueReader, ValueWriter
from tracer.values.iterators import advance

BUILTIN_NAMES: Final = frozenset(
    {
        "list",
        "dict",
        "set",
        "tuple",
        "object",
        "slice",
        "type",
        "float",
        "iter",
        "enumerate",
        "zip",
        "range",
        "reversed",
    }
    | {"Exception", "BaseException", "False", "True", "None", "ValueError", "OverflowError", "ZeroDivisionError"}
)
NUMBER: Final = "__number__"
"""The name, which no file may use, of what a stored program passes the operands of its arithmetic through."""
BITS: Final = 128
"""Of an operand; sizes and the numbers of programs have 64, and their products are few."""
MOST: Final = 1 << 24
"""Elements of an iterator that a stored program skips."""


def number(operand: Any) -> Any:
    """The operand itself. Raises BadFile for what is no number of a usual size: a list or a text could be repeated
    until no memory is left, and so could the digits of an integer.
    """
    if type(operand) not in NUMBERS or (type(operand) is int and operand.bit_length() > BITS):
        raise BadFile("arithmetic with what is no number")
    return operand


NUMBERS: Final = frozenset({int, float, bool, complex})
PROGRAM_BUILTINS: Final = {
    **{name: getattr(builtins, name) for name in BUILTIN_NAMES if name not in ("False", "True", "None")},
    NUMBER: number,
}
"""All builtins that a stored program has."""

FINDINGS: Final = (Mispredicted, Verdict)

HELPERS: Final[dict[str, Any]] = {
    **{
        each.__name__: each
        for each in (drop_name, drop_attribute, drop_field, versions_of, states_of, put_back, advance)
    },
    "FunctionType": types.FunctionType,
    "CellType": types.CellType,
    "MethodType": types.MethodType,
    "partial": partial,
    "OrderedDict": OrderedDict,
    "deque": deque,
    "get_random_state": torch.default_generator.get_state,
    "set_random_state": torch.default_generator.set_state,
    "random_states": random_states,
    "set_random_states": set_random_states,
    **{setter.__name__: setter for setter in OF_THREAD},
}
"""Functions and classes of ours and of Python's that programs hold, by name."""

CLASSES: Final = frozenset({"list", "dict", "set", "tuple", "object", "type", "OrderedDict", "deque"})
METHODS: Final = frozenset(
    {"__new__", "__setattr__", "__getattribute__", "__setitem__", "__delitem__", "extend", "append", "clear"}
    | {"discard", "add", "insert", "remove", "update", "pop", "move_to_end"}
)
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "Assign": ("targets", "value"),
    "Expr": ("value",),
    "Return": ("value",),
    "If": ("test", "body", "orelse"),
    "Try": ("body", "handlers", "orelse", "finalbody"),
    "ExceptHandler": ("type", "name", "body"),
    "Raise": ("exc", "cause"),
    "Delete": ("targets",),
    "Name": ("id", "ctx"),
    "Constant": ("value",),
    "Tuple": ("elts", "ctx"),
    "List": ("elts", "ctx"),
    "Set": ("elts",),
    "Dict": ("keys", "values"),
    "Call": ("func", "args", "keywords"),
    "Attribute": ("value", "attr", "ctx"),
    "Subscript": ("value", "slice", "ctx"),
    "UnaryOp": ("op", "operand"),
    "BinOp": ("left", "op", "right"),
    "Compare": ("left", "ops", "comparators"),
    **dict.fromkeys(("Load", "Store", "Del", "Not", "USub", "Is", "IsNot", "Eq", "NotEq"), ()),
    **dict.fromkeys(("Add", "Sub", "Mult", "Div", "FloorDiv", "Mod", "Pow"), ()),
}
"""The statements and expressions of stored programs, and the parts of each."""

CALL_OF_GRAPH: Final = "Graph"
"""A call of the graph with the names of its arguments, which are many."""

CALLED: Final = frozenset({"branch", "helper", "original", "restore", "failed"})
"""Kinds of constants that a program calls: the first word of each."""

DEPTH: Final = 60


ONE_ARGUMENT: Final = frozenset({"iter", "type"})
"""What calls a function, or makes a class, if it is given more than one argument."""
READING: Final = frozenset({"__getattribute__", "pop"})
"""Methods that give what an object holds."""
STREAMS: Final = frozenset({"range", "iter", "enumerate", "zip", "reversed"})
"""Builtins that make objects of few bytes with any number of elements."""
TAKING_ALL: Final = frozenset(
    {"list", "dict", "set", "tuple", "OrderedDict", "deque"} | {"extend", "update", "__setitem__"}
)
"""Classes and methods that take all elements of what they are given."""
BINDING: Final = frozenset({"MethodType", "partial"})
"""Helpers that bind a function to arguments."""


class Program:
    """What a stored program names, and what it may call.

    `parameters` are those of its text; `constants` has the kind of each constant that it is given, the name of a helper
    after the kind. `functions` and `namespaces` are the parameters that are the frame's own function and its globals.
    """

    def __init__(
        self,
        parameters: list[str],
        constants: dict[str, str],
        functions: frozenset[str] = frozenset(),
        namespaces: frozenset[str] = frozenset(),
    ) -> None:
        self.parameters = parameters
        self.constants = constants
        self.functions = functions
        self.namespaces = namespaces | {name for name, kind in constants.items() if kind == "globals"}
        self.known = {*parameters, *constants, GRAPH, *BUILTIN_NAMES}
        self.fixed = {*constants, GRAPH, *BUILTIN_NAMES}
        """Names that no statement may assign to, as they are called."""
        builtins = BUILTIN_NAMES - {*parameters, *constants}
        helpers = {name for name, kind in constants.items() if kind == f"helper {name}"}
        self.callables = {GRAPH, *(name for name, kind in constants.items() if kind.split()[0] in CALLED)} | builtins
        self.classes = CLASSES & (builtins | helpers)
        self.maker_globals: set[str] = set()
        """Constants that are the globals of functions which the program makes."""
        self._read: set[str] = set()
        """Variables that hold what some object held: no function among them may be called or bound."""
        self._streams: set[str] = set()
        """Variables that hold, or may hold inside, an object of STREAMS."""

    def clash(self) -> str:
        """A name that stands for two things; "" if there is none."""
        fixed = {GRAPH, *self.constants}
        names = [name for name in self.parameters if name in fixed]
        names += [GRAPH] if GRAPH in self.constants else []
        return names[0] if names else ""

    def fault(self, nodes: list[ast.AST]) -> str:
        """What a statement of these nodes does that no stored program may do; "" if there is nothing."""
        for name in _assigned(nodes):
            if not is_name(name) or name in self.fixed:
                return f"it assigns to {name}"
            self.known.add(name)
        self._note_reads(nodes)
        calls = [node.func for node in nodes if isinstance(node, ast.Call)]
        for node in nodes:
            if not self.known.issuperset(_names_in(node)):
                return f"it reads {node.id}"  # pyright: ignore[reportAttributeAccessIssue]
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not _is_small(node.right):
                return "it computes a power without end"
            if isinstance(node, ast.Attribute) and not self._may_name(node, calls):
                return f"it reads an attribute {node.attr}"
            if isinstance(node, ast.Call) and not self._may_call(node):
                return f"it calls {ast.unparse(node)}"
        return ""

    def _note_reads(self, nodes: list[ast.AST]) -> None:
        """Note which variables are assigned what an object holds, or what such a variable holds."""
        for node in nodes:
            if not isinstance(node, ast.Assign):
                continue
            call = node.value.func if isinstance(node.value, ast.Call) else None
            gives_graph = isinstance(call, ast.Name) and call.id == GRAPH
            unpacks = any(isinstance(target, ast.Tuple | ast.List) for target in node.targets)
            if (unpacks and not gives_graph) or self._reads(node.value):
                self._read.update(_assigned(list(ast.walk(node))))
            if self._streams_in(node.value):
                self._streams.update(_assigned(list(ast.walk(node))))

    def _streams_in(self, value: ast.expr) -> bool:
        return any(isinstance(node, ast.Name) and node.id in STREAMS | self._streams for node in ast.walk(value))

    def _reads(self, value: ast.expr) -> bool:
        return any(
            (isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load))
            or (isinstance(node, ast.Attribute) and node.attr in READING)
            or not self._read.isdisjoint(_names_in(node))
            or self._kind(node) == "helper advance"
            for node in ast.walk(value)
        )

    def _kind(self, node: ast.AST | None) -> str:
        return self.constants.get(node.id, "") if isinstance(node, ast.Name) else ""

    def _may_name(self, node: ast.Attribute, calls: list[ast.expr]) -> bool:
        if node in calls:
            return True
        return isinstance(node.ctx, ast.Store | ast.Del) and node.attr in WRITTEN_ATTRIBUTES

    def _may_call(self, call: ast.Call) -> bool:
        called, arguments = call.func, call.args
        if isinstance(called, ast.Name):
            if called.id not in self.callables or (called.id in ONE_ARGUMENT and len(arguments) != 1):
                return False
            if called.id in TAKING_ALL and any(map(self._streams_in, arguments)):
                return False
            kind = self._kind(called).split()
            return not kind or self._may_give(kind[-1], arguments)
        if not isinstance(called, ast.Attribute) or not isinstance(called.value, ast.Name):
            return False
        if called.value.id not in self.classes or called.attr not in METHODS:
            return False
        if called.attr in TAKING_ALL and any(map(self._streams_in, arguments)):
            return False
        return called.value.id != "type" or (called.attr == "__setattr__" and _names_no_method(arguments))

    def _may_give(self, called: str, arguments: list[ast.expr]) -> bool:
        """Whether arguments may be given to a constant of a kind, or to a helper of that name."""
        first = arguments[0] if arguments else None
        if called == "original":
            return isinstance(first, ast.Name) and first.id in self.functions
        if called == "branch":
            is_own = isinstance(first, ast.Name) and first.id in self.namespaces
            return is_own and not any(map(self._reads, arguments))
        if called in BINDING:
            return isinstance(first, ast.Name) and not self._reads(first)
        if called == "advance":
            count = arguments[1] if len(arguments) == 2 else None
            return isinstance(count, ast.Constant) and type(count.value) is int and count.value <= MOST
        if called == "FunctionType":
            return self._makes_function(arguments)
        return True

    def _makes_function(self, arguments: list[ast.expr]) -> bool:
        """Whether a function is made of a constant that is its code, and of globals; notes which constant those are."""
        code, space = ([each.id for each in arguments[:2] if isinstance(each, ast.Name)] + ["", ""])[:2]
        if self.constants.get(code) != "value":
            return False
        if self.constants.get(space) == "value":
            self.maker_globals.add(space)
            return True
        return space in self.namespaces


def _assigned(nodes: list[ast.AST]) -> list[str]:
    stored = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return stored + [str(node.name) for node in nodes if isinstance(node, ast.ExceptHandler) and node.name is not None]


def _names_no_method(arguments: list[ast.expr]) -> bool:
    """Whether the second argument is the name of an attribute that CPython does not call by itself."""
    name = arguments[1].value if len(arguments) == 3 and isinstance(arguments[1], ast.Constant) else None
    return type(name) is str and not (name.startswith("__") and name.endswith("__"))


def _is_small(exponent: ast.expr) -> bool:
    value = exponent.value if isinstance(exponent, ast.Constant) else None
    return isinstance(value, int | float) and abs(value) <= 64


WRITTEN_ATTRIBUTES: Final = frozenset({"grad", "cell_contents", "requires_grad"})
"""Attributes that programs set as such; all others are set by `object.__setattr__`."""


def write_statement(statement: Statement, program: Program, values: ValueWriter) -> Any:
    """A statement, which may be several of Python's, as JSON. Raises Unstorable."""
    trees = ast.parse(statement.text.replace("\n    ", "\n")).body
    for tree in trees:
        if fault := program.fault([*ast.walk(tree)]):
            raise Unstorable("a statement of the program", fault)
    return [_tree(tree, values) for tree in trees]


def _tree(node: ast.AST, values: ValueWriter) -> Any:
    name = type(node).__name__
    fields = FIELDS.get(name)
    if fields is None:
        raise Unstorable("a statement of the program", name)
    if isinstance(node, ast.Constant):
        return [name, values.value(node.value)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == GRAPH and not node.keywords:
        names = [argument.id for argument in node.args if isinstance(argument, ast.Name)]
        if len(names) == len(node.args):
            return [CALL_OF_GRAPH, names]
    return [name, *(_part(getattr(node, field), values) for field in fields)]


def _part(part: Any, values: ValueWriter) -> Any:
    if isinstance(part, list):
        return [_part(each, values) for each in part]
    return _tree(part, values) if isinstance(part, ast.AST) else part


class StatementNodes(NamedTuple):
    """A statement, which may be several of Python's, as trees, and all that these consist of."""

    trees: list[ast.stmt]
    nodes: list[ast.AST]

    def graph_arguments(self) -> list[str | None]:
        """The names that the statement which calls the graph gives it; None for arguments that are no names."""
        call = next(
            node
            for node in self.nodes
            if type(node) is ast.Call and isinstance(node.func, ast.Name) and node.func.id == GRAPH
        )
        return [each for argument in call.args for each in (_names_in(argument) or [None])]


def _names_in(node: ast.AST) -> list[str]:
    """The names that a node stands for: one that is read from a file may be several arguments of a call."""
    return node.id.split(", ") if isinstance(node, ast.Name) else []


def read_statement(data: Any, program: Program, values: ValueReader) -> StatementNodes:
    """A statement as `write_statement` has written it. Raises BadFile for whatever no program of ours does."""
    if type(data) is not list or not data:
        raise BadFile("no statement")
    trees: list[ast.stmt] = []
    nodes: list[ast.AST] = []
    for row in data:
        first = len(nodes)
        tree = _node(row, values, 0, nodes)
        if not isinstance(tree, ast.stmt):
            raise BadFile("no statement")
        if fault := program.fault(nodes[first:]):
            raise BadFile(f"a program that is none: {fault}")
        trees.append(tree)
    return StatementNodes(trees, nodes)


WORDS: Final = {name: getattr(ast, name)() for name, fields in FIELDS.items() if not fields}
"""The parts of programs that have none themselves, which all trees share."""


def _node(data: Any, values: ValueReader, depth: int, nodes: list[ast.AST]) -> ast.AST:
    """The node that a list stands for; it and those below it are added to `nodes`."""
    if type(data) is not list or not data or depth > DEPTH:
        raise BadFile("no part of a program")
    name, *parts = data
    if name == CALL_OF_GRAPH:
        return _call_of_graph(parts, nodes)
    fields = FIELDS.get(name) if type(name) is str else None
    if fields is None or len(fields) != len(parts):
        raise BadFile(f"no part of a program is called {name!r}")
    if not fields:
        return WORDS[name]
    if name == "Constant":
        constant = values.value(parts[0])
        if type(constant) not in LITERALS:
            raise BadFile("a constant that has no spelling")
        node: ast.AST = ast.Constant(constant)
    else:
        node = getattr(ast, name)(*[_field(part, values, depth, nodes) for part in parts])
        if isinstance(node, ast.BinOp):
            node.left, node.right = map(_operand, (node.left, node.right))
        if isinstance(node, ast.stmt):
            node.lineno = 1  # which `ast.unparse` looks at
    nodes.append(node)
    return node


def _call_of_graph(parts: list[Any], nodes: list[ast.AST]) -> ast.AST:
    """A call of the graph, in which one name stands for all arguments, as they are spelled."""
    if len(parts) != 1 or type(parts[0]) is not list or not are_plain_names(parts[0]):
        raise BadFile("a call of a graph with other arguments than names")
    names = ", ".join(parts[0])
    arguments: list[ast.expr] = [ast.Name(names, WORDS["Load"])] if names else []  # type: ignore[arg-type]
    call = ast.Call(ast.Name(GRAPH, WORDS["Load"]), arguments, [])  # type: ignore[arg-type]
    nodes += [*arguments, call.func, call]
    return call


OPERANDS: Final = (ast.Name, ast.Call, ast.Subscript, ast.BinOp, ast.UnaryOp)


def _operand(node: ast.AST) -> ast.expr:
    """An operand of arithmetic, which is made sure to be a number when the program runs."""
    if isinstance(node, ast.Constant) and type(node.value) in NUMBERS:
        return node
    if not isinstance(node, OPERANDS):
        raise BadFile("arithmetic with what is no number")
    return ast.Call(ast.Name(NUMBER, ast.Load()), [node], [])


def _field(part: Any, values: ValueReader, depth: int, nodes: list[ast.AST]) -> Any:
    if type(part) is list and part and type(part[0]) is str:
        return _node(part, values, depth + 1, nodes)
    if type(part) is list:
        return [_node(each, values, depth + 1, nodes) for each in part]
    if part is None or is_name(part) or part in METHODS:
        return part
    raise BadFile(f"{part!r} in a program")


def statement_of(statement: StatementNodes, comment: Any, origin: Any) -> Statement:
    """The statement of a residual program that trees stand for."""
    if type(comment) is not str or not comment.isprintable():
        raise BadFile("a comment of more than one line")
    try:
        text = "\n".join(map(ast.unparse, statement.trees))
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise BadFile(f"a program that is none: {error}") from None
    names = [node for node in statement.nodes if type(node) is ast.Name]
    read = (each for name in names if isinstance(name.ctx, ast.Load) for each in _names_in(name))
    reads = tuple(name for name in read if name not in BUILTIN_NAMES)
    writes = tuple(name.id for name in names if isinstance(name.ctx, ast.Store))
    runs_graph = GRAPH in reads
    return Statement(text.replace("\n", "\n    "), reads, writes, comment, origin, runs_graph)
