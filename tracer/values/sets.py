"""Sets and frozensets, and instances of their subclasses."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from sys import getsizeof
from typing import Any

import torch

from tracer.guards.source import Source, constant
from tracer.reasons import UNSUPPORTED_ITERATOR
from tracer.values.base import LITERALS, MISSING, Value
from tracer.values.concrete import concrete_parts
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments, sequence_argument
from tracer.values.item import Item
from tracer.values.kinds import Kind, NotConcrete, Wraps, no_graph_argument, register, remember
from tracer.values.objects import ObjectValue, build_instance, has_state_of_its_own, object_constant, object_parts
from tracer.values.of_process import note_order
from tracer.values.plain_keys import have_no_equality
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable, fragment, items_of, named_class

SetChange = tuple[Any, ...]
"""The name of a method of set, and what it is given: an element, or an operand as `SetValue.combine` notes it."""


class SetValue(ObjectValue):
    """A set or frozenset; the payload is a host set, changed step by step as the program's is.

    So it has the same order, unless it stands for a set from outside whose history is not known:
    `members` is the order of that one until it is changed, `faithful` whether a copy has it too. `filled` is what was
    added to an empty set, in that order, unless other changes were made. `changes` is what was done to one from
    outside, as only the same changes have it list its members as the program's does.
    """

    __slots__ = ("changed", "changes", "complete", "faithful", "filled", "items", "members", "plain")

    def __init__(
        self, cls: type = set, items: Iterable[Item] = (), source: Source | None = None, obj: object = MISSING
    ) -> None:
        super().__init__(cls, source, obj)
        self.filled: list[Item] | None = None if type(items) in (set, frozenset) else list(items)
        self.items: Any = items if self.filled is None else set(self.filled)
        if obj is not MISSING:
            self.filled = None
        self.members: list[Item] | None = None
        self.faithful = True
        self.changed = False
        self.changes: list[SetChange] = []
        self.complete = obj is MISSING
        self.plain: bool | None = None

    def all(self, context: Context) -> Any:
        """The payload with every element read."""
        if not self.complete:
            real: Any = self.object
            kind = _storage(real)
            assert self.source is not None
            context.guard(self.source, "set items", frozenset(real))
            self.members = [context.wrap_key(key, _path(key)) for key in kind.__iter__(real)]
            exact = type(real) is kind and all(not isinstance(member, Value) for member in self.members)
            self.items = real if exact else kind(self.members)
            context.set_orders.begin(self.items, self.source, real)
            self.complete = True
        return self.items

    def has_kept_its_size(self, context: Context) -> bool:
        """Whether nothing in the trace has changed it, so that it has as many members as the real one."""
        return not self.changed

    @property
    def size(self) -> int:
        """How many members there are now, of a set from outside unguarded."""
        return len(self.items) if self.complete else _storage(self.object).__len__(self.object)

    def holds(self, context: Context, element: Item) -> bool | None:
        """Whether a literal is in the set; of one from outside only that is guarded. None: look at all members."""
        if self.complete or type(element) not in LITERALS or element != element or not self._is_plain():
            return None
        is_there = _storage(self.object).__contains__(self.object, element)
        context.guard(self.source, "present" if is_there else "absent", element)
        return is_there

    def _is_plain(self) -> bool:
        """Whether CPython finds a literal in the real set without running code of the program."""
        if self.plain is None:
            self.plain = have_no_equality(_storage(self.object).__iter__(self.object))
        return self.plain

    def in_order(self, context: Context) -> list[Item]:
        """The elements as the program's set lists them."""
        items = self.all(context)
        note_order(context, items)
        if self.members is not None:
            return self.members
        if not self.faithful:
            context.stop(UNSUPPORTED_ITERATOR, "a set from outside that has been changed")
        return list(items)

    def change(self, context: Context) -> set[Item]:
        """The payload, about to be changed."""
        items = self.all(context)
        if self.members is not None:
            items = self.items = context.set_orders.follow(set(items), items)
            by_value = not any(isinstance(member, Value) for member in self.members)
            self.faithful = by_value and list(items) == self.members and getsizeof(items) == getsizeof(self.object)
            self.members = None
        self.changed = True
        self.filled = None
        context.effects.record(self)
        return items

    def add(self, context: Context, element: Item) -> None:
        """Add one element, as `set.add`."""
        filled = self.filled
        items = self.change(context)
        if element not in items:
            self._note_change("add", element)
            if filled is not None:
                filled.append(element)
        self.filled = filled
        items.add(element)

    def discard(self, context: Context, element: Item) -> None:
        """Remove one element if it is there, as `set.discard`."""
        items = self.change(context)
        if element not in items:
            return
        is_brief = isinstance(element, Value) and element.source is None and self.changes[-1:] == [("add", element)]
        if is_brief:
            self.changes.pop()  # what is made in between is made by no statement
        else:
            self._note_change("discard", element)
        items.discard(element)

    def pop(self, context: Context) -> Item:
        """Remove and return an element, as `set.pop`. Raises KeyError."""
        items = self.change(context)
        note_order(context, items)
        element = items.pop()
        self._note_change("discard", element)
        return element

    def combine(self, context: Context, method: str, operand: Any, origin: Item) -> None:
        """Change the set by a method that takes an iterable: `operand` has the elements of `origin`."""
        noted = self if origin is self else _as_it_is(context, origin, operand)
        items = self.change(context)
        getattr(set, method)(items, operand)
        context.set_orders.follow(items, operand)
        self._note_change(method, noted)

    def empty(self, context: Context) -> None:
        """Remove all elements, as `set.clear`: what is added then goes where it would in a new set."""
        self.change(context).clear()
        self.filled = []
        self.changes.clear()
        self._note_change("clear")

    def _note_change(self, method: str, *operands: Any) -> None:
        if self.source is not None:
            self.changes.append((method, *operands))

    def __hash__(self) -> int:
        return hash(frozenset(self.items)) if issubclass(self.cls, frozenset) else id(self)

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, SetValue):
            return self is other
        return issubclass(self.cls, frozenset) and issubclass(other.cls, frozenset) and self.items == other.items


def _as_it_is(context: Context, origin: Item, operand: Any) -> Any:
    """What has the elements that `operand` has now, in its order: a list of them, a dict, a frozenset or a set."""
    if not isinstance(operand, set | frozenset):
        return operand.copy() if type(operand) is dict else list(operand)
    if not isinstance(origin, SetValue):
        return operand
    if origin.source is not None and not origin.changed:
        return origin
    copied = SetValue(set, context.set_orders.follow(set(operand), operand))
    copied.filled = None if origin.filled is None else list(origin.filled)
    return copied


def _storage(real: object) -> Any:
    """The class of C whose methods read what a set stores, whatever those of its own class say."""
    return frozenset if isinstance(real, frozenset) else set


def _path(member: object) -> Source | None:
    """The path to a member of a set from outside: the very object, as which objects are the members is guarded.

    None for what has a hash of its own, and for a weak reference that the program is told about when its object ends:
    it must not live on in a guard.
    """
    is_told = isinstance(member, weakref.ref) and member.__callback__ is not None and not _is_of_weak_set(member)
    is_known = isinstance(member, torch.Tensor | weakref.ref) or type(member).__hash__ is object.__hash__
    return constant(member) if is_known and not is_told else None


def _is_of_weak_set(reference: weakref.ref[Any]) -> bool:
    """Whether a reference is a member of a `WeakSet`, which is told of the end of an object only while it lives."""
    callback = reference.__callback__
    return getattr(callback, "__module__", None) == weakref.WeakSet.__module__


def _wrap_frozenset(context: Context, obj: Any, source: Source) -> Item:
    if all(type(element) in LITERALS for element in obj):
        context.set_orders.begin(obj, source, obj)
        return context.constant(obj, source)
    return _wrap(context, obj, source)


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "type", type(obj))
    return remember(context, SetValue(type(obj), source=source, obj=obj))


def _parts(value: SetValue) -> list[Item]:
    return [*value.items, *object_parts(value)]


def _constant(context: Context, value: SetValue, instances: bool) -> Any:
    if has_state_of_its_own(value):
        raise NotConcrete
    if value.cls is not set and value.cls is not frozenset:
        return object_constant(context, value, instances)
    payload = value.all(context)
    plain = all(not isinstance(part, Value) for part in payload)
    parts = payload if plain else concrete_parts(context, value, payload, instances)
    return context.set_orders.follow(value.cls(parts), payload)


def _graph_argument(arguments: GraphArguments, value: SetValue) -> GraphArgument:
    if value.cls is not set and value.cls is not frozenset:
        no_graph_argument(arguments, value)  # its own `__iter__` may answer something else than its storage
    return sequence_argument(arguments, value.in_order(arguments.context), tuple)


def _rebuild(emitter: Emitter, value: SetValue) -> Fragment:
    if value.cls is frozenset and not any(isinstance(member, Value) for member in value.items):
        return emitter.constant(value.items)
    cls, members = named_class(emitter, value.cls), _listed(emitter, value)
    if value.cls is set or value.cls is frozenset:
        return emitter.assign("members", fragment("{}({})", cls, members))
    if issubclass(value.cls, frozenset):
        return build_instance(
            emitter, value, fragment("{}.__new__({}, {})", named_class(emitter, frozenset), cls, members)
        )
    base = named_class(emitter, set)
    name = build_instance(emitter, value, fragment("{}.__new__({})", base, cls))
    emitter.say(fragment("{}.update({}, {})", base, name, members))
    return name


def _listed(emitter: Emitter, value: SetValue) -> Fragment:
    """What a new set is filled from so that it lists its members as the program's does."""
    emitter.list_members(value.items)
    return fragment("[{}]", items_of(emitter, order_of_filling(value)))


def order_of_filling(value: SetValue) -> list[Item]:
    """The order in which an empty set is filled so that it lists its members as the program's does.

    Raises Unrebuildable where none is known.
    """
    members = list(value.items) if value.filled is None else value.filled
    if list(set(members)) != list(value.items) and not any(isinstance(member, Value) for member in members):
        raise Unrebuildable("a set that lists its members as only its history explains")
    return members


register(
    Kind(
        wraps=Wraps(
            exactly={set: _wrap, frozenset: _wrap_frozenset},
            subclasses=dict.fromkeys((set, frozenset), _wrap),
        ),
        parts=_parts,
        constant=_constant,
        graph_argument=_graph_argument,
        rebuild=_rebuild,
    ),
    SetValue,
)
