"""Instances of subclasses of int, float, complex, str and bytes: objects that are a number or a text as well.

Unlike literals they have an identity, and most have attributes. Enumeration members and numpy's scalars are others.
"""

from __future__ import annotations

from typing import Any

from tracer.guards.source import Source
from tracer.values.base import MISSING, Value
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, register, remember
from tracer.values.objects import ObjectValue, build_instance, object_constant, object_parts
from tracer.values.rebuilding import Emitter, Fragment, fragment, named_class

PLAIN: dict[Any, Any] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    str: str.__str__,
    bytes: bytes.__bytes__,
}
"""Literal type to what makes the plain literal of an instance of a subclass, whatever that overrides."""


class LiteralObject(ObjectValue):
    """An instance of a subclass of a literal type; `payload` is the plain literal that C code reads from it.

    It hashes and compares like that, unless the class has a `__hash__` of its own.
    """

    __slots__ = ("payload",)

    def __init__(self, cls: type, payload: Any, source: Source | None = None, obj: object = MISSING) -> None:
        super().__init__(cls, source, obj)
        self.payload = payload

    def __hash__(self) -> int:
        return hash(self.payload) if self.hash is None else self.hash

    def __eq__(self, other: object) -> bool:
        if self.hash is not None:
            return super().__eq__(other)
        other = plain(other)
        return self is other or (not isinstance(other, Value) and self.payload == other)


def plain(item: Item) -> Item:
    """The plain literal of an instance of a subclass of a literal type; any other item as it is."""
    return item.payload if isinstance(item, LiteralObject) else item


def literal_base(cls: type) -> Any:
    """The literal type that a class derives from; None if there is none."""
    return next((base for base in PLAIN if issubclass(cls, base)), None)


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "equal", obj)
    cls = type(obj)
    return remember(context, LiteralObject(cls, PLAIN[literal_base(cls)](obj), source, obj))


def _constant(context: Context, value: LiteralObject, instances: bool) -> Any:
    return object_constant(context, value, instances) if instances else value.payload


def _graph_argument(arguments: GraphArguments, value: LiteralObject) -> GraphArgument:
    return value.payload, value.payload


def _rebuild(emitter: Emitter, value: LiteralObject) -> Fragment:
    parts = named_class(emitter, literal_base(value.cls)), named_class(emitter, value.cls)
    return build_instance(emitter, value, fragment("{}.__new__({}, {})", *parts, emitter.constant(value.payload)))


register(
    Kind(
        wraps=Wraps(subclasses=dict.fromkeys(PLAIN, _wrap)),
        parts=object_parts,
        constant=_constant,
        graph_argument=_graph_argument,
        rebuild=_rebuild,
    ),
    LiteralObject,
)
