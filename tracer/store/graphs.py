"""Graphs as data: operators by name, arguments, metas, the user's lines and the modes that calls run under.

A graph in a file can call what passes/operators/targets.py has a name for, of torch's own libraries of operators, and
the functions that set modes.
"""

from __future__ import annotations

import json
import keyword
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import torch
from torch.fx import Graph, Node

from backends.call_rows import CallRow, CallRows, Repeated, Unit
from backends.eager import with_last_uses
from backends.repeats import repetitions
from passes.meta import TensorMeta
from passes.node_meta import LINE, META, MODES, MODULE, PREDICTION, SOURCE, SYMBOL, UNCHANGED, WRITES
from passes.operators.modes import SETTERS, Modes
from passes.operators.targets import ATTRIBUTES, UnknownTarget, target_name, target_of
from tracer.graph.builder import DeferredGraph, GraphBuilder
from tracer.store.errors import BadFile, Unstorable, part_of
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


KEYWORDS: Final = frozenset(keyword.kwlist)
_NAMES: Final = re.compile(r"(?!__)[A-Za-z_]\w*(,(?!__)[A-Za-z_]\w*)*", re.ASCII)


def are_names(names: list[Any]) -> bool:
    """Whether all of these are different identifiers that a generated program may use."""
    return are_plain_names(names) and len(set(names)) == len(names)


def are_plain_names(names: list[Any]) -> bool:
    """Whether all of these are identifiers that a generated program may use."""
    if not names:
        return True
    kinds = set(map(type, names))
    return kinds == {str} and _NAMES.fullmatch(",".join(names)) is not None and not KEYWORDS.intersection(names)


class GraphWriter:
    """Writes one graph with the tables of its file."""

    def __init__(self, tables: TableWriter) -> None:
        self.tables = tables
        self.places: dict[Node, int] = {}
        self.modes: dict[Modes | None, int] = {}

    def write(self, builder: GraphBuilder) -> dict[str, Any]:
        """The graph as JSON: calls, of stretches that repeat those of the first, and beside them, as text that is read
        when somebody looks at the graph, what a replay does not need. Raises Unstorable.
        """
        if builder.attributes:
            raise Unstorable("a tensor or module that the graph holds", ", ".join(builder.attributes))
        *pairs, (output, _) = with_last_uses(builder.graph)
        nodes = [node for node, _ in pairs]
        self.places = {node: number for number, node in enumerate(nodes)}
        inputs = [node for node in nodes if node.op == "placeholder"]
        details = [self._details(node) for node in nodes]
        rows, groups = self._rows(pairs[len(inputs) :])
        modes = [None if each is None else [self.tables.value(field) for field in each] for each in self.modes]
        return {
            "names": [node.name for node in nodes],
            "inputs": len(inputs),
            "calls": rows,
            "repeated": groups,
            "output": [self.places[each] for each in output.args[0]],  # type: ignore[union-attr, index]
            "details": json.dumps({"nodes": details, "modes": modes}, separators=(",", ":")),
        }

    def _rows(self, calls: list[tuple[Node, list[Node]]]) -> tuple[list[Any], list[Any]]:
        """The calls, and for each group of repetitions: the number of the first call, how many calls each has, and the
        inputs of each. Calls of a repetition refer to its own by their place in it, to its inputs from -1 downwards.
        """
        rows: list[Any] = []
        groups: list[Any] = []
        done = 0
        for stretches in repetitions(calls):
            first = stretches[0]
            rows += [self._row(node, self.places) for node, _ in calls[done : first.start]]
            body = [node for node, _ in calls[first.start : first.end]]
            places = {node: place for place, node in enumerate(body)}
            places.update((node, -1 - place) for place, node in enumerate(first.inputs))
            rows += [self._row(node, places) for node in body]
            inputs = [[self.places[node] for node in each.inputs] for each in stretches]
            groups.append([first.start, len(body), inputs])
            done = stretches[-1].end
        return rows + [self._row(node, self.places) for node, _ in calls[done:]], groups

    def _details(self, node: Node) -> list[Any]:
        """What a node carries besides its call."""
        unknown = node.meta.keys() - KNOWN_KEYS
        if unknown:
            raise Unstorable(self._words_for(unknown), node.name)
        meta = self._structure(node.meta.get(META))
        if SYMBOL in node.meta:
            meta = ["symbol", meta, self._structure(node.meta[SYMBOL])]
        if node.op == "placeholder":
            return [meta, node.meta.get(SOURCE, "")]
        module = node.meta.get(MODULE)
        return [
            meta,
            self.tables.line(node.meta.get(LINE)),
            self.modes.setdefault(node.meta.get(MODES), len(self.modes)),
            WRITES in node.meta,
            None if module is None else module.text,
        ]

    def _row(self, node: Node, places: Mapping[Node, int]) -> list[Any]:
        if node.op not in ("call_function", "call_method"):
            raise Unstorable("a tensor or module that the graph holds", node.name)
        if node.target is getattr and not _reads_attribute_of_list(node.args):
            raise Unstorable("an attribute that no graph in a file reads", str(node.args[1:]))
        target = _name_of(node.op, node.target)
        arguments = [self._argument(each, places) for each in node.args]
        return [target, arguments, {name: self._argument(each, places) for name, each in node.kwargs.items()}]

    @staticmethod
    def _words_for(keys: set[str]) -> str:
        return "an autograd function" if UNCHANGED in keys else f"{min(keys)} of a node"

    def _argument(self, argument: Any, places: Mapping[Node, int]) -> Any:
        if isinstance(argument, Node):
            return ["n", places[argument]]
        if isinstance(argument, tuple | list) and type(argument) is not torch.Size and not hasattr(argument, "_fields"):
            return ["l" if isinstance(argument, list) else "t", *(self._argument(each, places) for each in argument)]
        if isinstance(argument, slice):
            parts = (argument.start, argument.stop, argument.step)
            return ["slice", *(self._argument(each, places) for each in parts)]
        if isinstance(argument, dict):
            return ["d", *(self._argument(part, places) for pair in argument.items() for part in pair)]
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


class StoredGraph(DeferredGraph):
    """The graph that a GraphWriter has written: rows for a replay at once, the graph itself when it is asked for."""

    def __init__(self, data: Any, tables: TableReader) -> None:
        """Raises BadFile and Unfit."""
        names, count, output = part_of(data, "names", list), data.get("inputs"), part_of(data, "output", list)
        if type(count) is not int or not 0 <= count <= len(names) or not are_names(names):
            raise BadFile("a graph whose names are none")
        self.tables = tables
        self._details = part_of(data, "details", str)
        self.call_count = len(names) - count
        nodes = [CallRow(name) for name in names]
        for node in nodes[count:]:
            node.op = "call"
        parts = _PartReader(tables, nodes, count).read(part_of(data, "calls", list), part_of(data, "repeated", list))
        self.rows = CallRows(nodes, nodes[:count], parts, [nodes[place_in(nodes, each)] for each in output])

    @property
    def environment(self) -> Any:
        """The ShapeEnv of the symbols that the graph itself has; None if there are none."""
        return self.tables.sizes.environment

    def readable_graph(self) -> Graph | None:
        """The graph itself; None if what a replay does not need of it cannot be read."""
        try:
            return self.builder.graph
        except BadFile:
            return None

    def _build(self) -> GraphBuilder:
        """Raises BadFile."""
        try:
            details = json.loads(self._details)
        except (ValueError, RecursionError) as error:
            raise BadFile(f"details of a graph that are none: {error}") from None
        if type(details) is not dict:
            raise BadFile("details of a graph that are none")
        rows, modes = part_of(details, "nodes", list), list(map(self._modes, part_of(details, "modes", list)))
        if len(rows) != len(self.rows.rows):
            raise BadFile("details of another graph")
        builder = GraphBuilder()
        nodes: dict[CallRow, Node] = {}
        for row, facts in zip(self.rows.inputs, rows, strict=False):
            if type(facts) is not list or len(facts) != 2 or type(facts[1]) is not str:
                raise BadFile("an input that is none")
            nodes[row] = builder.placeholder(row.name, self.tables.value(facts[0]), facts[1])
        first = len(self.rows.inputs)
        modules: dict[str, Named] = {}
        for place, unit, where in self._calls(nodes):
            row = self.rows.rows[first + place]
            nodes[row] = self._call(builder, row.name, unit, where, rows[first + place], modes, modules)
        builder.output([nodes[row] for row in self.rows.result])
        builder.made.clear()  # is for the templates of a trace, and there is none
        return builder

    def _calls(self, nodes: dict[CallRow, Node]) -> Iterator[tuple[int, CallRow, Mapping[CallRow, Node]]]:
        """The number of each call, the row that says what it calls, and the nodes for the rows that this refers to."""
        for part in self.rows.parts:
            if isinstance(part, Unit):
                yield part.place, part.row, nodes
                continue
            rows = self.rows.rows[len(self.rows.inputs) + part.start :]
            for number, inputs in enumerate(part.inputs):
                where = {row: nodes[taken] for row, taken in zip(part.inputs[0], inputs, strict=True)}
                for place, unit in enumerate(part.body):
                    yield unit.place + number * len(part.body), unit.row, where
                    where[unit.row] = nodes[rows[number * len(part.body) + place]]

    def _call(
        self,
        builder: GraphBuilder,
        name: str,
        row: CallRow,
        where: Mapping[CallRow, Node],
        facts: Any,
        modes: list[Modes | None],
        modules: dict[str, Named],
    ) -> Node:
        if type(facts) is not list or len(facts) != 5:
            raise BadFile("a call that is none")
        meta, line, mode, writes, module = facts
        symbol = None
        if type(meta) is list and len(meta) == 3 and meta[0] == "symbol":
            _, meta, symbol = meta
        if type(mode) is not int or not 0 <= mode < len(modes) or type(writes) is not bool:
            raise BadFile("a call without modes")
        node = builder.call(
            ("method", row.target) if row.op == "call_method" else row.target,
            tuple(_with_nodes(each, where) for each in row.args),
            {key: _with_nodes(each, where) for key, each in row.kwargs.items()},
            self.tables.value(meta),
            self.tables.line(line),
            writes=writes,
            modes=modes[mode],
            name=name,
        )
        if symbol is not None:
            node.meta[SYMBOL] = self.tables.value(symbol)
        if type(module) is str:
            node.meta[MODULE] = modules.setdefault(module, Named(module))
        return node

    def _modes(self, data: Any) -> Modes | None:
        if data is None:
            return None
        if type(data) is not list or len(data) != len(Modes._fields):
            raise BadFile("modes that are none")
        return Modes(*map(self.tables.value, data))


def _with_nodes(argument: Any, where: Mapping[CallRow, Node]) -> Any:
    """An argument with nodes in the place of rows."""
    kind = type(argument)
    if kind is CallRow:
        return where[argument]
    if kind is tuple or kind is list:
        return kind(_with_nodes(each, where) for each in argument)
    if kind is slice:
        return slice(*(_with_nodes(each, where) for each in (argument.start, argument.stop, argument.step)))
    if kind is dict:
        return {key: _with_nodes(each, where) for key, each in argument.items()}
    return argument


class _PartReader:
    """Reads the calls of a graph into rows, of which the first `count` are its inputs."""

    def __init__(self, tables: TableReader, nodes: list[CallRow], count: int) -> None:
        self.tables = tables
        self.nodes = nodes
        self.count = count
        self._local: list[CallRow] = []
        self._inputs: list[CallRow] | None = None
        self._uses: dict[CallRow, None] = {}

    def read(self, rows: list[Any], groups: list[Any]) -> list[Unit | Repeated]:
        """The calls and repetitions, in their order. Raises BadFile."""
        parts: list[Unit | Repeated] = []
        waiting = iter(rows)
        done, total = 0, len(self.nodes) - self.count
        for group in groups:
            start, length, inputs = self._group(group, done, total)
            parts += self._units(waiting, done, start)
            self._inputs = inputs[0]
            parts.append(Repeated(start, self._units(waiting, start, start + length), inputs))
            self._inputs = None
            done = start + length * len(inputs)
        parts += self._units(waiting, done, total)
        if next(waiting, None) is not None:
            raise BadFile("calls without a name")
        return parts

    def _group(self, group: Any, done: int, total: int) -> tuple[int, int, list[list[CallRow]]]:
        if type(group) is not list or len(group) != 3 or type(group[2]) is not list or not group[2]:
            raise BadFile("a repetition that is none")
        start, length, taken = group
        if type(start) is not int or type(length) is not int or start < done or length < 1:
            raise BadFile("a repetition that is none")
        if start + length * len(taken) > total:
            raise BadFile("a repetition of too many calls")
        inputs = []
        for number, places in enumerate(taken):
            if type(places) is not list or len(places) != len(taken[0]) or len({*map(repr, places)}) != len(places):
                raise BadFile("a repetition with other inputs")
            limit = self.count + start + number * length
            inputs.append([self.nodes[place_in(self.nodes, each, limit)] for each in places])
        return start, length, inputs

    def _units(self, rows: Iterator[Any], start: int, end: int) -> list[Unit]:
        units = []
        self._local = self.nodes[self.count + start : self.count + end] if self._inputs is not None else self.nodes
        first = 0 if self._inputs is not None else self.count + start
        for place in range(start, end):
            self._limit = first + place - start
            self._uses = {}
            row = self.nodes[self.count + place]
            self._fill(row, next(rows, None))
            units.append(Unit(place, row, [*self._uses]))
        return units

    def _fill(self, row: CallRow, data: Any) -> None:
        if type(data) is not list or len(data) != 3 or type(data[0]) is not str:
            raise BadFile("a call that is none")
        text, args, kwargs = data
        if type(args) is not list or type(kwargs) is not dict or not all(map(is_name, kwargs)):
            raise BadFile("arguments that are none")
        target, row.args = _target(text), tuple(map(self._argument, args))
        if target is getattr and not _reads_attribute_of_list(row.args):
            raise BadFile("an attribute that no graph reads")
        row.kwargs = {key: self._argument(part) for key, part in kwargs.items()} if kwargs else {}
        row.op, row.target = ("call_method", target[1]) if type(target) is tuple else ("call_function", target)

    def _argument(self, data: Any) -> Any:
        if type(data) is not list:
            return self.tables.value(data)
        tag, *rest = data if data else [None]
        if tag == "n" and len(rest) == 1:
            return self._used(rest[0])
        if tag in ("t", "l"):
            return (tuple if tag == "t" else list)(map(self._argument, rest))
        if tag == "slice" and len(rest) == 3:
            return slice(*map(self._argument, rest))
        if tag == "d":
            parts = list(map(self._argument, rest))
            return dict(zip(parts[::2], parts[1::2], strict=True))
        return self.tables.value(data)

    def _used(self, place: Any) -> CallRow:
        """The row for a number, which a call before this one computes."""
        if self._inputs is not None and type(place) is int and -len(self._inputs) <= place < 0:
            row = self._inputs[-1 - place]
        else:
            row = self._local[place_in(self._local, place, self._limit)]
        self._uses[row] = None
        return row


def place_in(nodes: list[CallRow], place: Any, limit: int | None = None) -> int:
    """A number that is one of a row, before the row with the number `limit`. Raises BadFile."""
    if type(place) is not int or not 0 <= place < (len(nodes) if limit is None else limit):
        raise BadFile(f"no node {place!r}")
    return place


def operator_counts(graph: Any) -> Counter[str]:
    """How often a written graph calls each operator."""
    counts: Counter[str] = Counter(row[0] for row in graph["calls"])
    start = 0
    done = 0
    for first, length, inputs in graph["repeated"]:
        start += first - done
        for row in graph["calls"][start : start + length]:
            counts[row[0]] += len(inputs) - 1
        start += length
        done = first + length * len(inputs)
    return counts
