"""Iterators whose position the trace knows, so that loops unroll and breaks can rebuild them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tracer.reasons import UNSUPPORTED_ITERATOR
from tracer.values.base import Item, Missing, Value
from tracer.values.containers import DictValue, SequenceValue, SetValue, make_tuple

if TYPE_CHECKING:
    from tracer.values.context import Context

END = Missing()
"""What `next` answers when an iterator is exhausted."""


class IteratorValue(Value):
    """An iterator born in the trace; `birth` is the root step that made it."""

    __slots__ = ("birth",)

    def __init__(self, context: Context, cls: type) -> None:
        super().__init__(cls)
        self.birth = context.birth()

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
            context.throw(RuntimeError, "deque mutated during iteration")
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
            context.throw(RuntimeError, f"{what} changed size during iteration")
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
            context.throw(ValueError, f"zip() argument {position + 1} is shorter than {_arguments(position)}")
        for later in range(1, len(self.inners)):
            if next_item(context, self.inners[later]) is not END:
                context.throw(ValueError, f"zip() argument {later + 1} is longer than {_arguments(later)}")


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
        return context.call(self.function, row)


class FilterIterator(IteratorValue):
    __slots__ = ("function", "inner")

    def __init__(self, context: Context, function: Item, inner: Item) -> None:
        super().__init__(context, filter)
        self.function = function
        self.inner = inner

    def next(self, context: Context) -> Item:
        while (item := next_item(context, self.inner)) is not END:
            verdict = item if self.function is None else context.call(self.function, [item])
            if context.truth(verdict):
                return item
        return END


class DictView(Value):
    """`d.keys()`, `d.values()` or `d.items()`: alive, as in CPython."""

    __slots__ = ("dictionary", "kind")

    def __init__(self, dictionary: DictValue, kind: str) -> None:
        super().__init__(VIEW_TYPES[kind])
        self.dictionary = dictionary
        self.kind = kind

    def all(self, context: Context) -> list[Item]:
        payload = self.dictionary.all(context)
        if self.kind == "keys":
            return list(payload)
        if self.kind == "values":
            return list(payload.values())
        return [make_tuple(pair) for pair in payload.items()]


def next_item(context: Context, iterator: Item) -> Item:
    """The iterator's next item or END, by its own `next` or by the program's `__next__`."""
    if isinstance(iterator, IteratorValue):
        return iterator.next(context)
    return context.next_of(iterator)


def _arguments(position: int) -> str:
    return "argument 1" if position == 1 else f"arguments 1-{position}"


VIEW_TYPES: dict[str, type] = {"keys": type({}.keys()), "values": type({}.values()), "items": type({}.items())}
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
