"""Lists, tuples, dicts and sets whose content is known item by item.

One that came from outside reads its items only when asked and guards what it read: its length,
its keys, then each item as a value of its own. The payload is a host container of items, so most
methods of the real type can be run on it directly.
"""

from __future__ import annotations

from collections import OrderedDict, deque, namedtuple
from collections.abc import Iterable
from sys import getsizeof
from typing import Any

from tracer.guards.source import Source
from tracer.reasons import UNSUPPORTED_ITERATOR, UNSUPPORTED_MUTATION
from tracer.values.base import MISSING, UNREAD, Lazy, Value
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.objects import ObjectValue

TUPLE_FIELD: type = type(namedtuple("Single", ["field"]).field)  # pyright: ignore
"""The C descriptor that reads a field of a named tuple."""


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
            real: Any = self.object
            assert self.source is not None
            context.guard(self.source, "length", len(real))
            self.items = [UNREAD] * len(real)
        return self.items

    def read(self, context: Context, index: int) -> Item:
        """The item at a non-negative position that exists."""
        items = self.open(context)
        item = items[index]
        if item is UNREAD:
            assert self.source is not None
            real: Any = self.object
            item = items[index] = Lazy(real[index], self.source.child(self.step, index))
        return item

    def all(self, context: Context) -> list[Item]:
        """The payload with every item read."""
        if not self.complete:
            for index in range(len(self.open(context))):
                self.read(context, index)
            self.complete = True
        return self.items


class ListValue(SequenceValue):
    """A list or deque (or an instance of a subclass). `maxlen` is the deque's.

    `tail` holds what was appended before anything was read: a log that only grows is never guarded.
    """

    __slots__ = ("maxlen", "tail")

    def __init__(
        self, cls: type = list, items: Iterable[Item] = (), source: Source | None = None, obj: object = MISSING
    ) -> None:
        super().__init__(cls, items, source, obj)
        self.maxlen: int | None = obj.maxlen if isinstance(obj, deque) else None
        self.tail: list[Item] = []

    def open(self, context: Context) -> list[Item]:
        items = super().open(context)
        if self.tail:
            items += self.tail
            self.tail = []
        return items

    def append(self, context: Context, item: Item) -> None:
        """`list.append`; a list from outside need not be read for it."""
        if self.complete or self.items or self.maxlen is not None:
            self.change(context).append(item)
        else:
            self.tail.append(item)
            self.changed = True
            context.effects.record(self)

    @property
    def step(self) -> str:
        return "deque item" if issubclass(self.cls, deque) else "index"

    def change(self, context: Context) -> list[Item]:
        """The payload, about to be changed."""
        items = self.all(context)
        self.changed = True
        context.effects.record(self)
        return items


class TupleValue(SequenceValue):
    """A tuple that holds at least one value, a named tuple, or a struct sequence.

    Hashes and compares by content, so that it can key a payload dict.
    """

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(tuple(self.items))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TupleValue):
            return self is other or self.items == other.items
        return isinstance(other, tuple) and tuple(self.items) == other


class DictValue(ObjectValue):
    """A dict or an instance of a subclass; keys are raw objects or values, hashed as the program would.

    `before` lists the keys that the real one has, in order, once they are known.
    """

    __slots__ = ("before", "changed", "complete", "items")

    def __init__(
        self,
        cls: type = dict,
        items: dict[Item, Item] | None = None,
        source: Source | None = None,
        obj: object = MISSING,
    ) -> None:
        super().__init__(cls, source, obj)
        self.items: dict[Item, Item] = items if items is not None else {}
        self.before: list[Item] = []
        self.changed = False
        self.complete = obj is MISSING

    def place(self, key: Item) -> Source:
        """The path to what the real dict holds at `key`."""
        assert self.source is not None
        return self.source.child("item of", key.source) if isinstance(key, Value) else self.source.child("item", key)

    def lookup(self, context: Context, key: Item) -> Item:
        """The item at `key` or MISSING; of a dict from outside only this key is guarded."""
        item = self.items.get(key, UNREAD)
        if item is not UNREAD:
            return item
        if self.complete:
            return MISSING
        real: Any = self.object
        assert self.source is not None
        if isinstance(key, Value):
            return self.all(context).get(key, MISSING)
        if dict.__contains__(real, key):
            item = Lazy(dict.__getitem__(real, key), self.source.child("item", key))
        else:
            context.guard(self.source, "absent", key)
            item = MISSING
        self.items[key] = item
        return item

    def all(self, context: Context) -> dict[Item, Item]:
        """The payload with every key present, in the dict's own order."""
        if not self.complete:
            real: Any = self.object
            assert self.source is not None
            raw_keys = tuple(dict.keys(real)) if not issubclass(self.cls, OrderedDict) else tuple(real)
            context.guard(self.source, "keys", raw_keys)
            items: dict[Item, Item] = {}
            for position, key in enumerate(raw_keys):
                item_key = context.wrap_key(key, self.source.child("key", position))
                item = self.items.get(item_key, UNREAD)
                if item is UNREAD:
                    item = Lazy(dict.__getitem__(real, key), self.place(item_key))
                items[item_key] = item
            self.items = items
            self.before = list(items)
            self.complete = True
        return self.items

    def change(self, context: Context) -> dict[Item, Item]:
        if self.object is not MISSING and dict.__contains__(self.object, "__builtins__"):  # type: ignore[arg-type]
            context.stop(UNSUPPORTED_MUTATION, "the globals of a module are changed through their dictionary")
        items = self.all(context)
        self.changed = True
        context.effects.record(self)
        return items


class SetValue(ObjectValue):
    """A set or frozenset; the payload is a host set, changed step by step as the program's is.

    So it has the same order, unless it stands for a set from outside whose history is not known:
    `members` is the order of that one until it is changed, `faithful` whether a copy has it too.
    """

    __slots__ = ("changed", "complete", "faithful", "items", "members")

    def __init__(
        self, cls: type = set, items: Iterable[Item] = (), source: Source | None = None, obj: object = MISSING
    ) -> None:
        super().__init__(cls, source, obj)
        self.items: Any = items if type(items) in (set, frozenset) else set(items)
        self.members: list[Item] | None = None
        self.faithful = True
        self.changed = False
        self.complete = obj is MISSING

    def all(self, context: Context) -> Any:
        if not self.complete:
            real: Any = self.object
            assert self.source is not None
            context.guard(self.source, "set items", frozenset(real))
            kind: Any = frozenset if isinstance(real, frozenset) else set
            self.members = [context.wrap_key(key, None) for key in kind.__iter__(real)]
            exact = type(real) is kind and all(not isinstance(member, Value) for member in self.members)
            self.items = real if exact else kind(self.members)
            self.complete = True
        return self.items

    def in_order(self, context: Context) -> list[Item]:
        """The elements as the program's set lists them."""
        items = self.all(context)
        if self.members is not None:
            return self.members
        if not self.faithful:
            context.stop(UNSUPPORTED_ITERATOR, "a set from outside that has been changed")
        return list(items)

    def change(self, context: Context) -> set[Item]:
        items = self.all(context)
        if self.members is not None:
            items = self.items = set(items)
            self.faithful = list(items) == self.members and getsizeof(items) == getsizeof(self.object)
            self.members = None
        self.changed = True
        context.effects.record(self)
        return items

    def __hash__(self) -> int:
        return hash(frozenset(self.items)) if issubclass(self.cls, frozenset) else id(self)

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, SetValue):
            return self is other
        return issubclass(self.cls, frozenset) and issubclass(other.cls, frozenset) and self.items == other.items


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


def make_tuple(items: Iterable[Item]) -> Item:
    """A tuple of items: raw when everything in it is."""
    items = tuple(items)
    for item in items:
        if isinstance(item, Value):
            return TupleValue(tuple, items)
    return items


def known_lazies(context: Context, items: Iterable[Item]) -> list[Item]:
    """Items with every lazy constant realised (and guarded)."""
    return [item.realise(context) if type(item) is Lazy else item for item in items]


VIEW_TYPES: dict[str, type] = {"keys": type({}.keys()), "values": type({}.values()), "items": type({}.items())}
"""How a view of a dict is made, to its class."""
