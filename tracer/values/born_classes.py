"""Classes that the traced program makes: by a class statement, by `type` with three arguments, by namedtuple.

The trace knows such a class by a stand-in, a real class of the same name, bases and layout, so that whoever asks for
the class of an instance has an answer of CPython's. What the class stores are items, kept beside it. A run that needs
the class outside of its trace makes one of its own. How a stand-in is made is in tracer/interpret/class_creation.py.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any

from tracer.values.base import MISSING
from tracer.values.concrete import concrete
from tracer.values.context import Context
from tracer.values.functions import FunctionValue
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.rebuilding import Emitter, Fragment, fragment, listed, literal
from tracer.values.wrapped_functions import WrappedFunction, is_abstract


class StandIn:
    """An object that stands for an item which only the trace knows, in the dictionary of a stand-in."""


class BornClass:
    """One such class. `names` are what it stores, in order; `written` those of them that were set after its birth.

    A run makes the class by `maker(*args, **kwargs)`.
    """

    __slots__ = ("args", "kwargs", "maker", "names", "stand_in", "written")

    def __init__(
        self, stand_in: type, maker: Any, args: Sequence[Item], kwargs: Mapping[str, Item], names: dict[Item, Item]
    ) -> None:
        self.stand_in = stand_in
        self.maker = maker
        self.args = args
        self.kwargs = kwargs
        self.names = names
        self.written: dict[str, Item] = {}

    def write(self, context: Context, name: str, item: Item) -> None:
        """Set (or with MISSING delete) what the class stores under a name."""
        if item is MISSING:
            if name in self.stand_in.__dict__:  # what is made where it is asked for, as `__annotations__`, may not be
                type.__delattr__(self.stand_in, name)
            self.names.pop(name, None)
        else:
            type.__setattr__(self.stand_in, name, stand_in(context, item))
            self.names[name] = item
        self.written[name] = item


class BornClasses(dict[type, BornClass]):
    """The classes that a trace has made, by their stand-ins; `parts` are these and the objects in them, by identity."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[int, object] = {}


def stand_in(context: Context, item: Item) -> Any:
    """A real object for an item, of its kind as far as a class asks that of what it stores."""
    if isinstance(item, FunctionValue):
        return _function(item)
    if isinstance(item, WrappedFunction):
        return item.cls(*(stand_in(context, part) for part in item.parts.values()))
    try:
        return concrete(context, item)
    except NotConcrete:
        return StandIn()


def _function(value: FunctionValue) -> types.FunctionType:
    cells = tuple(types.CellType() for _ in value.code.co_freevars)
    function = types.FunctionType(value.code, value.globals, value.name, None, cells)
    if is_abstract(value):
        vars(function)["__isabstractmethod__"] = True
    return function


def build_class(emitter: Emitter, born: BornClass) -> Fragment:
    """The statements that make the class, and its name."""
    args = [emitter.expression(arg) for arg in born.args]
    named = [fragment(f"{name}={{}}", emitter.expression(arg)) for name, arg in born.kwargs.items()]
    return emitter.assign(
        born.stand_in.__name__, fragment("{}({})", emitter.constant(born.maker), listed([*args, *named]))
    )


def finish_class(emitter: Emitter, born: BornClass, name: Fragment) -> None:
    """The statements for what the program has set and deleted since."""
    for attribute, item in born.written.items():
        if item is MISSING:
            emitter.say(fragment("type.__delattr__({}, {})", name, literal(attribute)))
        else:
            emitter.say(fragment("type.__setattr__({}, {}, {})", name, literal(attribute), emitter.expression(item)))
