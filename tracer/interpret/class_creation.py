"""Making a class in a trace: the body of a class statement, the metaclass, the stand-in and what it stores."""

from __future__ import annotations

import abc
import enum
import functools
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tracer.code.decode import decode
from tracer.interpret.frame import Frame
from tracer.interpret.loop import run
from tracer.interpret.trace import Trace
from tracer.reasons import CLASS_DEFINITION
from tracer.values.base import MISSING, Value, class_of, realise
from tracer.values.born_classes import BornClass, StandIn, stand_in
from tracer.values.cells import CellValue
from tracer.values.class_attributes import METHOD_DESCRIPTORS, SLOT_DESCRIPTORS
from tracer.values.concrete import concrete
from tracer.values.dicts import DictValue
from tracer.values.from_host import from_host
from tracer.values.functions import FunctionValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.protocols.special_methods import call_special
from tracer.values.recipes import Recipe
from tracer.values.tuples import TUPLE_FIELD, make_tuple
from tracer.values.wrapped_functions import WrappedFunction

PROTOCOL_META: Final[Any] = type(typing.Protocol)
TUPLE_META: Final[Any] = typing.NamedTupleMeta  # type: ignore[attr-defined]

METACLASSES: Final[tuple[Any, ...]] = (type, abc.ABCMeta, PROTOCOL_META, TUPLE_META, enum.EnumMeta)
"""Metaclasses whose code makes a class and changes nothing else, so that it may be run on a stand-in."""

OF_CONSTANTS: Final = (TUPLE_META, enum.EnumMeta)
"""Those of them that compute with what the class is to store."""

QUIET_MODULES: Final = ("builtins", "typing", "enum", "abc")
"""Modules whose `__init_subclass__` change nothing but the new class."""

AS_THEY_ARE: Final = (
    *(types.FunctionType, types.BuiltinFunctionType, property, staticmethod, classmethod, TUPLE_FIELD, enum.Enum),
    *(*METHOD_DESCRIPTORS, *SLOT_DESCRIPTORS, types.DynamicClassAttribute, type),
)
"""Kinds of objects in the dictionary of a class that CPython has made which are items themselves."""


def build_class(trace: Trace, body: Item, name: Item, bases: Sequence[Item], keywords: dict[str, Item]) -> Item:
    """`__build_class__`: the class of a class statement, whose body is interpreted."""
    if not isinstance(body, FunctionValue) or type(name) is not str:
        trace.stop(CLASS_DEFINITION, "the body is a function from outside")
    listed_bases = make_tuple(bases)
    resolved = listed_bases
    if not all(isinstance(base, type) for base in bases):
        resolved = trace.machine.call(trace, types.resolve_bases, [listed_bases])
    meta = _metaclass(trace, name, resolved, keywords)
    names = DictValue(dict)
    slots: list[Item] = [MISSING] * len(decode(body.code).slot_names)
    frame = Frame(trace, decode(body.code), slots, body.globals, body.globals_source, body.closure, trace.frame, body)
    frame.names = names
    cell = run(frame)
    if resolved is not listed_bases:
        names.items["__orig_bases__"] = listed_bases
    if isinstance(cell, CellValue):
        names.items["__classcell__"] = cell
    return make_class(trace, meta, name, resolved, names, keywords)


def _metaclass(trace: Trace, name: str, bases: Item, keywords: dict[str, Item]) -> Any:
    """The metaclass of a class statement: what it names, or that of its bases."""
    if type(bases) is not tuple or not all(isinstance(base, type) for base in bases):
        trace.stop(CLASS_DEFINITION, f"{name} has a base that is no class")
    meta = realise(trace, keywords.pop("metaclass", type(bases[0]) if bases else type))
    if not isinstance(meta, type):
        trace.stop(CLASS_DEFINITION, f"{name} has a metaclass that is no class")
    return host(trace, types._calculate_meta, meta, bases)  # type: ignore[attr-defined]


def make_class(trace: Trace, meta: Any, name: Item, bases: Item, namespace: Item, keywords: Mapping[str, Item]) -> type:
    """`meta(name, bases, namespace, **keywords)`, if the metaclass is one of METACLASSES."""
    if type(name) is not str or type(bases) is not tuple or not isinstance(namespace, DictValue):
        trace.stop(CLASS_DEFINITION, "type() with arguments that only the trace knows")
    names: dict[Any, Item] = {key: realise(trace, item) for key, item in namespace.all(trace).items()}
    cell = names.pop("__classcell__", None)
    refusal = _refusal(trace, meta, bases, names)
    if refusal:
        trace.stop(CLASS_DEFINITION, f"{name}{refusal}")
    if "__module__" not in names:
        names["__module__"] = _module(trace)
    real = {key: stand_in(trace, item) for key, item in names.items()}
    if type(real.get("__slots__")) is StandIn:
        trace.stop(CLASS_DEFINITION, f"{name} has slots that only the trace knows")
    if meta in OF_CONSTANTS and any(type(part) is StandIn for part in real.values()):
        trace.stop(CLASS_DEFINITION, f"{name} stores what only the trace knows")
    cls = host(trace, _make, meta, name, bases, real, **_constants(trace, name, keywords))
    items = {id(part): item for part, item in zip(real.values(), names.values(), strict=True)}
    args = [meta, name, bases, DictValue(dict, dict(names))]
    adopt(trace, cls, _make, args, dict(keywords), items)
    if isinstance(cell, CellValue):
        cell.write(trace, cls)
    for key, item in names.items():
        if isinstance(item, Value) and hasattr(item.cls, "__set_name__") and not isinstance(item, WrappedFunction):
            call_special(trace, item, "__set_name__", cls, key)
    return cls


def _make(meta: Any, name: str, bases: tuple[type, ...], names: dict[str, Any], /, **keywords: Any) -> type:
    """Make a class in a namespace that the metaclass prepares, filled in order as the body fills it."""
    namespace: Any = meta.__prepare__(name, bases, **keywords)
    for key, item in names.items():
        namespace[key] = item
    return meta(name, bases, namespace, **keywords)


def _constants(trace: Trace, name: str, keywords: Mapping[str, Item]) -> dict[str, Any]:
    try:
        return {key: concrete(trace, item) for key, item in keywords.items()}
    except NotConcrete:
        trace.stop(CLASS_DEFINITION, f"{name} has keywords that only the trace knows")


def _module(trace: Trace) -> Any:
    """The module of what the running frame makes."""
    frame: Any = trace.frame
    return frame.globals.get("__name__")


def _refusal(trace: Trace, meta: Any, bases: tuple[Any, ...], names: Mapping[Any, Item]) -> str:
    """Why a class cannot be made while tracing, "" if it can: code of the program would run, or see the stand-in."""
    if meta not in METACLASSES:
        return f" has the metaclass {meta.__name__}"
    for owner in (owner for base in bases for owner in base.__mro__):
        if "__init_subclass__" in vars(owner) and owner.__module__ not in QUIET_MODULES:
            return f" has a base with __init_subclass__: {owner.__name__}"
    if "__subclasshook__" in names:
        return " has a __subclasshook__"
    for key, item in names.items():
        if type(key) is not str:
            return " stores something under a name that is no text"
        kind = class_of(item)
        if hasattr(kind, "__set_name__") and not issubclass(kind, (property, functools.cached_property)):
            return f".{key} is given its name"
    return ""


def adopt(
    trace: Trace,
    cls: type,
    maker: Callable[..., type],
    args: Sequence[Item],
    kwargs: Mapping[str, Item],
    items: Mapping[int, Item],
) -> None:
    """Take a class that CPython has just made for a stand-in; a run makes it by `maker(*args, **kwargs)`.

    `items` are the items that real objects in its dictionary stand for, by identity.
    """
    trace.born.parts[id(cls)] = cls
    if issubclass(cls, enum.Enum):
        for name, member in cls.__members__.items():
            _remember(trace, member, getattr, cls, name)
    names: dict[Item, Item] = {name: _stored(trace, cls, name, real, items) for name, real in vars(cls).items()}
    trace.born[cls] = BornClass(cls, maker, args, kwargs, names)


def _stored(trace: Trace, cls: type, name: str, real: Any, items: Mapping[int, Item]) -> Item:
    """The item for what CPython has put into the dictionary of a new class."""
    inner = getattr(real, "__func__", None)
    if id(real) in items:
        return items[id(real)]
    if id(inner) in items:  # a method that `type` has made a static or a class method
        return WrappedFunction(type(real), {"__func__": items[id(inner)]})
    if isinstance(real, AS_THEY_ARE):
        for part in (inner, *(getattr(real, accessor, None) for accessor in ("fget", "fset", "fdel"))):
            if isinstance(part, types.FunctionType):
                trace.born.parts[id(part)] = part
        if id(real) not in trace.born.parts:
            _remember(trace, real, _part, cls, name)
        return real
    if name == "__abstractmethods__" or name.startswith("_abc_"):
        return real
    return from_host(trace, real)


def _remember(trace: Trace, part: object, read: Callable[[type, str], Any], cls: type, name: str) -> None:
    """Note an object that a class has in every run, each its own: `read(cls, name)`."""
    trace.born.parts[id(part)] = part
    trace.recipes[id(part)] = Recipe(part, read, (cls, name))


def _part(cls: type, name: str) -> Any:
    """What a class stores under a name."""
    return vars(cls)[name]


def made_of_constants(trace: Trace, maker: Callable[..., type], args: Sequence[Item], kwargs: dict[str, Item]) -> type:
    """`maker(*args, **kwargs)`, a new class that CPython makes of constants."""
    try:
        real_args = [concrete(trace, realise(trace, arg)) for arg in args]
        real_kwargs = {name: concrete(trace, realise(trace, arg)) for name, arg in kwargs.items()}
    except NotConcrete:
        trace.stop(CLASS_DEFINITION, f"{maker.__name__} of what only the trace knows")
    cls = host(trace, maker, *real_args, **real_kwargs)
    adopt(trace, cls, maker, [from_host(trace, arg) for arg in real_args], kwargs, {})
    return cls
