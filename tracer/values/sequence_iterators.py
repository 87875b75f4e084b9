"""Iterators over lists, tuples and deques, forwards and backwards."""

from __future__ import annotations

from collections import deque

from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.iterators import END, IteratorValue, iterator_kind, skip
from tracer.values.kinds import register
from tracer.values.lists import ListValue
from tracer.values.raising import throw
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable, fragment, literal, named_class
from tracer.values.sequences import SequenceValue


class SequenceIterator(IteratorValue):
    """Over a list, tuple or deque; as CPython's, a list's sees what the loop appends, and a deque's complains of it."""

    __slots__ = ("index", "sequence", "state")

    def __init__(self, context: Context, sequence: SequenceValue) -> None:
        super().__init__(context, _iterator_type(sequence.cls, _SEQUENCE_ITERATORS))
        self.sequence: SequenceValue | None = sequence
        self.index = 0
        self.state = _state(sequence)

    def next(self, context: Context) -> Item:
        sequence = self.sequence
        if sequence is None:
            return END
        size = len(sequence.open(context))
        if self.state != _state(sequence):
            throw(context, RuntimeError, "deque mutated during iteration")
        if self.index >= size:
            if not issubclass(sequence.cls, deque):
                self.sequence = None
            return END
        item = sequence.read(context, self.index)
        self.index += 1
        return item


class ReversedIterator(IteratorValue):
    """Over a list, tuple or deque from its end, as it is when an item is asked for."""

    __slots__ = ("index", "sequence", "state")

    def __init__(self, context: Context, sequence: SequenceValue) -> None:
        super().__init__(context, _iterator_type(sequence.cls, _REVERSED_ITERATORS))
        self.sequence: SequenceValue | None = sequence
        self.index = len(sequence.open(context)) - 1
        self.state = _state(sequence)

    def next(self, context: Context) -> Item:
        sequence = self.sequence
        if sequence is None or self.index < 0:
            self.sequence = None
            return END
        if self.state != _state(sequence):
            self.index = -1
            throw(context, RuntimeError, "deque mutated during iteration")
        if self.index >= len(sequence.open(context)):
            self.sequence = None
            return END
        self.index -= 1
        return sequence.read(context, self.index + 1)


def _state(sequence: SequenceValue) -> int:
    """What must not change while a deque is iterated; of other sequences nothing."""
    return sequence.state if isinstance(sequence, ListValue) and issubclass(sequence.cls, deque) else 0


_SEQUENCE_ITERATORS: dict[type, type] = {kind: type(iter(kind())) for kind in (list, tuple, deque)}


_REVERSED_ITERATORS: dict[type, type] = {kind: type(reversed(kind())) for kind in (list, tuple, deque)}


def _iterator_type(cls: type, types: dict[type, type]) -> type:
    return next(iterator_type for kind, iterator_type in types.items() if issubclass(cls, kind))


def _rebuild(emitter: Emitter, value: SequenceIterator) -> Fragment:
    if value.sequence is None:
        return _exhausted(emitter, "iter({}())", _SEQUENCE_ITERATORS, value.cls)
    owner = _storage(value)
    maker = named_class(emitter, owner), emitter.expression(value.sequence)
    name = emitter.assign("iterator", fragment("{}.__iter__({})", *maker))
    if value.index and owner is deque:
        skip(emitter, name, value.index)
    elif value.index:
        emitter.say(fragment("{}.__setstate__({})", name, literal(value.index)))
    return name


def _exhausted(emitter: Emitter, template: str, types: dict[type, type], cls: type) -> Fragment:
    """An iterator of the class `cls` that has nothing left."""
    owner = next(kind for kind, iterator_type in types.items() if iterator_type is cls)
    return emitter.assign("iterator", fragment(template, named_class(emitter, owner)))


def _storage(value: SequenceIterator | ReversedIterator) -> type:
    """The builtin class whose iterator it is; one of a deque does not survive changes."""
    sequence = value.sequence
    assert sequence is not None
    kind = next(kind for kind in (list, tuple, deque) if issubclass(sequence.cls, kind))
    if kind is deque and ((sequence.source is not None and sequence.changed) or value.state != _state(sequence)):
        raise Unrebuildable("an iterator of a deque that has changed", value.birth)
    return kind


def _rebuild_reversed(emitter: Emitter, value: ReversedIterator) -> Fragment:
    if value.sequence is None:
        return _exhausted(emitter, "reversed({}())", _REVERSED_ITERATORS, value.cls)
    owner = _storage(value)
    last = len(value.sequence.items) - 1
    maker = Fragment("reversed") if owner is tuple else fragment("{}.__reversed__", named_class(emitter, owner))
    name = emitter.assign("iterator", fragment("{}({})", maker, emitter.expression(value.sequence)))
    if owner is not deque and value.index != last:
        emitter.say(fragment("{}.__setstate__({})", name, literal(value.index)))
    elif value.index != last:
        skip(emitter, name, last - value.index)
    return name


register(iterator_kind(_rebuild), SequenceIterator)
register(iterator_kind(_rebuild_reversed), ReversedIterator)
