"""Instances: objects with a class and attributes, from outside or born in the trace.

Attributes written during the trace live in `attributes` and are replayed when it ends; the real
object is only ever read. How an attribute is looked up is in protocols/attributes.py.
"""

from __future__ import annotations

import inspect
import types
from typing import Any

import torch

from tracer.guards.source import Source
from tracer.reasons import (
    TENSOR_SUBCLASS,
    UNSUPPORTED_ATTRIBUTE,
    UNSUPPORTED_MUTATION,
    UNSUPPORTED_OPERATION,
    GraphBreak,
)
from tracer.values.base import MISSING, UNREAD, Value
from tracer.values.class_attributes import class_attribute
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.item import Item
from tracer.values.kinds import Kind, NotConcrete, Wraps, no_graph_argument, register, remember
from tracer.values.rebuilding import Emitter, Fragment, fragment, literal, named_class


class ObjectValue(Value):
    """An instance. `object` is the real one, MISSING for one born in the trace.

    `attributes` is its dictionary, `fields` what it keeps outside of that: slots and members of C types.
    In both MISSING marks what a real object no longer has. `written` lists the names that were changed,
    in order; True for one that was deleted and then set again, and so comes last in the dictionary.
    `places` is how many dictionaries and classes the trace had changed when this object was last asked for its own.
    One whose class has a `__hash__` of its own carries what that answered once it is a key, and its
    `twin`: an earlier key of the trace that it equals.
    """

    __slots__ = ("attributes", "dictionary", "fields", "hash", "object", "places", "rewritten", "twin", "written")

    def __init__(self, cls: type, source: Source | None = None, obj: object = MISSING) -> None:
        self.cls = cls
        self.source = source
        self.object = obj
        self.attributes: dict[str, Item] = {}
        self.fields: dict[str, Item] | None = None
        self.written: dict[str, bool] = {}
        self.dictionary: Any = None
        self.places = 0
        self.rewritten = False
        self.hash: int | None = None
        self.twin: ObjectValue | None = None

    def __hash__(self) -> int:
        return id(self) if self.hash is None else self.hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ObjectValue):
            return (self.twin or self) is (other.twin or other)
        if self.hash is not None and not isinstance(other, Value) and hash(other) == self.hash:
            raise GraphBreak(UNSUPPORTED_OPERATION, f"a {self.cls.__name__} that hashes like {other!r} as a key")
        return False

    @property
    def born(self) -> bool:
        """Whether the trace made it."""
        return self.object is MISSING

    def write(self, context: Context, name: str, item: Item) -> None:
        """Set (or with MISSING delete) an attribute, as the last step of object.__setattr__."""
        self.one_place(context, writes=True)
        attributes = self.attributes
        is_read = self.dictionary is not None and self.dictionary.complete  # then no name in it is MISSING
        gone = name in self.written and name not in attributes if is_read else attributes.get(name) is MISSING
        again = gone and item is not MISSING and self.object is not MISSING
        if again or item is MISSING:
            attributes.pop(name, None)
        if item is not MISSING or not (is_read or self.object is MISSING):
            attributes[name] = item
        self._note(context, name, again)

    def field(self, name: str) -> Item:
        """A slot or C member as far as the trace knows it, UNREAD when it does not."""
        return UNREAD if self.fields is None else self.fields.get(name, UNREAD)

    def keep_field(self, name: str, item: Item) -> None:
        """Remember a slot or C member that was read, or that a value is born with."""
        if self.fields is None:
            self.fields = {}
        self.fields[name] = item

    def write_field(self, context: Context, name: str, item: Item) -> None:
        """Set (or with MISSING delete) a slot or C member."""
        self.keep_field(name, item)
        self._note(context, name, False)

    def one_place(self, context: Context, writes: bool = False) -> None:
        """A break where the dictionary of a real instance is also reached, and changed, as a dictionary."""
        if self.object is MISSING or not self.cls.__dictoffset__ or not (writes or context.effects.stored):
            return
        dictionary = object.__getattribute__(self.object, "__dict__")
        only_through(context, dictionary, self)
        if writes:
            context.effects.store(dictionary, self)

    def look_again(self, context: Context) -> None:
        """Ask for other places again, as the trace has changed another dictionary or class since."""
        self.one_place(context)
        self.places = context.effects.places

    def _note(self, context: Context, name: str, again: bool) -> None:
        if again:
            self.written.pop(name, None)
        self.written[name] = again or self.written.get(name, False)
        context.effects.record(self, name)

    def instance_attribute(self, context: Context, name: str) -> Item:
        """The entry of the instance dictionary, MISSING when there is none."""
        if self.places != context.effects.places:
            self.look_again(context)
        attributes = self.attributes
        if name in attributes:
            return attributes[name]
        if self.object is MISSING or not self.cls.__dictoffset__:
            return MISSING
        if self.dictionary is not None and self.dictionary.complete:
            return MISSING
        source = self.source
        assert source is not None
        try:
            dictionary = object.__getattribute__(self.object, "__dict__")
        except AttributeError:  # of some classes of C, such as typing.TypeVarTuple
            context.stop(UNSUPPORTED_ATTRIBUTE, f"{self.cls.__name__}.{name}: such an object hides its dictionary")
        if name in dictionary:
            item = context.wrap(dictionary[name], source.child("dict").child("item", name))
        else:
            context.guard(source.child("dict"), "absent", name)
            item = MISSING
        attributes[name] = item
        return item


def only_through(context: Context, place: object, value: Any = None) -> None:
    """A break unless a real dictionary is unchanged, or was changed through `value`: its state is in one place only."""
    stored = context.effects.stored
    if id(place) in stored and stored[id(place)] is not value:
        context.stop(UNSUPPORTED_MUTATION, "attributes are changed through the dictionary that holds them")


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "type", type(obj))
    return remember(context, ObjectValue(type(obj), source, obj))


def object_parts(value: ObjectValue) -> list[Item]:
    """What an instance has in its dictionary and in its slots."""
    return [*value.attributes.values(), *(value.fields or {}).values()]


def object_constant(context: Context, value: ObjectValue, instances: bool) -> Any:
    """The real object, if `instances` may stand for themselves and this one was not written to."""
    if instances and value.object is not MISSING and not value.written:
        return value.object
    raise NotConcrete


def has_state_of_its_own(value: ObjectValue) -> bool:
    """Whether a value born in the trace has attributes beside what its kind holds."""
    return value.object is MISSING and bool(value.attributes or value.fields)


def own_attributes(value: ObjectValue) -> list[tuple[str, Item]]:
    """What a value has in its dictionary and in its slots."""
    pairs = [*value.attributes.items(), *(value.fields or {}).items()]
    return [(name, item) for name, item in pairs if item is not MISSING]


def say_attributes(emitter: Emitter, name: Fragment, value: ObjectValue) -> None:
    """Set them on the object `name`, as the program does."""
    for attribute, item in own_attributes(value):
        emitter.say(fragment("setattr({}, {}, {})", name, literal(attribute), emitter.expression(item)))


def setting(name: Fragment, value: ObjectValue, attribute: str, item: Fragment) -> Fragment:
    """The statement that sets one of them without calling the program's descriptors."""
    is_field = value.fields is not None and attribute in value.fields
    if not is_field and hasattr(type(inspect.getattr_static(value.cls, attribute, None)), "__set__"):
        return fragment("object.__getattribute__({}, '__dict__')[{}] = {}", name, literal(attribute), item)
    return fragment("object.__setattr__({}, {}, {})", name, literal(attribute), item)


def build_instance(emitter: Emitter, value: ObjectValue, new: Fragment) -> Fragment:
    """Assign `new`, then set the attributes; the name is known before, so that parts may refer to it."""
    name = emitter.assign(value.cls.__name__.lower(), new)
    emitter.bind(value, name)
    for attribute, item in own_attributes(value):
        emitter.say(setting(name, value, attribute, emitter.expression(item)))
    return name


class Overridden(GraphBreak):
    """An operator is given an object whose class overrides operators: a break, unless the call asks the class."""


def _graph_argument(arguments: GraphArguments, value: ObjectValue) -> GraphArgument:
    if arguments.context.overrides and class_attribute(arguments.context, value.cls, OVERRIDE) is not MISSING:
        raise Overridden(TENSOR_SUBCLASS, f"an operator is given a {value.cls.__name__}")
    no_graph_argument(arguments, value)


OVERRIDE = "__torch_function__"


def _rebuild(emitter: Emitter, value: ObjectValue) -> Fragment:
    base = Fragment("object")
    if issubclass(value.cls, types.SimpleNamespace):
        base = named_class(emitter, types.SimpleNamespace)
    return build_instance(emitter, value, fragment("{}.__new__({})", base, named_class(emitter, value.cls)))


register(
    Kind(
        wraps=Wraps(subclasses=dict.fromkeys((torch.nn.Module, object), _wrap)),
        parts=object_parts,
        constant=object_constant,
        graph_argument=_graph_argument,
        rebuild=_rebuild,
    ),
    ObjectValue,
)
