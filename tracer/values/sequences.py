"""What lists and tuples share: items by position, read lazily from a real sequence."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from tracer.guards.source import Source, stored_length
from tracer.values.base import MISSING, UNREAD, Lazy
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.objects import ObjectValue, object_parts


class SequenceValue(ObjectValue):
    """What lists and tuples share: items by position, read lazily from a real sequence."""

    __slots__ = ("changed", "complete", "items")
    step = "index"

    def __init__(
        self, cls: type, items: Iterable[Item] = (), source: Source | None = None, obj: object = MISSING
    ) -> None:
        super().__init__(cls, source, obj)
        self.items: list[Item] = list(items)
        self.changed = False
        self.complete = obj is MISSING

    def open(self, context: Context) -> list[Item]:
        """The payload, some items perhaps UNREAD; guards the length."""
        if not self.complete and not self.items:
            assert self.source is not None
            size = stored_length(self.object)
            context.guard(self.source, "length", size)
            self.items = [UNREAD] * (size or 0)
        return self.items

    def read(self, context: Context, index: int) -> Item:
        """The item at a non-negative position that exists."""
        items = self.open(context)
        item = items[index]
        if item is UNREAD:
            assert self.source is not None
            item = items[index] = Lazy(stored_item(self.object, index), self.source.child(self.step, index))
        return item

    def all(self, context: Context) -> list[Item]:
        """The payload with every item read."""
        if not self.complete:
            for index in range(len(self.open(context))):
                self.read(context, index)
            self.complete = True
        return self.items


def stored_item(sequence: object, index: int) -> Any:
    """The item that a sequence stores at `index`, whatever `__getitem__` of a subclass says."""
    kind: Any = next(kind for kind in (list, tuple, deque) if issubclass(type(sequence), kind))
    return kind.__getitem__(sequence, index)


def sequence_parts(value: SequenceValue) -> list[Item]:
    """The items, then what it has as an instance."""
    return [*value.items, *object_parts(value)]
