"""Iterators whose position the trace knows, so that loops unroll and breaks can rebuild them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import FunctionType
from typing import Any

from tracer.reasons import UNSUPPORTED_ITERATOR
from tracer.values.base import MISSING, Lazy, Missing, Value
from tracer.values.class_attributes import class_name, special
from tracer.values.containers import DictValue, SequenceValue, SetValue, make_tuple
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.objects import arguments_of
from tracer.values.protocols.truth import truth
from tracer.values.raising import Raised, throw

END = Missing()
"""What `next` answers when an iterator is exhausted."""


class IteratorValue(Value):
    """An iterator born in the trace; `birth` is the root step that made it."""

    __slots__ = ("birth",)

    def __init__(self, context: Context, cls: type) -> None:
        super().__init__(cls)
        self.birth = context.step

    def next(self, context: Context) -> Item:
        """The next item, or END."""
        raise NotImplementedError


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


class TableIterator(IteratorValue):
    """Over a dict (its keys, values or items) or a set; complains, as CPython's does, when that changes its size."""

    __slots__ = ("index", "keys", "kind", "size", "table")

    def __init__(self, context: Context, table: DictValue | SetValue, kind: str) -> None:
        super().__init__(context, TABLE_ITERATORS[kind])
        self.table: DictValue | SetValue | None = table
        self.kind = kind
        self.keys = table.in_order(context) if isinstance(table, SetValue) else list(table.all(context))
        self.size = len(self.keys)
        self.index = 0

    def next(self, context: Context) -> Item:
        table = self.table
        if table is None:
            return END
        payload = table.all(context)
        if len(payload) != self.size:
            self.size = -1
            what = "Set" if self.kind == "elements" else "dictionary"
            throw(context, RuntimeError, f"{what} changed size during iteration")
        if self.index == self.size:
            self.table = None
            return END
        key = self.keys[self.index]
        if key not in payload:
            context.stop(UNSUPPORTED_ITERATOR, f"a {table.cls.__name__} whose keys changed during iteration")
        self.index += 1
        if self.kind == "values":
            return payload[key]
        return make_tuple((key, payload[key])) if self.kind == "items" else key


class ItemsIterator(IteratorValue):
    """Over items listed when the iterator was made: raw iterables, reversed sequences, rows of a tensor."""

    __slots__ = ("index", "items")

    def __init__(self, context: Context, cls: type, items: Sequence[Item]) -> None:
        super().__init__(context, cls)
        self.items = items
        self.index = 0

    def next(self, context: Context) -> Item:
        if self.index >= len(self.items):
            return END
        item = self.items[self.index]
        self.index += 1
        return item


class EnumerateIterator(IteratorValue):
    __slots__ = ("count", "inner")

    def __init__(self, context: Context, inner: Item, count: Any) -> None:
        super().__init__(context, enumerate)
        self.inner = inner
        self.count = count

    def next(self, context: Context) -> Item:
        item = next_item(context, self.inner)
        if item is END:
            return END
        pair = make_tuple((self.count, item))
        self.count += 1
        return pair


class ZipIterator(IteratorValue):
    __slots__ = ("inners", "strict")

    def __init__(self, context: Context, inners: list[Item], strict: bool) -> None:
        super().__init__(context, zip)
        self.inners = inners
        self.strict = strict

    def next(self, context: Context) -> Item:
        row: list[Item] = []
        for position, inner in enumerate(self.inners):
            item = next_item(context, inner)
            if item is END:
                if self.strict:
                    self._check_lengths(context, position)
                return END
            row.append(item)
        return make_tuple(row) if row else END

    def _check_lengths(self, context: Context, position: int) -> None:
        """zip(strict=True): the iterator at `position` ended first; all others must end too."""
        if position:
            throw(context, ValueError, f"zip() argument {position + 1} is shorter than {_arguments(position)}")
        for later in range(1, len(self.inners)):
            if next_item(context, self.inners[later]) is not END:
                throw(context, ValueError, f"zip() argument {later + 1} is longer than {_arguments(later)}")


class MapIterator(IteratorValue):
    __slots__ = ("function", "inners")

    def __init__(self, context: Context, function: Item, inners: list[Item]) -> None:
        super().__init__(context, map)
        self.function = function
        self.inners = inners

    def next(self, context: Context) -> Item:
        row: list[Item] = []
        for inner in self.inners:
            item = next_item(context, inner)
            if item is END:
                return END
            row.append(item)
        return context.machine.call(context, self.function, row)


class FilterIterator(IteratorValue):
    __slots__ = ("function", "inner")

    def __init__(self, context: Context, function: Item, inner: Item) -> None:
        super().__init__(context, filter)
        self.function = function
        self.inner = inner

    def next(self, context: Context) -> Item:
        while (item := next_item(context, self.inner)) is not END:
            verdict = item if self.function is None else context.machine.call(context, self.function, [item])
            if truth(context, verdict):
                return item
        return END


def next_item(context: Context, iterator: Item) -> Item:
    """The iterator's next item or END, by its own `next` or by the program's `__next__`."""
    if isinstance(iterator, IteratorValue):
        return iterator.next(context)
    return next_by_method(context, iterator)


def next_by_method(context: Context, iterator: Item) -> Item:
    """`next(iterator)` through the program's own `__next__`; END when it raises StopIteration."""
    iterator = iterator.realise(context) if type(iterator) is Lazy else iterator
    if isinstance(iterator, IteratorValue):
        return iterator.next(context)
    method = special(context, iterator, "__next__")
    if method is MISSING:
        throw(context, TypeError, f"'{class_name(iterator)}' object is not an iterator")
    if type(method) is not FunctionType:
        context.stop(UNSUPPORTED_ITERATOR, class_name(iterator))
    return call_until_stop(context, method, [iterator])


def call_until_stop(context: Context, method: Item, args: Sequence[Item]) -> Item:
    """Call a method that may raise StopIteration: END then, and what that carried is in `context.stop_value`."""
    try:
        return context.machine.call(context, method, args)
    except Raised as raised:
        if not issubclass(raised.value.cls, StopIteration):
            raise
        arguments = arguments_of(raised.value)
        context.stop_value = arguments[0] if arguments else None
        return END


def _arguments(position: int) -> str:
    return "argument 1" if position == 1 else f"arguments 1-{position}"


TABLE_ITERATORS: dict[str, type] = {
    "keys": type(iter({}.keys())),
    "values": type(iter({}.values())),
    "items": type(iter({}.items())),
    "elements": type(iter(set())),
}
_SEQUENCE_ITERATORS: dict[type, type] = {kind: type(iter(kind())) for kind in (list, tuple, deque)}
_REVERSED_ITERATORS: dict[type, type] = {kind: type(reversed(kind())) for kind in (list, tuple, deque)}


def _iterator_type(cls: type, types: dict[type, type]) -> type:
    return next(made for kind, made in types.items() if issubclass(cls, kind))
