"""Graphs as data: operators by name, arguments, metas, the user's lines and the modes that calls run under.

A graph in a file can call what passes/operators/targets.py has a name for, of torch's own libraries of operators, and
the functions that set modes.
"""

from __future__ import annotations

import keyword
from functools import cache
from typing import Any, Final

import torch
from torch.fx import Node

from passes.meta import TensorMeta
from passes.node_meta import LINE, META, MODES, MODULE, PREDICTION, SOURCE, SYMBOL, UNCHANGED, WRITES
from passes.operators.modes import SETTERS, Modes
from passes.operators.targets import ATTRIBUTES, UnknownTarget, target_name, target_of
from tracer.graph.builder import GraphBuilder
from tracer.store.errors import BadFile, Unstorable
from tracer.store.paths import TableReader, TableWriter

LIBRARIES: Final = frozenset({"aten", "prims"})
"""Libraries of operators that come with torch, whose version is part of the key."""
KNOWN_KEYS: Final = frozenset({META, LINE, MODULE, MODES, SOURCE, WRITES, PREDICTION, SYMBOL})
"""What nodes may carry; predictions are not written, as a stored entry has run."""
OPERATOR: Final = "torch.ops."
SETTER: Final = "mode."
SETTERS_BY_NAME: Final = {setter.__name__: setter for setter in SETTERS}


def _name_of(op: str, target: Any) -> str:
    """The text for an operator. Raises Unstorable for one that is not torch's own, or not Python's."""
    if op == "call_function" and SETTERS_BY_NAME.get(getattr(target, "__name__", "")) is target:
        return f"{SETTER}{target.__name__}"
    try:
        name = target_name(op, target)
    except UnknownTarget as error:
        raise Unstorable("an operator that is not torch's own", str(error)) from None
    if name.startswith(OPERATOR) and name.split(".")[2] not in LIBRARIES:
        raise Unstorable("an operator of another library", name)
    return f".{name}" if op == "call_method" else name


@cache
def _target(text: str) -> Any:
    """The operator for a text, as GraphBuilder.call takes it. Raises BadFile."""
    if text.startswith(OPERATOR) and text.split(".")[2] not in LIBRARIES:
        raise BadFile(f"an operator of another library: {text!r}")
    if text.startswith(SETTER) and text.removeprefix(SETTER) in SETTERS_BY_NAME:
        return SETTERS_BY_NAME[text.removeprefix(SETTER)]
    try:
        if text[:1] == ".":
            return "method", target_of("call_method", text[1:])
        return target_of("call_function", text)
    except (UnknownTarget, AttributeError) as error:
        raise BadFile(f"no operator: {error}") from None


def _reads_attribute_of_list(args: tuple[Any, ...]) -> bool:
    """Whether these are the arguments of `getattr` for an attribute that a graph may read; a replay spells it out."""
    return len(args) == 2 and type(args[1]) is str and args[1] in ATTRIBUTES


def is_name(name: Any) -> bool:
    """Whether a text is an identifier that a generated program may use."""
    return (
        type(name) is str
        and name.isidentifier()
        and name.isascii()
        and not keyword.iskeyword(name)
        and name[:2] != "__"
    )


class GraphWriter:
    """Writes one graph with the tables of its file."""

    def __init__(self, tables: TableWriter) -> None:
        self.tables = tables
        self.places: dict[Node, int] = {}
        self.modes: dict[Modes | None, int] = {}

    def write(self, builder: GraphBuilder) -> dict[str, Any]:
        """The graph as JSON. Raises Unstorable."""
        if builder.attributes:
            raise Unstorable("a tensor or module that the graph holds", ", ".join(builder.attributes))
        rows = []
        for node in builder.graph.nodes:
            if node.op == "output":
                rows.append(["output", [self.places[each] for each in node.args[0]]])
                break
            rows.append(self._row(node))
            self.places[node] = len(self.places)
        modes = [None if each is None else [self.tables.value(field) for field in each] for each in self.modes]
        return {"nodes": rows, "modes": modes}

    def _row(self, node: Node) -> list[Any]:
        unknown = node.meta.keys() - KNOWN_KEYS
        if unknown:
            raise Unstorable(self._words_for(unknown), node.name)
        meta = self._structure(node.meta.get(META))
        if SYMBOL in node.meta:
            meta = ["symbol", meta, self._structure(node.meta[SYMBOL])]
        if node.op == "placeholder":
            return ["input", node.name, meta, node.meta.get(SOURCE, "")]
        if node.op not in ("call_function", "call_method"):
            raise Unstorable("a tensor or module that the graph holds", node.name)
        if node.target is getattr and not _reads_attribute_of_list(node.args):
            raise Unstorable("an attribute that no graph in a file reads", str(node.args[1:]))
        target = _name_of(node.op, node.target)
        module = node.meta.get(MODULE)
        return [
            target,
            node.name,
            [self._argument(each) for each in node.args],
            {name: self._argument(each) for name, each in node.kwargs.items()},
            meta,
            self.tables.line(node.meta.get(LINE)),
            self.modes.setdefault(node.meta.get(MODES), len(self.modes)),
            WRITES in node.meta,
            None if module is None else module.text,
        ]

    @staticmethod
    def _words_for(keys: set[str]) -> str:
        return "an autograd function" if UNCHANGED in keys else f"{min(keys)} of a node"

    def _argument(self, argument: Any) -> Any:
        if isinstance(argument, Node):
            return ["n", self.places[argument]]
        if isinstance(argument, tuple | list) and type(argument) is not torch.Size and not hasattr(argument, "_fields"):
            return ["l" if isinstance(argument, list) else "t", *map(self._argument, argument)]
        if isinstance(argument, slice):
            return ["slice", *map(self._argument, (argument.start, argument.stop, argument.step))]
        if isinstance(argument, dict):
            return ["d", *(self._argument(part) for pair in argument.items() for part in pair)]
        return self.tables.value(argument)

    def _structure(self, meta: Any) -> Any:
        if type(meta) is torch.SymInt:
            return self.tables.value(meta)
        if isinstance(meta, TensorMeta):
            return ["m", self.tables.meta(meta)]
        if isinstance(meta, tuple | list):
            return ["l" if isinstance(meta, list) else "t", *map(self._structure, meta)]
        if meta is None or type(meta) in (bool, int, float, str, torch.dtype):
            return self.tables.value(meta)
        raise Unstorable("what a node stands for", type(meta).__qualname__)


class Named:
    """Something that has an access path in words, as modules of nodes do."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class GraphReader:
    """Builds the graph that a GraphWriter has written."""

    def __init__(self, tables: TableReader) -> None:
        self.tables = tables
        self.nodes: list[Node] = []
        self.modules: dict[str, Named] = {}

    def read(self, data: Any) -> GraphBuilder:
        """The graph. Raises BadFile and Unfit."""
        if type(data) is not dict or type(data.get("nodes")) is not list or type(data.get("modes")) is not list:
            raise BadFile("no graph")
        self.modes = list(map(self._modes, data["modes"]))
        builder = GraphBuilder()
        *rows, output = data["nodes"] or [None]
        for row in rows:
            self.nodes.append(self._node(builder, row))
        if type(output) is not list or len(output) != 2 or output[0] != "output" or type(output[1]) is not list:
            raise BadFile("a graph without an output")
        builder.output(list(map(self._result, output[1])))
        return builder

    def _modes(self, data: Any) -> Modes | None:
        if data is None:
            return None
        if type(data) is not list or len(data) != len(Modes._fields):
            raise BadFile("modes that are none")
        return Modes(*map(self.tables.value, data))

    def _node(self, builder: GraphBuilder, row: Any) -> Node:
        if type(row) is not list or len(row) not in (4, 9) or type(row[0]) is not str or not is_name(row[1]):
            raise BadFile("a node that is none")
        if len(row) == 4:
            _, name, meta, source = row
            if row[0] != "input" or type(source) is not str:
                raise BadFile("an input that is none")
            return builder.placeholder(name, self._structure(meta), source)
        text, name, args, kwargs, meta, line, modes, writes, module = row
        symbol = None
        if type(meta) is list and len(meta) == 3 and meta[0] == "symbol":
            _, meta, symbol = meta
        if type(args) is not list or type(kwargs) is not dict or not all(map(is_name, kwargs)):
            raise BadFile("arguments that are none")
        if type(modes) is not int or not 0 <= modes < len(self.modes) or type(writes) is not bool:
            raise BadFile("a call without modes")
        target, operands = _target(text), tuple(map(self._argument, args))
        if target is getattr and not _reads_attribute_of_list(operands):
            raise BadFile("an attribute that no graph reads")
        node = builder.call(
            target,
            operands,
            {key: self._argument(part) for key, part in kwargs.items()},
            self._structure(meta),
            self.tables.line(line),
            writes=writes,
            modes=self.modes[modes],
            name=name,
        )
        if symbol is not None:
            node.meta[SYMBOL] = self._structure(symbol)
        if type(module) is str:
            node.meta[MODULE] = self.modules.setdefault(module, Named(module))
        return node

    def _result(self, place: Any) -> Node:
        if type(place) is not int or not 0 <= place < len(self.nodes):
            raise BadFile(f"no node {place!r}")
        return self.nodes[place]

    def _argument(self, data: Any) -> Any:
        if type(data) is not list:
            return self.tables.value(data)
        tag, *rest = data if data else [None]
        if tag == "n" and len(rest) == 1:
            return self._result(rest[0])
        if tag in ("t", "l"):
            return (tuple if tag == "t" else list)(map(self._argument, rest))
        if tag == "slice" and len(rest) == 3:
            return slice(*map(self._argument, rest))
        if tag == "d":
            parts = list(map(self._argument, rest))
            return dict(zip(parts[::2], parts[1::2], strict=True))
        return self.tables.value(data)

    def _structure(self, data: Any) -> Any:
        return self.tables.value(data)
