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
from typing import Any, Final

import torch

from backends.verdict import Verdict
from passes.operators.verify import Mispredicted
from tracer.output.draws import put_back, states_of
from tracer.output.graph_errors import versions_of
from tracer.output.mutations import drop_attribute, drop_field, drop_name
from tracer.output.program import GRAPH
from tracer.output.statements import Statement
from tracer.store.content import LITERALS
from tracer.store.errors import BadFile, Unstorable
from tracer.store.graphs import is_name
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
PROGRAM_BUILTINS: Final = {
    name: getattr(builtins, name) for name in BUILTIN_NAMES if name not in ("False", "True", "None")
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

DEPTH: Final = 60


class Program:
    """What a stored program names: `parameters`, `constants` that it is given, and which of these it may call."""

    def __init__(self, parameters: list[str], constants: dict[str, bool]) -> None:
        self.known = {*parameters, *constants, GRAPH, *BUILTIN_NAMES}
        self.callables = {GRAPH, *(name for name, is_called in constants.items() if is_called)} | BUILTIN_NAMES

    def fault(self, statement: ast.stmt) -> str:
        """What a statement does that no stored program may do; "" if there is nothing."""
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                if not is_name(node.id) or node.id in BUILTIN_NAMES:
                    return f"it assigns to {node.id}"
                self.known.add(node.id)
        calls = [node.func for node in ast.walk(statement) if isinstance(node, ast.Call)]
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id not in self.known:
                return f"it reads {node.id}"
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not _is_small(node.right):
                return "it computes a power without end"
            if isinstance(node, ast.Attribute) and not self._may_name(node, calls):
                return f"it reads an attribute {node.attr}"
        for called in calls:
            if not self._may_call(called):
                return f"it calls {ast.unparse(called)}"
        return ""

    def _may_name(self, node: ast.Attribute, calls: list[ast.expr]) -> bool:
        if node in calls:
            return True
        return isinstance(node.ctx, ast.Store | ast.Del) and node.attr in WRITTEN_ATTRIBUTES

    def _may_call(self, called: ast.expr) -> bool:
        if isinstance(called, ast.Name):
            return called.id in self.callables
        if not isinstance(called, ast.Attribute) or not isinstance(called.value, ast.Name):
            return False
        return called.value.id in CLASSES and called.attr in METHODS


def _is_small(exponent: ast.expr) -> bool:
    value = exponent.value if isinstance(exponent, ast.Constant) else None
    return isinstance(value, int | float) and abs(value) <= 64


WRITTEN_ATTRIBUTES: Final = frozenset({"grad", "cell_contents", "requires_grad"})
"""Attributes that programs set as such; all others are set by `object.__setattr__`."""


def write_statement(statement: Statement, program: Program, values: ValueWriter) -> Any:
    """A statement, which may be several of Python's, as JSON. Raises Unstorable."""
    trees = ast.parse(statement.text.replace("\n    ", "\n")).body
    for tree in trees:
        if fault := program.fault(tree):
            raise Unstorable("a statement of the program", fault)
    return [_tree(tree, values) for tree in trees]


def _tree(node: ast.AST, values: ValueWriter) -> Any:
    name = type(node).__name__
    fields = FIELDS.get(name)
    if fields is None:
        raise Unstorable("a statement of the program", name)
    if isinstance(node, ast.Constant):
        return [name, values.value(node.value)]
    return [name, *(_part(getattr(node, field), values) for field in fields)]


def _part(part: Any, values: ValueWriter) -> Any:
    if isinstance(part, list):
        return [_part(each, values) for each in part]
    return _tree(part, values) if isinstance(part, ast.AST) else part


def read_statement(data: Any, program: Program, values: ValueReader) -> list[ast.stmt]:
    """The trees of a statement. Raises BadFile for whatever no program of ours does."""
    if type(data) is not list or not data:
        raise BadFile("no statement")
    trees = []
    for row in data:
        tree = _node(row, values, 0)
        if not isinstance(tree, ast.stmt):
            raise BadFile("no statement")
        if fault := program.fault(tree):
            raise BadFile(f"a program that is none: {fault}")
        trees.append(tree)
    return trees


def _node(data: Any, values: ValueReader, depth: int) -> ast.AST:
    if type(data) is not list or not data or depth > DEPTH:
        raise BadFile("no part of a program")
    name, *parts = data
    fields = FIELDS.get(name) if type(name) is str else None
    if fields is None or len(fields) != len(parts):
        raise BadFile(f"no part of a program is called {name!r}")
    if name == "Constant":
        constant = values.value(parts[0])
        if type(constant) not in LITERALS:
            raise BadFile("a constant that has no spelling")
        return ast.Constant(constant)
    return getattr(ast, name)(**{field: _field(part, values, depth) for field, part in zip(fields, parts, strict=True)})


def _field(part: Any, values: ValueReader, depth: int) -> Any:
    if type(part) is list and part and type(part[0]) is str:
        return _node(part, values, depth + 1)
    if type(part) is list:
        return [_node(each, values, depth + 1) for each in part]
    if part is None or is_name(part) or part in METHODS:
        return part
    raise BadFile(f"{part!r} in a program")


def statement_of(trees: list[ast.stmt], comment: Any, origin: Any) -> Statement:
    """The statement of a residual program that trees stand for."""
    if type(comment) is not str or not comment.isprintable():
        raise BadFile("a comment of more than one line")
    try:
        text = "\n".join(ast.unparse(ast.fix_missing_locations(tree)) for tree in trees)
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise BadFile(f"a program that is none: {error}") from None
    names = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)]
    reads = tuple(name.id for name in names if isinstance(name.ctx, ast.Load) and name.id not in BUILTIN_NAMES)
    writes = tuple(name.id for name in names if isinstance(name.ctx, ast.Store))
    runs_graph = GRAPH in reads
    return Statement(text.replace("\n", "\n    "), reads, writes, comment, origin, runs_graph)
