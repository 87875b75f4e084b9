"""Properties, static methods and class methods that the traced program makes."""

from __future__ import annotations

from tracer.values.base import MISSING, UNREAD
from tracer.values.context import Context
from tracer.values.functions import FunctionValue
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, register
from tracer.values.objects import ObjectValue, object_parts, say_attributes
from tracer.values.rebuilding import Emitter, Fragment, fragment, items_of, named_class

PARTS: dict[type, tuple[str, ...]] = {
    property: ("fget", "fset", "fdel"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
}
"""By class: the attributes that hold what the object was made of, in the order of its arguments."""


class WrappedFunction(ObjectValue):
    """An object of one of the classes of PARTS; `parts` are the functions in it, by the names of its attributes."""

    __slots__ = ("parts",)

    def __init__(self, cls: type, parts: dict[str, Item]) -> None:
        super().__init__(cls)
        self.parts = parts

    def member(self, context: Context, name: str) -> Item:
        """What C keeps: the functions, and whether one of them is abstract."""
        if name == "__wrapped__" and self.cls is not property:
            return self.parts["__func__"]
        if name == "__isabstractmethod__":
            return any(is_abstract(part) for part in self.parts.values())
        if name == "__doc__" and self.cls is property:
            return documentation(self.parts["fget"])
        return self.parts.get(name, UNREAD)


def is_abstract(function: Item) -> bool:
    """Whether a function, or one in an object of these classes, is marked with `abc.abstractmethod`."""
    if isinstance(function, WrappedFunction):
        return any(is_abstract(part) for part in function.parts.values())
    if isinstance(function, FunctionValue):
        return function.attributes.get("__isabstractmethod__", MISSING) is True
    return bool(getattr(function, "__isabstractmethod__", False))


def documentation(function: Item) -> Item:
    """The documentation of a function, which a property made of it has."""
    if not isinstance(function, FunctionValue):
        return getattr(function, "__doc__", None)
    if function.field("__doc__") is not UNREAD:
        return function.field("__doc__")
    constants = function.code.co_consts
    return constants[0] if constants and isinstance(constants[0], str) else None


def _rebuild(emitter: Emitter, value: WrappedFunction) -> Fragment:
    new = fragment("{}({})", named_class(emitter, value.cls), items_of(emitter, value.parts.values()))
    name = emitter.assign(value.cls.__name__, new)
    say_attributes(emitter, name, value)
    return name


register(
    Kind(
        wraps=BORN,
        parts=lambda value: [*value.parts.values(), *object_parts(value)],
        constant=no_constant,
        graph_argument=no_graph_argument,
        rebuild=_rebuild,
    ),
    WrappedFunction,
)
