"""Whether one call is a renaming of another: the same guards, values, nodes and result, below other roots."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from torch.fx import Node

from passes.node_meta import LINE, META, MODES, MODULE, PREDICTION, WRITES
from passes.references import OwnReference
from tracer.guards.checks import equal_constants
from tracer.guards.guard_set import Guard
from tracer.guards.source import Source, Strong
from tracer.interpret.templates.blueprint import Template, name_below
from tracer.interpret.templates.signature import Pairing
from tracer.values.base import MISSING, Lazy, Value
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.tensors import TensorValue

SAME_FACTS = (META, LINE, MODES, WRITES)


class Renaming(dict[Source, Source]):
    """Paths below the roots of one call, as they are in the other."""

    def __missing__(self, source: Source) -> Source:
        assert source.base is not None
        renamed = self[source] = self[source.base].child(source.accessor, source.key)
        return renamed


class TemplateComparison:
    """Compares the templates of two calls of which `pairing` is how the arguments correspond."""

    def __init__(self, one: Template, other: Template, pairing: Pairing) -> None:
        self.one = one
        self.other = other
        self.paths = Renaming({pair.source: pair.other_source for pair in pairing.roots})
        self.nodes = dict(pairing.nodes)
        self.items = dict(pairing.items)

    def holds(self) -> bool:
        """Whether the second call is the first, renamed."""
        one, other = self.one, self.other
        return (
            len(one.predictions) == len(other.predictions)
            and one.record.after.turns - one.record.before.turns == other.record.after.turns - other.record.before.turns
            and all_alike(self._rows, one.facts, other.facts)
            and all_alike(self._rows, one.rows, other.rows)
            and all_alike(operator.is_, [row.line for row in one.rows], [row.line for row in other.rows])
            and all_alike(self._values, one.met, other.met)
            and all_alike(self._values, one.new, other.new)
            and all_alike(self._literals, one.literals, other.literals)
            and all_alike(self._node_rows, one.nodes, other.nodes)
            and self._results(one.record.left.result, other.record.left.result)
        )

    def _path(self, source: Source | None) -> Source | None:
        return self.paths[source] if source is not None and self.one.is_below(source) else source

    def _rows(self, one: Guard, other: Guard) -> bool:
        if one.check != other.check or self._path(one.source) is not other.source:
            return False
        if isinstance(one.expected, Source):
            return self._path(one.expected) is other.expected
        return are_same_expected(one.expected, other.expected)

    def _values(self, one: Any, other: Any) -> bool:
        if type(one) is not type(other) or self._path(one.source) is not other.source:
            return False
        self.items[id(one)] = other
        if type(one) is not TensorValue:
            return True
        touched = id(one) in self.one.record.left.touched, id(other) in self.other.record.left.touched
        return one.meta is other.meta and touched[0] == touched[1]

    def _literals(self, one: tuple[Source, Any], other: tuple[Source, Any]) -> bool:
        self.items.setdefault(id(one[1]), other[1])
        return self._path(one[0]) is other[0]

    def _node_rows(self, one: Any, other: Any) -> bool:
        first, second = one.node, other.node
        self.nodes[first] = second
        if first.op != second.op or one.refuses != other.refuses or self._path(one.source) is not other.source:
            return False
        if one.source is not None:
            return name_below(one, other.source) == other.name and first.meta[META] is second.meta[META]
        return (
            one.name == other.name
            and first.target == second.target
            and self._arguments(first.args, second.args)
            and self._arguments(first.kwargs, second.kwargs)
            and all(first.meta.get(name) is second.meta.get(name) for name in (LINE, MODES))
            and first.meta.get(META) == second.meta.get(META)
            and first.meta.get(PREDICTION) == second.meta.get(PREDICTION)
            and self._path(first.meta.get(MODULE)) is second.meta.get(MODULE)
        )

    def _arguments(self, one: Any, other: Any) -> bool:
        if isinstance(one, Node):
            return self.nodes.get(one, one) is other
        if type(one) is not type(other):
            return False
        if isinstance(one, (list, tuple)):
            return all_alike(self._arguments, one, other)
        if isinstance(one, dict):
            return one.keys() == other.keys() and all(self._arguments(one[key], other[key]) for key in one)
        if isinstance(one, slice):
            return self._arguments((one.start, one.stop, one.step), (other.start, other.stop, other.step))
        return one is other or equal_constants(one, other)

    def _results(self, one: Item, other: Item) -> bool:
        if type(one) is Lazy and one.known is not MISSING:
            one = one.known
        if type(other) is Lazy and other.known is not MISSING:
            other = other.known
        expected = self.items.get(id(one))
        if expected is not None:
            return expected is other
        if type(one) is not type(other):
            return False
        if not isinstance(one, Value):
            return one is other or self._raw(one, other)
        if type(one) is Lazy or one.source is not None:
            return self._path(one.source) is other.source
        self.items[id(one)] = other
        return self._born(one, other)

    def _born(self, one: Any, other: Any) -> bool:
        if type(one) is TensorValue:
            same = self.nodes.get(one.node, one.node) is other.node and one.meta is other.meta
            same = same and (id(one) in self.one.record.left.views) == (id(other) in self.other.record.left.views)
            return same and all_alike(self._results, (one.base, one.root), (other.base, other.root))
        if type(one) is DictValue:
            parts = list(one.items.values()), list(other.items.values())
            return list(one.items) == list(other.items) and all_alike(self._results, *parts)
        return one.cls is other.cls and all_alike(self._results, one.items, other.items)

    def _raw(self, one: Item, other: Item) -> bool:
        if type(one) is tuple:
            return all_alike(self._results, one, other)
        return equal_constants(one, other)


def all_alike(alike: Any, ones: Iterable[Any], others: Iterable[Any]) -> bool:
    """Whether two sequences have the same length and pairwise fit."""
    ones, others = list(ones), list(others)
    return len(ones) == len(others) and all(map(alike, ones, others))


def are_same_expected(one: Any, other: Any) -> bool:
    """Whether two guards expect the same: the same object, equal keys, equal constants, equal facts of tensors."""
    if isinstance(one, (OwnReference, Strong)):
        return type(one) is type(other) and one() is other()
    if type(one) is tuple and type(other) is tuple:
        return all_alike(are_same_expected, one, other)
    if hasattr(one, "meta"):
        return one == other
    return equal_constants(one, other)
