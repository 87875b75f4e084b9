"""Iterators over items that were listed when the iterator was made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.iterators import END, IteratorValue, iterator_kind
from tracer.values.kinds import register
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable, fragment, items_of, literal, tuple_of_items


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


def _list(emitter: Emitter, items: Sequence[Item]) -> Fragment:
    return fragment("[{}]", items_of(emitter, items))


def _bytes(emitter: Emitter, items: Sequence[Item]) -> Fragment:
    return literal(bytes(items))


STORED: dict[type, Callable[[Emitter, Sequence[Item]], Fragment]] = {
    type(iter([])): _list,
    type(iter(())): tuple_of_items,
    type(iter(b"")): _bytes,
}
"""Class of an iterator to the expression of what it is over."""

TEXT_ITERATORS = (type(iter("a")), type(iter("\u00e9")))
"""Those of strings: which of the two it is depends on all characters, also those that are taken already."""


def _rebuild(emitter: Emitter, value: ItemsIterator) -> Fragment:
    rest = value.items[value.index :]
    if isinstance(rest, range):
        return emitter.assign("iterator", fragment("iter({})", literal(rest)))
    if value.cls is reversed:
        return emitter.assign("iterator", fragment("reversed({})", tuple_of_items(emitter, rest[::-1])))
    if value.cls in TEXT_ITERATORS:
        name = emitter.assign("iterator", fragment("iter({})", literal("".join(value.items))))
        emitter.say(fragment("{}.__setstate__({})", name, literal(value.index)))
        return name
    stored = STORED.get(value.cls)
    if stored is None:
        raise Unrebuildable(f"a {value.cls.__name__}", value.birth)
    return emitter.assign("iterator", fragment("iter({})", stored(emitter, rest)))


register(iterator_kind(_rebuild), ItemsIterator)
