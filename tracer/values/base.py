"""What the interpreter's stack may hold: raw Python objects, and values.

A *raw* item is an immutable constant, or an object known by identity (function, class, module,
dtype, enum member); it stands for itself and costs nothing. Everything else (tensors, mutable
containers, instances, things born during the trace) is a `Value`.

Nothing here knows about bytecode, guards' meaning or torch operators.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from tracer.guards.source import Source, constant
from tracer.reasons import UNSUPPORTED_OPERATION
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.number_symbols import BoolSymbol, FloatSymbol, IntSymbol

LITERALS: frozenset[type] = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        type(Ellipsis),
        type(NotImplemented),
        torch.dtype,
        torch.device,
        torch.layout,
        torch.memory_format,
        torch.qscheme,
        torch.Size,
        range,
        types.CodeType,
    }
)
"""Types whose instances are immutable, compare by value and are guarded by equality."""

WITHOUT_SYMBOLS = LITERALS - {torch.Size}
"""Literals that hold no symbols, so that CPython can compute with them."""


SYMBOLS: dict[type, type] = {
    torch.SymInt: int,
    torch.SymBool: bool,
    FloatSymbol: float,
    IntSymbol: int,
    BoolSymbol: bool,
}
"""Types of raw objects that stand for a number which varies, to what the program takes them for."""


numpy: Any = import_module("numpy") if find_spec("numpy") else None
NUMPY_SCALARS: tuple[type, ...] = () if numpy is None else (numpy.generic,)
"""Numbers that numpy computes: immutable, known by value."""

NUMPY_FUNCTIONS: tuple[type, ...] = () if numpy is None else (numpy.ufunc, type(numpy.prod))
"""Kinds of numpy's functions that compute: of plain numbers they give a number."""


HOST_OBJECTS: tuple[type, ...] = (
    *(inspect.Signature, inspect.Parameter),
    *(torch.finfo, torch.iinfo),
)
"""Classes of immutable objects, whose attributes CPython reads."""


def is_literal_class(cls: type) -> bool:
    """Whether instances of a class are literals. A class with a metaclass is none, and is not asked for its hash."""
    return type(cls) is type and cls in LITERALS


class Null:
    """The NULL that CPython pushes below a plain callable."""

    def __repr__(self) -> str:
        return "NULL"


NULL = Null()


class Missing:
    """Marks an unbound local, an empty cell, or an attribute that was deleted during the trace."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()
UNREAD = Missing()
"""Marks what a real object may have but nothing has looked at."""


class Value:
    """Base of everything on the stack that is not a raw object.

    `cls` is the Python type the program sees; `source` is the access path of an object that
    existed before the call, None for one born during the trace.
    """

    __slots__ = ("cls", "source")

    cls: type
    source: Source | None

    def __init__(self, cls: type, source: Source | None = None) -> None:
        self.cls = cls
        self.source = source

    def member(self, context: Context, name: str) -> Item:
        """An attribute that the real thing keeps in C; UNREAD when the trace does not know it."""
        return UNREAD

    def let_go(self) -> None:
        """Hold nothing any more, at the end of a trace: objects that refer to each other are values that do."""
        for name in _content(type(self)):
            setattr(self, name, None)

    def __repr__(self) -> str:
        origin = f" from {self.source.text}" if self.source is not None else ""
        return f"<{type(self).__name__} {self.cls.__name__}{origin}>"


@cache
def _content(cls: type[Value]) -> tuple[str, ...]:
    """The slots of a class of values, besides those of all values."""
    classes = cls.__mro__[: cls.__mro__.index(Value)]
    return tuple(name for base in classes for name in vars(base).get("__slots__", ()))


class Lazy(Value):
    """An object from outside (an argument, an item of a container) that nothing has looked at yet.

    It becomes a raw object or a value, and a guard, the moment something does; passed through
    untouched it costs no guard and never causes a recapture.
    """

    __slots__ = ("known", "object")

    def __init__(self, obj: object, source: Source) -> None:
        super().__init__(type(obj), source)
        self.object = obj
        self.known: Item = MISSING

    def realise(self, context: Context) -> Item:
        """The raw object or value that it stands for, wrapped and guarded the first time."""
        if self.known is MISSING:
            assert self.source is not None
            self.known = context.wrap(self.object, self.source)
        return self.known

    @property
    def is_literal(self) -> bool:
        """Whether it stands for a literal."""
        return is_literal_class(self.cls)


def realise(context: Context, item: Item) -> Item:
    """`item`, or what it stands for when it is lazy."""
    return item.realise(context) if type(item) is Lazy else item


def class_of(item: Item) -> type:
    """The class of an item that has been looked at, as the program sees it."""
    if isinstance(item, Value):
        return item.cls
    kind = type(item)
    if kind in SYMBOLS:
        return SYMBOLS[kind]
    return kind


def require_identity(context: Context, cls: type) -> None:
    """A break at a class that cannot be hashed or is in its own way: tables of the trace are keyed by classes."""
    meta = type(cls)
    if meta.__hash__ is not type.__hash__:
        context.stop(UNSUPPORTED_OPERATION, f"{meta.__name__} says how its classes are hashed")


def kind_of(context: Context, item: Item) -> type:
    """The class of an item, guarded where the item is a class or module known by identity, which can get another."""
    kind = class_of(item)
    if isinstance(item, type | types.ModuleType) and kind is not type and item not in context.born:
        context.guard(constant(item), "type", kind)
    return kind


def type_of(context: Context, item: Item) -> type:
    """The Python type a program would see; of a lazy constant only the type is guarded."""
    if not isinstance(item, Value):
        return kind_of(context, item)
    if type(item) is Lazy and item.known is MISSING and item.source is not None:
        require_identity(context, item.cls)
        context.guard(item.source, "type", item.cls)
    return item.cls


def known_lazies(context: Context, items: Iterable[Item]) -> list[Item]:
    """Items with every lazy constant realised (and guarded)."""
    return [item.realise(context) if type(item) is Lazy else item for item in items]
