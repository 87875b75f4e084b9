"""Dicts, and instances of their subclasses, read key by key.

The payload is a host dict of items, so most methods of the real type can be run on it directly.
"""

from __future__ import annotations

import types
from collections import OrderedDict, defaultdict
from typing import Any

from passes.operators.outcome import DictArg
from tracer.guards.checks import has_weak_identity, hold_key
from tracer.guards.source import Source, constant
from tracer.reasons import UNSUPPORTED_MUTATION, UNSUPPORTED_OPERATION
from tracer.values.base import MISSING, UNREAD, Lazy, Value
from tracer.values.concrete import concrete, concrete_parts
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.item import Item
from tracer.values.kinds import Kind, NotConcrete, Wraps, contains_itself, register, remember
from tracer.values.missing_keys import guard_missing
from tracer.values.objects import (
    ObjectValue,
    build_instance,
    has_state_of_its_own,
    object_constant,
    object_parts,
    only_through,
)
from tracer.values.plain_keys import have_no_equality
from tracer.values.rebuilding import Emitter, Fragment, fill_later, fragment, listed, named_class, pairs_of
from tracer.values.tuples import is_constant_tuple


def guard_unread(context: Context) -> None:
    """Guard that keys whose items nothing has looked at are there: the program may know of them, as `key in table`."""
    for source, key, item in context.looked_up:
        if item.known is MISSING:
            context.guard(source, "present", hold_key(key))


def _holds_objects(key: Item) -> bool:
    """Whether a raw key is a tuple of more than literals: of functions and classes, too."""
    return type(key) is tuple and not is_constant_tuple(key)


class DictValue(ObjectValue):
    """A dict or an instance of a subclass; keys are raw objects or values, hashed as the program would.

    `before` lists the keys that the real one has, in order, once they are known. `state` counts the changes of its
    keys, which iterators of an OrderedDict must not outlive. `plain` is `is_plain`, once that was asked.
    """

    __slots__ = ("before", "changed", "complete", "items", "plain", "state")

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
        self.state = 0
        self.plain: bool | None = None

    def place(self, key: Item, position: int = 0) -> Source:
        """The path to what the real dict holds at `key`, its key at `position`. It keeps no function or class alive."""
        assert self.source is not None
        if isinstance(key, Value):
            return self.source.child("item of", key.source)
        if has_weak_identity(key):
            return self.source.child("item of", constant(key))
        if _holds_objects(key):
            return self.source.child("item of", self.source.child("key", position))
        return self.source.child("item", key)

    def one_place(self, context: Context, writes: bool = False) -> None:
        """A break where the dictionary, or that of its own attributes, is also reached in another way, and changed."""
        super().one_place(context, writes)
        only_through(context, self.object, self)

    def lookup(self, context: Context, key: Item) -> Item:
        """The item at `key` or MISSING; of a dict from outside only this key is guarded."""
        if self.places != context.effects.places:
            self.look_again(context)
        item = self.items.get(key, UNREAD)
        if item is not UNREAD:
            return item
        if self.complete or isinstance(key, Value) or not self.is_plain or _holds_objects(key):
            item = self.all(context).get(key, MISSING)
            if item is MISSING:
                guard_missing(context, key, self.items)
            return item
        real: Any = self.object
        assert self.source is not None
        if dict.__contains__(real, key):
            item = Lazy(dict.__getitem__(real, key), self.place(key))
            context.looked_up.append((self.source, key, item))
        else:
            context.guard(self.source, "absent", hold_key(key))
            item = MISSING
        self.items[key] = item
        return item

    @property
    def is_plain(self) -> bool:
        """Whether CPython finds a constant in the real dict without running code of the program, say an `__eq__`."""
        if self.plain is None:
            self.plain = have_no_equality(dict.keys(self.object))  # type: ignore[arg-type]
        return self.plain

    def all(self, context: Context) -> dict[Item, Item]:
        """The payload with every key present, in the dict's own order."""
        if self.places != context.effects.places:
            self.look_again(context)
        return self.read_all(context)

    def read_all(self, context: Context) -> dict[Item, Item]:
        """The payload, read from the real dict as far as that was not done."""
        if not self.complete:
            real: Any = self.object
            assert self.source is not None
            pairs = {id(key): item for key, item in dict.items(real)}  # no key is asked for its hash
            raw_keys = tuple(dict.keys(real)) if not issubclass(self.cls, OrderedDict) else keys_in_order(context, real)
            context.guard(self.source, "keys", raw_keys)
            items: dict[Item, Item] = {}
            for position, key in enumerate(raw_keys):
                item_key = context.wrap_key(key, self.source.child("key", position))
                item = self.items.get(item_key, UNREAD)
                if item is UNREAD:
                    item = Lazy(pairs[id(key)], self.place(item_key, position))
                items[item_key] = item
            self.items = items
            self.before = list(items)
            self.complete = True
        return self.items

    def has_kept_its_size(self, context: Context) -> bool:
        """Whether nothing in the trace has changed it, so that it has as many keys as the real one."""
        if self.places != context.effects.places:
            self.look_again(context)
        return not self.changed

    @property
    def size(self) -> int:
        """How many keys there are now, of a dict from outside unguarded."""
        return len(self.items) if self.complete else dict.__len__(self.object)  # type: ignore[arg-type]

    def change(self, context: Context) -> dict[Item, Item]:
        """The payload, about to be changed."""
        if self.object is not MISSING and dict.__contains__(self.object, "__builtins__"):  # type: ignore[arg-type]
            context.stop(UNSUPPORTED_MUTATION, "the globals of a module are changed through their dictionary")
        items = self.all(context)
        if self.object is not MISSING:
            context.effects.store(self.object, self)
        self.changed = True
        context.effects.record(self)
        return items

    def put(self, context: Context, key: Item, item: Item) -> None:
        """Set the item at `key`, an item as `Context.key` makes it."""
        items = self.change(context)
        if key not in items:
            guard_missing(context, key, items)
            self.state += 1
        items[key] = item

    def take(self, context: Context, key: Item) -> Item:
        """Remove `key`, which must be there, and give its item."""
        self.state += 1
        return self.change(context).pop(key)


def keys_in_order(context: Context, mapping: OrderedDict[Any, Any]) -> tuple[Any, ...]:
    """The keys of an OrderedDict, which keeps their order beside its storage. Methods of dict change only that, and its
    iterator looks each key up: a break where the two have other keys.
    """
    try:
        keys = tuple(OrderedDict.__iter__(mapping))
    except KeyError:
        context.stop(UNSUPPORTED_OPERATION, f"a {type(mapping).__name__} with a key whose hash has changed")
    if set(map(id, keys)) != set(map(id, dict.keys(mapping))):
        context.stop(UNSUPPORTED_OPERATION, f"a {type(mapping).__name__} that methods of dict have changed")
    return keys


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "type", type(obj))
    return remember(context, DictValue(type(obj), source=source, obj=obj))


def dict_parts(value: DictValue) -> list[Item]:
    """Keys and items, then what it has as an instance."""
    return [*value.items, *value.items.values(), *object_parts(value)]


def dict_constant(context: Context, value: DictValue, instances: bool) -> Any:
    """A dict of real objects."""
    if has_state_of_its_own(value):
        raise NotConcrete
    if value.cls is not dict and value.cls is not OrderedDict:
        return object_constant(context, value, instances)
    payload = value.all(context)
    keys = [concrete(context, key, instances) for key in payload]
    return value.cls(zip(keys, concrete_parts(context, value, payload.values(), instances), strict=True))


def dict_graph_argument(arguments: GraphArguments, value: DictValue) -> GraphArgument:
    """A dict of graph arguments."""
    pairs = {key: arguments.lower(part) for key, part in value.all(arguments.context).items()}
    return {key: pair[0] for key, pair in pairs.items()}, DictArg((key, pair[1]) for key, pair in pairs.items())


def dict_rebuild(emitter: Emitter, value: DictValue) -> Fragment:
    """Statements that make a dict, key by key if its class is not a builtin one."""
    cls = value.cls
    if cls is types.MappingProxyType:
        return emitter.assign(
            "mapping", fragment("{}({{{}}})", named_class(emitter, cls), pairs_of(emitter, value.items))
        )
    base = OrderedDict if issubclass(cls, OrderedDict) else dict

    def fill(name: Fragment) -> None:
        for key, part in value.items.items():
            pair = listed([name, emitter.expression(key), emitter.expression(part)])
            emitter.say(fragment("{}.__setitem__({})", named_class(emitter, base), pair))

    if cls is dict and contains_itself(value):
        return fill_later(emitter, value, Fragment("{}"), fill)
    if cls is dict:
        return emitter.assign("mapping", fragment("{{{}}}", pairs_of(emitter, value.items)))
    if cls is defaultdict:
        field = value.field("default_factory")
        factory = emitter.expression(None if field is UNREAD else field)
        parts = named_class(emitter, cls), factory, pairs_of(emitter, value.items)
        return emitter.assign("mapping", fragment("{}({}, {{{}}})", *parts))
    name = build_instance(
        emitter, value, fragment("{}.__new__({})", named_class(emitter, base), named_class(emitter, cls))
    )
    fill(name)
    return name


register(
    Kind(
        wraps=Wraps(
            exactly=dict.fromkeys((dict, OrderedDict, defaultdict), _wrap),
            subclasses={dict: _wrap},
        ),
        parts=dict_parts,
        constant=dict_constant,
        graph_argument=dict_graph_argument,
        rebuild=dict_rebuild,
    ),
    DictValue,
)
