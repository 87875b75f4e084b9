"""Iterators over items that were listed when the iterator was made."""

from __future__ import annotations

from collections.abc import Sequence

from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.iterators import END, ITERATOR, IteratorValue
from tracer.values.kinds import register


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


register(ITERATOR, ItemsIterator)
