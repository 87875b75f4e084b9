"""A template: what one call added to a trace, as far as it is known below the roots, and renamed by them."""

from __future__ import annotations

from itertools import islice
from typing import Any, NamedTuple

import torch
from torch.fx import Node

from passes.node_meta import LINE, META, MODES, MODULE, PREDICTION, SOURCE
from tracer.guards.guard_set import Guard
from tracer.guards.source import Source
from tracer.interpret.input_names import input_name
from tracer.interpret.templates.marks import Mark, Surroundings
from tracer.interpret.templates.remains import Remains
from tracer.interpret.templates.signature import AGAIN, KNOWN_BY_IDENTITY, NoTemplate, Token, is_plain_tensor
from tracer.interpret.trace import Trace
from tracer.values.base import LITERALS, MISSING, Lazy, Value
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.lists import ListValue
from tracer.values.shapes import holds_symbols
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue

CHECKS = frozenset(
    ("type", "same object", "equal", "tensor", "length", "keys", "absent", "present", "no hooks", "same as")
) | {"not same as"}
"""Checks that a template repeats: those of one value, and those that compare it with another by identity."""

STEPS = frozenset(("dict", "item", "index", "getattr", "class attribute", "cell", "contents", "type", "globals", "key"))
"""Accessors that a template follows, each with a key that is no path itself."""

NODE_FACTS = frozenset((META, LINE, MODES, MODULE, PREDICTION, SOURCE))


class CallRecord(NamedTuple):
    """A call that was interpreted: its arguments as they were when it began, where the trace stood before and after it,
    what it saw of its caller, how often objects from outside had been changed, and what it left behind.
    """

    tokens: list[Token]
    before: Mark
    after: Mark
    seen: Surroundings
    changes: int
    left: Remains


class NodeRow(NamedTuple):
    """A node, the name that was asked for it, and, of an input, its path and the real tensor."""

    node: Node
    name: str
    source: Source | None
    refuses: bool


class Template:
    """What a record added below roots: guards, values, inputs, nodes, places of literals, and its result.

    `facts` are the guards below the roots that were there before, `met` the values, `steps` all paths in an order in
    which each follows on its base.
    """

    def __init__(self, trace: Trace, record: CallRecord, roots: list[Source], fixed: list[Source]) -> None:
        self.record = record
        self.below: dict[Source, bool] = {**dict.fromkeys(roots, True), **dict.fromkeys(fixed, False)}
        self.roots = frozenset(roots)
        self.steps: dict[Source, None] = dict.fromkeys(roots)
        before, after = record.before, record.after
        rows = trace.guards.rows
        self.facts = [row for row in islice(rows, before.guards) if self._is_below(row)]
        self.rows = [row for row in rows[before.guards : after.guards] if self._is_below(row)]
        values = list(islice(trace.known.values(), after.known))
        self.met: list[Any] = [value for value in values[: before.known] if self.is_below(value.source)]
        self.new: list[Any] = [value for value in values[before.known :] if self.is_below(value.source)]
        self.literals: list[tuple[Any, Any]] = [
            (row.source, row.expected) for row in self.rows if self._is_literal(trace, row)
        ]
        self.nodes = self._nodes(trace)
        self._check_tensors(trace)
        self.predictions = trace.predictions[before.predictions : after.predictions]
        for row in (*self.facts, *self.rows):
            self._check_row(row)
        for value in (*self.met, *self.new):
            self._follow(value.source)
        self.elsewhere = self._objects_elsewhere(trace)
        self.needs_module = self._follow_modules()
        self._check_result(record.left.result, self._made_again(values))

    def is_below(self, source: Source | None) -> bool:
        """Whether a path leads through a root."""
        if source is None:
            return False
        answer = self.below.get(source)
        if answer is None:
            answer = self.below[source] = self.is_below(source.base)
        return answer

    def _is_below(self, row: Guard) -> bool:
        if row.source is not None and self.is_below(row.source):
            return True
        if isinstance(row.expected, Source) and self.is_below(row.expected):
            raise NoTemplate  # something is reached from elsewhere, too
        return False

    def _is_literal(self, trace: Trace, row: Guard) -> bool:
        if row.check != "equal":
            return False
        noted = trace.literals.get(id(row.expected))
        return noted is not None and row.source in noted[1]

    def _check_row(self, row: Guard) -> None:
        if row.check not in CHECKS:
            raise NoTemplate
        assert row.source is not None
        self._follow(row.source)
        if isinstance(row.expected, Source) and self.is_below(row.expected):
            self._follow(row.expected)

    def _follow(self, source: Source) -> None:
        """Have the template resolve a path below a root, and those that it goes through."""
        if source in self.steps:
            return
        if source.accessor not in STEPS or isinstance(source.key, Source) or source.base is None:
            raise NoTemplate
        self._follow(source.base)
        self.steps[source] = None

    def _objects_elsewhere(self, trace: Trace) -> dict[Source, object]:
        """The objects at the paths that lead through no root, with which one below is compared."""
        paths = {row.expected for row in (*self.facts, *self.rows) if isinstance(row.expected, Source)}
        paths = {path for path in paths if not self.is_below(path)}
        objects = (
            {value.source: value.object for value in trace.known.values() if value.source in paths} if paths else {}
        )
        if len(objects) != len(paths):
            raise NoTemplate
        return objects

    def _follow_modules(self) -> bool:
        """Have the paths of the modules that made nodes resolved; whether that of the caller is among them."""
        caller = self.record.seen.module
        modules: set[Source] = {row.node.meta[MODULE] for row in self.nodes if row.node.meta.get(MODULE) is not None}
        for module in modules:
            if self.is_below(module):
                self._follow(module)
        return caller in modules and not self.is_below(caller)

    def _nodes(self, trace: Trace) -> list[NodeRow]:
        """The nodes in the order in which they were made."""
        before, after = self.record.before, self.record.after
        inputs = {node: source for source, node, _ in trace.inputs[before.inputs : after.inputs]}
        refusing = set(trace.refusing[before.refusing : after.refusing])
        rows: list[NodeRow] = []
        for node, name in trace.graph.made[before.made : after.made]:
            source = inputs.get(node)
            is_input = node.op == "placeholder"
            if node._erased or not NODE_FACTS.issuperset(node.meta) or is_input != (source is not None):
                raise NoTemplate
            if not (_is_mapped(node.args) and _is_mapped(node.kwargs)):
                raise NoTemplate
            if node.meta.get(MODES) not in (None, trace.modes) or not (source is None or self.is_below(source)):
                raise NoTemplate
            rows.append(NodeRow(node, name, source, node in refusing))
        nodes = {row.node for row in rows} | {token.facts[3] for token in self.record.tokens if _is_tensor(token)}
        nodes |= {node for source, node, _ in trace.inputs if not self.is_below(source)}
        if not all(nodes.issuperset(row.node.all_input_nodes) for row in rows):
            raise NoTemplate
        return rows

    def _check_tensors(self, trace: Trace) -> None:
        """Tensors below the roots that the call made inputs, or asked anything, are roots or were met in it first.

        Sizes of those that are no parameters and no buffers may be symbols.
        """
        roots = [token.item for token in self.record.tokens if _is_tensor(token) and token.item.source in self.roots]
        tensors: dict[Any, Any] = {value.source: value for value in (*self.new, *roots) if type(value) is TensorValue}
        asked: set[Any] = {row.source for row in self.rows if row.check == "tensor"}
        for source in asked | {row.source for row in self.nodes if row.source is not None}:
            value = tensors.get(source)
            if value is None:
                raise NoTemplate
            fixed = trace.shapes is None or trace.shapes.has_fixed_sizes(source, value.object)
            if not fixed or (source in self.roots and not isinstance(value.object, torch.nn.Parameter)):
                raise NoTemplate

    def _made_again(self, values: list[Any]) -> set[int]:
        """The identities of the items that another call has an item for, and need no more checks."""
        values_again = {id(value) for value in (*self.met, *self.new)}
        values_again |= {id(value) for value in values if not self.is_below(value.source)}
        return values_again | {id(token.item) for token in self.record.tokens if token.kind != AGAIN}

    def _check_result(self, item: Item, seen: set[int]) -> None:
        """Raise NoTemplate unless the result can be made again; `seen` are items that can."""
        if type(item) is Lazy and item.known is not MISSING:
            item = item.known
        if id(item) in seen:
            return
        seen.add(id(item))
        if not isinstance(item, Value):
            self._check_raw(item, seen)
        elif type(item) is Lazy:
            if item.source is not None and self.is_below(item.source):
                self._follow(item.source)
        elif isinstance(item, TensorValue):
            if not is_plain_tensor(item) or not any(row.node is item.node for row in self.nodes):
                raise NoTemplate
            self._check_result(item.base, seen)
            self._check_result(item.root, seen)
        else:
            self._check_born(item, seen)

    def _check_raw(self, item: Item, seen: set[int]) -> None:
        kind = type(item)
        if kind is tuple:
            for part in item:
                self._check_result(part, seen)
        elif holds_symbols(item) or not (kind in LITERALS or isinstance(item, KNOWN_BY_IDENTITY)):
            raise NoTemplate

    def _check_born(self, item: Any, seen: set[int]) -> None:
        if item.source is not None or type(item) not in (TupleValue, ListValue, DictValue):
            raise NoTemplate
        if item.attributes or item.fields:
            raise NoTemplate
        if type(item) is DictValue and any(type(key) is not str for key in item.items):
            raise NoTemplate
        for part in item.items.values() if type(item) is DictValue else item.items:
            self._check_result(part, seen)


def _is_mapped(argument: Any) -> bool:
    """Whether the nodes in an argument are met again when it is made for another call."""
    if isinstance(argument, tuple) and type(argument) is not tuple:
        return type(argument) is torch.Size
    if isinstance(argument, (tuple, list)):
        return all(map(_is_mapped, argument))
    return not isinstance(argument, dict) or all(map(_is_mapped, argument.values()))


def _is_tensor(token: Token) -> bool:
    return type(token.item) is TensorValue


def name_below(row: NodeRow, source: Source) -> str:
    """The name to ask for an input in another call, where `source` leads to it."""
    assert row.source is not None
    return input_name(source.text) if row.name == input_name(row.source.text) else row.name
