"""Iterators over other iterators: what `enumerate`, `zip`, `map` and `filter` make."""

from __future__ import annotations

import operator
from typing import Any

from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.iterators import END, IteratorValue, iterator_kind, next_item
from tracer.values.kinds import register
from tracer.values.protocols.operators import binary
from tracer.values.protocols.truth import truth
from tracer.values.raising import throw
from tracer.values.rebuilding import Emitter, Fragment, fragment, items_of, listed
from tracer.values.tuples import make_tuple


class EnumerateIterator(IteratorValue):
    """What `enumerate(inner, count)` makes."""

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
        self.count = binary(context, operator.add, self.count, 1)
        return pair


class ZipIterator(IteratorValue):
    """What `zip(*inners, strict=strict)` makes."""

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


def _arguments(position: int) -> str:
    return "argument 1" if position == 1 else f"arguments 1-{position}"


class MapIterator(IteratorValue):
    """What `map(function, *inners)` makes."""

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
    """What `filter(function, inner)` makes; None as `function` keeps what is true."""

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


def _rebuild_enumerate(emitter: Emitter, value: EnumerateIterator) -> Fragment:
    parts = emitter.expression(value.inner), emitter.expression(value.count)
    return emitter.assign("iterator", fragment("enumerate({}, {})", *parts))


def _rebuild_zip(emitter: Emitter, value: ZipIterator) -> Fragment:
    strict = Fragment(f"strict={value.strict}")
    inners = [emitter.expression(inner) for inner in value.inners]
    return emitter.assign("iterator", fragment("zip({})", listed([*inners, strict])))


def _rebuild_map(emitter: Emitter, value: MapIterator) -> Fragment:
    return emitter.assign("iterator", fragment("map({})", items_of(emitter, [value.function, *value.inners])))


def _rebuild_filter(emitter: Emitter, value: FilterIterator) -> Fragment:
    return emitter.assign("iterator", fragment("filter({})", items_of(emitter, [value.function, value.inner])))


register(iterator_kind(_rebuild_enumerate), EnumerateIterator)
register(iterator_kind(_rebuild_zip), ZipIterator)
register(iterator_kind(_rebuild_map), MapIterator)
register(iterator_kind(_rebuild_filter), FilterIterator)
