"""Iterators over lists, tuples and deques, forwards and backwards."""

from __future__ import annotations

from collections import deque

from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.iterators import END, ITERATOR, IteratorValue
from tracer.values.kinds import register
from tracer.values.raising import throw
from tracer.values.sequences import SequenceValue


class SequenceIterator(IteratorValue):
    """Over a list, tuple or deque; sees what the loop appends, as CPython's does."""

    __slots__ = ("index", "sequence", "size")

    def __init__(self, context: Context, sequence: SequenceValue) -> None:
        super().__init__(context, _iterator_type(sequence.cls, _SEQUENCE_ITERATORS))
        self.sequence: SequenceValue | None = sequence
        self.index = 0
        self.size = len(sequence.open(context)) if issubclass(sequence.cls, deque) else -1

    def next(self, context: Context) -> Item:
        sequence = self.sequence
        if sequence is None:
            return END
        size = len(sequence.open(context))
        if self.size not in (-1, size):
            throw(context, RuntimeError, "deque mutated during iteration")
        if self.index >= size:
            self.sequence = None
            return END
        item = sequence.read(context, self.index)
        self.index += 1
        return item


class ReversedIterator(IteratorValue):
    """Over a list, tuple or deque from its end, as it is when an item is asked for."""

    __slots__ = ("index", "sequence")

    def __init__(self, context: Context, sequence: SequenceValue) -> None:
        super().__init__(context, _iterator_type(sequence.cls, _REVERSED_ITERATORS))
        self.sequence: SequenceValue | None = sequence
        self.index = len(sequence.open(context)) - 1

    def next(self, context: Context) -> Item:
        sequence = self.sequence
        if sequence is None or not 0 <= self.index < len(sequence.open(context)):
            self.sequence = None
            return END
        self.index -= 1
        return sequence.read(context, self.index + 1)


_SEQUENCE_ITERATORS: dict[type, type] = {kind: type(iter(kind())) for kind in (list, tuple, deque)}


_REVERSED_ITERATORS: dict[type, type] = {kind: type(reversed(kind())) for kind in (list, tuple, deque)}


def _iterator_type(cls: type, types: dict[type, type]) -> type:
    return next(made for kind, made in types.items() if issubclass(cls, kind))


register(ITERATOR, SequenceIterator, ReversedIterator)
