"""Lists and deques, and instances of their subclasses.

The payload is a host list of items, so most methods of the real type can be run on it directly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from passes.operators.outcome import ListArg
from tracer.guards.source import Source
from tracer.reasons import UNSUPPORTED_OPERATION
from tracer.values.base import MISSING
from tracer.values.class_attributes import class_attribute
from tracer.values.concrete import concrete_parts
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments, sequence_argument
from tracer.values.item import Item
from tracer.values.kinds import Kind, NotConcrete, Wraps, contains_itself, register, remember
from tracer.values.objects import build_instance, has_state_of_its_own, object_constant
from tracer.values.rebuilding import Emitter, Fragment, fill_later, fragment, items_of, literal, named_class
from tracer.values.sequences import SequenceValue, sequence_parts


class ListValue(SequenceValue):
    """A list or deque (or an instance of a subclass). `maxlen` is the deque's.

    `state` counts what its iterators must not outlive: every change but that of an item. `tail` holds what was
    appended before anything was read: a log that only grows is never guarded.
    """

    __slots__ = ("maxlen", "state", "tail")

    def __init__(
        self, cls: type = list, items: Iterable[Item] = (), source: Source | None = None, obj: object = MISSING
    ) -> None:
        super().__init__(cls, items, source, obj)
        self.maxlen: int | None = obj.maxlen if isinstance(obj, deque) else None
        self.state = 0
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
            self.state += 1
            self.changed = True
            context.effects.record(self)

    @property
    def step(self) -> str:
        """The access by which a source reaches an item."""
        return "deque item" if issubclass(self.cls, deque) else "index"

    def change(self, context: Context) -> list[Item]:
        """The payload, about to be changed."""
        self.state += 1
        return self.change_items(context)

    def change_items(self, context: Context) -> list[Item]:
        """The payload, about to get other items in the places of those that it has."""
        items = self.all(context)
        self.changed = True
        context.effects.record(self)
        return items


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "type", type(obj))
    if isinstance(obj, deque):
        if class_attribute(context, type(obj), "maxlen") is not vars(deque)["maxlen"]:
            context.stop(UNSUPPORTED_OPERATION, f"a {type(obj).__name__} with a maxlen of its own")
        context.guard(source.child("getattr", "maxlen"), "equal", obj.maxlen)
    return remember(context, ListValue(type(obj), source=source, obj=obj))


def _constant(context: Context, value: ListValue, instances: bool) -> Any:
    if has_state_of_its_own(value):
        raise NotConcrete
    if value.cls is list:
        return concrete_parts(context, value, value.all(context), instances)
    if value.cls is deque:
        return deque(concrete_parts(context, value, value.all(context), instances), value.maxlen)
    return object_constant(context, value, instances)


def _graph_argument(arguments: GraphArguments, value: ListValue) -> GraphArgument:
    return sequence_argument(arguments, value.all(arguments.context), ListArg if value.cls is list else tuple)


def _rebuild(emitter: Emitter, value: ListValue) -> Fragment:
    base = list if issubclass(value.cls, list) else deque

    def fill(name: Fragment) -> None:
        emitter.say(fragment("{}.extend({}, [{}])", named_class(emitter, base), name, items_of(emitter, value.items)))

    if value.cls is base and contains_itself(value):
        limit = literal(value.maxlen)
        empty = Fragment("[]") if base is list else fragment("{}((), {})", named_class(emitter, deque), limit)
        return fill_later(emitter, value, empty, fill)
    if value.cls is list:
        return emitter.assign("items", fragment("[{}]", items_of(emitter, value.items)))
    if value.cls is deque:
        cls, items = named_class(emitter, deque), items_of(emitter, value.items)
        return emitter.assign("items", fragment("{}([{}], {})", cls, items, literal(value.maxlen)))
    name = build_instance(
        emitter, value, fragment("{}.__new__({})", named_class(emitter, base), named_class(emitter, value.cls))
    )
    fill(name)
    return name


register(
    Kind(
        wraps=Wraps(exactly=dict.fromkeys((list, deque), _wrap), subclasses=dict.fromkeys((list, deque), _wrap)),
        parts=sequence_parts,
        constant=_constant,
        graph_argument=_graph_argument,
        rebuild=_rebuild,
    ),
    ListValue,
)
