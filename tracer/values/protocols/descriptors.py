"""Descriptors as CPython defines them: what a class attribute gives when it is looked up on an object.

Descriptors written in Python are called through the context and so interpreted; those of C are read off the real
object. In which order an attribute is looked for is in `attributes.py`.
"""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import torch

from tracer.guards.source import constant
from tracer.reasons import UNSUPPORTED_ATTRIBUTE
from tracer.values.attribute_dicts import AttributeDict
from tracer.values.base import MISSING, UNREAD, Value, class_of
from tracer.values.class_attributes import (
    LAZY_FIELDS,
    METHOD_DESCRIPTORS,
    SLOT_DESCRIPTORS,
    class_attribute,
    is_builtin,
    is_builtin_class,
)
from tracer.values.context import Context
from tracer.values.exceptions import ExceptionValue
from tracer.values.from_host import from_host
from tracer.values.functions import FunctionValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.literal_objects import LiteralObject
from tracer.values.methods import BoundMethod
from tracer.values.objects import ObjectValue
from tracer.values.protocols.exception_attributes import read_field
from tracer.values.protocols.function_attributes import function_attribute
from tracer.values.protocols.special_methods import call_stored
from tracer.values.raising import throw
from tracer.values.recipes import is_unchanging
from tracer.values.tensor_subclasses import TENSOR_BASE, SubclassTensor
from tracer.values.tuples import TupleValue
from tracer.values.wrapped_functions import WrappedFunction
from tracer.values.wrapper_tensors import WrapperTensor

INSTANCE_METHOD: type = type(torch._C._InferenceMode.__enter__)
"""How pybind11 keeps a C++ method in its class."""

PLAIN_METHODS = (types.FunctionType, *METHOD_DESCRIPTORS)
"""Types of raw class attributes that become bound methods, and that an instance's dictionary comes before."""


def is_data_descriptor(context: Context, stored: Item) -> bool:
    """Whether `stored` has a say before the instance's dictionary when it is read."""
    kind = type(stored)
    if kind in SLOT_DESCRIPTORS or kind is property or issubclass(kind := class_of(stored), property):
        return True
    writes = any(class_attribute(context, kind, name) is not MISSING for name in ("__set__", "__delete__"))
    return writes and class_attribute(context, kind, "__get__") is not MISSING


def bind(context: Context, stored: Any, value: Item, cls: type, name: str, holder: type | None = None) -> Item:
    """What the class attribute `stored` gives when looked up on `value` (None: on the class itself).

    `holder` is the class whose MRO has it first, if that is not `cls`.
    """
    kind = type(stored)
    if kind not in PLAIN_METHODS and kind not in BINDERS:
        kind = class_of(stored)
    if kind in PLAIN_METHODS:
        return stored if value is None else BoundMethod(stored, value)
    if kind in BINDERS:
        return BINDERS[kind](context, stored, value, cls, name)
    getter = class_attribute(context, kind, "__get__")
    binder = BINDERS_BY_GETTER.get(getter) if class_of(getter) in METHOD_DESCRIPTORS else None
    if binder is not None:
        return binder(context, stored, value, cls, name)
    wrapped = stored if isinstance(stored, Value) else plain_class_attribute(context, stored, holder or cls, name)
    if type(wrapped) in PLAIN_METHODS:  # a captured function, which stands for its original
        return wrapped if value is None else BoundMethod(wrapped, value)
    return wrapped if getter is MISSING else call_stored(context, getter, wrapped, "__get__", [value, cls])


def _bind_property(context: Context, stored: Any, value: Item, cls: type, name: str) -> Item:
    if value is None:
        return stored
    getter = descriptor_part(context, stored, "fget")
    if getter is None:
        throw(context, AttributeError, f"property '{name}' of '{cls.__qualname__}' object has no getter")
    return context.machine.call(context, getter, [value])


CLASS_METHODS_CHAIN: Final = classmethod(property(lambda cls: 1)).__get__(None, object) == 1  # type: ignore[arg-type]
"""Whether a classmethod asks what it wraps to bind itself, as up to 3.12."""


def _bind_class_method(context: Context, stored: Any, value: Item, cls: type, name: str) -> Item:
    """What is wrapped is bound to the class; up to 3.12 by its own `__get__`, if it has one."""
    inner = descriptor_part(context, stored, "__func__")
    kind = class_of(inner)
    binds_itself = CLASS_METHODS_CHAIN and hasattr(kind, "__get__")
    if kind is types.FunctionType or kind in METHOD_DESCRIPTORS or not binds_itself:
        return BoundMethod(inner, cls)
    return bind(context, inner, cls, cls, name)


def _bind_class_method_of_c(context: Context, stored: Any, value: Item, cls: type, name: str) -> Item:
    return getattr(cls, name) if is_builtin_class(cls) else BoundMethod(stored, cls)


def _bind_instance_method(context: Context, stored: Any, value: Item, cls: type, name: str) -> Item:
    return stored.__func__ if value is None else BoundMethod(stored.__func__, value)


def _bind_slot(context: Context, stored: Any, value: Item, cls: type, name: str) -> Item:
    return stored if value is None else slot_attribute(context, value, name, stored)


def descriptor_part(context: Context, stored: Any, name: str) -> Item:
    """What a property, classmethod or staticmethod known by identity holds; that cannot change."""
    if isinstance(stored, WrappedFunction):
        return stored.parts[name]
    part = getattr(stored, name)
    return (
        part
        if part is None or type(part) is types.FunctionType
        else context.wrap(part, constant(stored).child("getattr", name))
    )


BINDERS: dict[type, Callable[[Context, Any, Any, type, str], Item]] = {
    property: _bind_property,
    staticmethod: lambda context, stored, value, cls, name: descriptor_part(context, stored, "__func__"),
    classmethod: _bind_class_method,
    types.ClassMethodDescriptorType: _bind_class_method_of_c,
    INSTANCE_METHOD: _bind_instance_method,
    **dict.fromkeys(SLOT_DESCRIPTORS, _bind_slot),
    functools._lru_cache_wrapper: lambda context, stored, value, cls, name: (
        stored if value is None else BoundMethod(stored, value)
    ),
    functools.cached_property: lambda context, stored, value, cls, name: (
        stored if value is None else _cached_property(context, stored, value)
    ),
}
"""By class of a descriptor: its `__get__(value, cls)`; None as `value` means that it is looked up on the class."""


BINDERS_BY_GETTER: dict[Item, Callable[[Context, Any, Any, type, str], Item]] = {
    kind.__get__: BINDERS[kind] for kind in (property, staticmethod, classmethod)
}
"""The same, by the `__get__` that subclasses inherit."""


def plain_class_attribute(context: Context, stored: Item, cls: type, name: str) -> Item:
    """The item for a raw attribute of `cls`: the program's own if it has set the attribute, else one from outside."""
    effects = context.effects
    if context.born and any(owner in context.born and name in vars(owner) for owner in cls.__mro__):
        return stored
    if effects.namespaces and any(effects.read(owner, name, MISSING) is stored for owner in cls.__mro__):
        return stored
    return context.wrap(stored, constant(cls).child("class attribute", name))


def _cached_property(context: Context, stored: Any, value: ObjectValue) -> Item:
    """functools.cached_property without its lock: one capture runs at a time."""
    function, attribute = stored.func, stored.attrname
    item = context.machine.call(context, function, [value])
    value.write(context, attribute, item)
    return item


def slot_attribute(context: Context, value: Value, name: str, descriptor: Any) -> Item:
    """A C-level descriptor: `__class__`, `__dict__`, `__slots__` members, fields of C types."""
    if isinstance(value, FunctionValue):
        item = function_attribute(context, value, name)
        if item is not MISSING:
            return item
    special = SPECIAL_ATTRIBUTES.get(name)
    if special is not None:
        item = special(context, value)
        if item is not MISSING:
            return item
    if isinstance(value, SubclassTensor | WrapperTensor) and descriptor.__objclass__ is TENSOR_BASE:
        return context.machine.call(context, types.GetSetDescriptorType.__get__, [descriptor, value])
    if isinstance(value, LiteralObject) and is_builtin(descriptor):
        return host(context, getattr, value.payload, name)
    if isinstance(value, TupleValue) and name in (names := getattr(value.cls, "__match_args__", ())):
        return value.read(context, names.index(name))
    if isinstance(value, ObjectValue):
        field = value.field(name)
        if field is not UNREAD:
            return field
        if (
            isinstance(value, ExceptionValue)
            and issubclass(descriptor.__objclass__, BaseException)
            and is_builtin(descriptor)
        ):
            return read_field(context, value, name)
        if value.object is not MISSING:
            return _outside_field(context, value, name, descriptor)
        if not is_builtin(descriptor):
            return MISSING
    item = value.member(context, name)
    if item is not UNREAD:
        return item
    context.stop(UNSUPPORTED_ATTRIBUTE, f"{value.cls.__name__}.{name}")


def _outside_field(context: Context, value: ObjectValue, name: str, descriptor: Any) -> Item:
    assert value.source is not None
    if descriptor in LAZY_FIELDS:
        context.stop(UNSUPPORTED_ATTRIBUTE, f"{value.source.text}.{name}, which its first read evaluates")
    try:
        attribute = object.__getattribute__(value.object, name)
    except AttributeError:
        context.stop(UNSUPPORTED_ATTRIBUTE, f"{value.source.text}.{name}, which is not set")
    place = value.source.child("getattr", name)
    item = from_host(context, attribute) if is_unchanging(value) else context.wrap(attribute, place)
    value.keep_field(name, item)
    return item


def _dictionary(context: Context, value: Value) -> Item:
    if not isinstance(value, ObjectValue) or not value.cls.__dictoffset__:
        return MISSING
    if value.dictionary is None:
        value.dictionary = AttributeDict(value)
        context.owners.append(value)
    return value.dictionary


SPECIAL_ATTRIBUTES: dict[str, Any] = {
    "__class__": lambda context, value: context.machine.call(context, type, [value]),
    "__dict__": _dictionary,
    "maxlen": lambda context, value: value.maxlen if issubclass(value.cls, deque) else MISSING,
}
"""C-level attributes that the trace knows itself."""
