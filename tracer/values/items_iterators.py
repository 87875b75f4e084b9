"""Iterators over items that were listed when the iterator was made."""

from __future__ import annotations

from collections.abc import Sequence

from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.iterators import END, IteratorValue, iterator_kind
from tracer.values.kinds import register
from tracer.values.rebuilding import Emitter, Fragment, fragment, items_of, literal, tuple_of_items


class ItemsIterator(IteratorValue):
    """Over items listed when the iterator was made: raw iterables, reversed sequences, rows of a tensor."""

    __slots__ = ("index", "items")

    def __init__(self, context: Context, cls: type, items: Sequence[Item]) -> None:
        super().__init__(context, cls)
        self.items = items
        self.index = 0

    def next(self, context: Context) -> Item:
        try:
            item = self.items[self.index]
        except IndexError:  # the length of a range may be beyond what `len` can say
            return END
        self.index += 1
        return item


def _rebuild(emitter: Emitter, value: ItemsIterator) -> Fragment:
    rest = value.items[value.index :]
    if isinstance(rest, range):
        items = literal(rest)
    elif value.cls is reversed:
        return emitter.assign("iterator", fragment("reversed({})", tuple_of_items(emitter, rest[::-1])))
    elif value.cls is type(iter("")):
        items = literal("".join(rest))
    else:
        items = fragment("[{}]", items_of(emitter, rest))
    return emitter.assign("iterator", fragment("iter({})", items))


register(iterator_kind(_rebuild), ItemsIterator)
