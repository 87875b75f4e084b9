"""The arguments of a call as a list of tokens, and whether the arguments of another call are like them."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any, NamedTuple

from tracer.guards.checks import equal_constants
from tracer.guards.source import Source
from tracer.interpret.trace import Trace
from tracer.values.base import LITERALS, MISSING, Lazy, Value
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.lists import ListValue
from tracer.values.shapes import holds_symbols
from tracer.values.tensors import PLAIN, TensorValue
from tracer.values.tuples import TupleValue, is_constant_tuple

RAW, AGAIN, UNREAD, TENSOR, OUTSIDE, CONTAINER = range(6)
"""Kinds of tokens: raw objects, values met before, objects from outside that nothing has looked at, tensors, other
objects from outside, containers born in the trace.
"""

KNOWN_BY_IDENTITY = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.ModuleType)


class NoTemplate(Exception):
    """A call does what no template knows: it is interpreted, and so is every other like it."""


class Token(NamedTuple):
    """One part of an argument, as it is when the call begins: what it stands for, and the facts to compare."""

    kind: int
    item: Item
    facts: tuple[Any, ...] = ()


class Pair(NamedTuple):
    """An object from outside in one call, and the one in its place in another, with their paths."""

    source: Source
    value: Any
    other_source: Source
    other: Any


class Pairing(NamedTuple):
    """How the arguments of two calls correspond.

    `items` has the item for each of the first call's, by its identity, `nodes` the node for each node, and `roots` the
    objects from outside that differ; `fixed` are the paths of those that are the same in both.
    """

    items: dict[int, Item]
    nodes: dict[Any, Any]
    roots: list[Pair]
    fixed: list[Source]


def signature(trace: Trace, items: Iterable[Item]) -> list[Token]:
    """The tokens of arguments, those inside containers after these. Raises NoTemplate for what no template knows."""
    walk = _Walk(trace.effects.changed)
    for item in items:
        walk.visit(item)
    return walk.tokens


class _Walk:
    def __init__(self, changed: dict[int, Any]) -> None:
        self.changed = changed
        self.tokens: list[Token] = []
        self.places: dict[int, int] = {}

    def visit(self, item: Item) -> None:
        while type(item) is Lazy and item.known is not MISSING:
            item = item.known
        if not isinstance(item, Value):
            self._raw(item)
            return
        place = self.places.get(id(item))
        if place is not None:
            self.tokens.append(Token(AGAIN, place))
            return
        self.places[id(item)] = len(self.tokens)
        kind = type(item)
        if kind is Lazy:
            self.tokens.append(Token(UNREAD, item))
        elif isinstance(item, TensorValue):
            self._tensor(item)
        elif item.source is not None:
            if not hasattr(item, "object") or id(item) in self.changed:
                raise NoTemplate
            self.tokens.append(Token(OUTSIDE, item))
        elif kind in (TupleValue, ListValue, DictValue):
            self._container(item)
        else:
            raise NoTemplate

    def _raw(self, item: Item) -> None:
        kind: Any = type(item)
        stands_for_itself = kind in LITERALS or isinstance(item, KNOWN_BY_IDENTITY) or item is MISSING
        if holds_symbols(item) or not (stands_for_itself or (type(item) is tuple and is_constant_tuple(item))):
            raise NoTemplate
        self.tokens.append(Token(RAW, item))

    def _tensor(self, value: TensorValue) -> None:
        if not is_plain_tensor(value):
            raise NoTemplate
        self.tokens.append(Token(TENSOR, value, (value.meta, value.touched, value.cls, value.node)))
        self.visit(value.base)
        self.visit(value.root)

    def _container(self, value: Any) -> None:
        if value.attributes or value.fields:
            raise NoTemplate
        if isinstance(value, DictValue):
            keys = tuple(value.items)
            if any(type(key) is not str for key in keys):
                raise NoTemplate
            self.tokens.append(Token(CONTAINER, value, (value.cls, *keys)))
            parts = list(value.items.values())
        else:
            self.tokens.append(Token(CONTAINER, value, (value.cls, len(value.items))))
            parts = list(value.items)
        for part in parts:
            self.visit(part)


def is_plain_tensor(value: TensorValue) -> bool:
    """Whether all that the trace knows of a tensor is its node, its meta and what it is a view of."""
    return not (
        value.written
        or value.fields
        or value.is_stale
        or value.owner is not None
        or value.meta.symbolic
        or value.cls not in PLAIN
        or (value.source is None and value.attributes)
    )


def pair(trace: Trace, first: list[Token], second: list[Token]) -> Pairing | None:
    """How the arguments of two calls correspond, None if they are not alike."""
    if len(first) != len(second):
        return None
    pairing = Pairing({}, {}, [], [])
    for one, other in zip(first, second, strict=True):
        if one.kind != other.kind or not _PAIR[one.kind](trace, one, other, pairing):
            return None
    others = {pair.other_source for pair in pairing.roots}
    return pairing if len(others) == len(pairing.roots) and others.isdisjoint(pairing.fixed) else None


def _pair_raw(trace: Trace, one: Token, other: Token, pairing: Pairing) -> bool:
    if one.item is other.item:
        return True
    if id(one.item) in trace.literals or id(other.item) in trace.literals or type(one.item) not in LITERALS:
        return False
    return equal_constants(other.item, one.item) and _put(pairing, one.item, other.item)


def _pair_again(trace: Trace, one: Token, other: Token, pairing: Pairing) -> bool:
    return one.item == other.item


def _pair_unread(trace: Trace, one: Token, other: Token, pairing: Pairing) -> bool:
    same = one.item.source is other.item.source
    if same != (one.item.object is other.item.object) or type(one.item.object) is not type(other.item.object):
        return False
    return _pair_outside(trace, one, other, pairing)


def _pair_outside(trace: Trace, one: Token, other: Token, pairing: Pairing) -> bool:
    first, second = one.item, other.item
    if first is second or first.source is second.source:
        pairing.fixed.append(first.source)
    elif type(first) is not type(second) or type(first.object) is not type(second.object):
        return False
    else:
        pairing.roots.append(Pair(first.source, first, second.source, second))
    return _put(pairing, first, second)


def _pair_tensors(trace: Trace, one: Token, other: Token, pairing: Pairing) -> bool:
    *facts, node = one.facts
    *other_facts, other_node = other.facts
    outside = one.item.source is not None
    if facts != other_facts or (node is None) != (other_node is None) or outside != (other.item.source is not None):
        return False
    if node is not None and pairing.nodes.setdefault(node, other_node) is not other_node:
        return False
    return _pair_outside(trace, one, other, pairing) if outside else _put(pairing, one.item, other.item)


def _pair_containers(trace: Trace, one: Token, other: Token, pairing: Pairing) -> bool:
    return type(one.item) is type(other.item) and one.facts == other.facts and _put(pairing, one.item, other.item)


def _put(pairing: Pairing, item: Item, other: Item) -> bool:
    return pairing.items.setdefault(id(item), other) is other


_PAIR = (_pair_raw, _pair_again, _pair_unread, _pair_tensors, _pair_outside, _pair_containers)


def is_unchanged(before: list[Token], after: list[Token]) -> bool:
    """Whether the arguments are the same objects in the same state as when the call began.

    An object from outside may have been looked at, and a tensor from outside may be part of the graph now.
    """
    if len(before) != len(after):
        return False
    for one, other in zip(before, after, strict=True):
        if one.kind != other.kind or (one.item != other.item if one.kind == AGAIN else one.item is not other.item):
            return False
        if one.kind == TENSOR and one.item.source is not None:
            if one.facts[0] is not other.facts[0]:
                return False
        elif one.facts != other.facts:
            return False
    return True
