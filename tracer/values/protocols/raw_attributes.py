"""Attributes of raw objects: of classes, modules, functions, enumerations, symbols and constants.

Such an object is known by identity, so that what it holds is read off it, under a guard where that may change.
Nothing here knows of objects that the trace has a value for.
"""

from __future__ import annotations

import enum
import types
from typing import Any, Final

import torch

from tracer.effects.log import DELETED
from tracer.guards.source import Source, constant
from tracer.reasons import UNSUPPORTED_ATTRIBUTE
from tracer.values.base import MISSING, SYMBOLS, Value, class_of, kind_of
from tracer.values.class_attributes import (
    LAZY_FIELDS,
    METHOD_DESCRIPTORS,
    SLOT_DESCRIPTORS,
    class_attribute,
    class_name,
)
from tracer.values.context import Context
from tracer.values.dicts import DictValue
from tracer.values.from_host import from_host
from tracer.values.host import born_exception, host
from tracer.values.item import Item
from tracer.values.methods import BoundMethod, descriptors_of
from tracer.values.protocols.descriptors import bind, is_data_descriptor
from tracer.values.protocols.namespaces import only_as_a_namespace
from tracer.values.protocols.special_methods import call_stored
from tracer.values.raising import Raised, throw
from tracer.values.slices import slice_attribute

OPERATOR_NAMESPACES = (torch._ops._Ops, torch._ops._OpNamespace)
"""Classes of torch.ops and torch.ops.aten: their `__getattr__` looks a registered operator up, and keeps it."""

MEMBERS_BY_HOOK: Final = "__getattr__" in vars(enum.EnumMeta)
"""Whether enumerations look their members up in a hook, as up to 3.11, whose error is nothing but the name."""


def raw_attribute(context: Context, obj: Any, name: str) -> Item:
    """`obj.name`, as the program sees it after what it has set. Raises AttributeError in the traced program."""
    if context.effects.namespaces:
        item = context.effects.read(obj, name, MISSING)
        if item is DELETED:
            what = f"type object '{obj.__name__}'" if isinstance(obj, type) else f"'{type(obj).__name__}' object"
            if isinstance(obj, types.ModuleType):
                what = f"module '{obj.__name__}'"
            throw(context, AttributeError, f"{what} has no attribute '{name}'", name=name, obj=obj)
        if item is not MISSING:
            return item
    if isinstance(obj, type):
        return _class_object_attribute(context, obj, name)
    if context.effects.stored and isinstance(obj, (types.ModuleType, types.FunctionType)):
        only_as_a_namespace(context, obj)
    if isinstance(obj, types.ModuleType) and kind_of(context, obj) is not types.ModuleType:
        return _odd_module_attribute(context, obj, name)
    if isinstance(obj, (types.ModuleType, types.FunctionType)):
        return _read(context, obj, name, constant(obj))
    if isinstance(obj, enum.Enum):
        return _enum_attribute(context, obj, name)
    if isinstance(obj, slice):
        return slice_attribute(context, obj, name)
    if type(obj) in SYMBOLS:
        return _symbol_attribute(context, obj, name)
    return _literal_attribute(context, obj, name)


def _symbol_attribute(context: Context, symbol: Any, name: str) -> Item:
    """Of the number that a symbol stands for: of its attributes only those that are the number itself vary."""
    stored = class_attribute(context, class_of(symbol), name)
    if stored is MISSING:
        words = f"'{class_name(symbol)}' object has no attribute '{name}'"
        throw(context, AttributeError, words, name=name, obj=symbol)
    if type(stored) in METHOD_DESCRIPTORS:
        return BoundMethod(stored, symbol)
    if name in ("real", "numerator"):
        return symbol
    return from_host(context, host(context, getattr, class_of(symbol)(), name))


def _literal_attribute(context: Context, obj: Any, name: str) -> Item:
    """Of a constant, or of a C-level object known by identity: nothing in it can change."""
    if type(obj).__module__ not in ("builtins", "torch") and not isinstance(obj, tuple):
        stored = class_attribute(context, type(obj), name)
        if type(stored) in (types.FunctionType, property):
            return bind(context, stored, obj, type(obj), name)
        if type(stored) is types.GetSetDescriptorType and stored in LAZY_FIELDS:
            context.stop(UNSUPPORTED_ATTRIBUTE, f"{type(obj).__name__}.{name}, which its first read evaluates")
    return from_host(context, host(context, getattr, obj, name))


def _odd_module_attribute(context: Context, obj: Any, name: str) -> Item:
    """Of a module object whose class has properties or a `__getattr__` of its own, such as torch._VF."""
    stored = class_attribute(context, type(obj), name)
    if stored is not MISSING and hasattr(type(stored), "__set__"):
        return bind(context, stored, obj, type(obj), name)
    hook = class_attribute(context, type(obj), "__getattr__")
    if isinstance(obj, OPERATOR_NAMESPACES):
        hasattr(obj, name)  # what is found is in the dictionary from now on
        return _read(context, obj, name, constant(obj))
    if name not in obj.__dict__:
        if stored is not MISSING and type(stored) is not types.GetSetDescriptorType:
            return bind(context, stored, obj, type(obj), name)
        if type(hook) is types.FunctionType:
            context.guard(constant(obj).child("dict"), "absent", name)
            return context.machine.call(context, hook, [obj, name])
    return _read(context, obj, name, constant(obj))


def _read(context: Context, obj: Any, name: str, source: Source) -> Item:
    """An attribute of a module or function object, by its dictionary where it has one."""
    dictionary = obj.__dict__
    if name in dictionary:
        return context.wrap(dictionary[name], source.child("dict").child("item", name))
    if name == "__dict__":
        return context.wrap(dictionary, source.child("dict"))
    if isinstance(obj, types.ModuleType) and class_attribute(context, type(obj), name) is MISSING:
        context.guard(source.child("dict"), "absent", name)
        if "__getattr__" in dictionary:
            return context.machine.call(context, raw_attribute(context, obj, "__getattr__"), [name])
        context.guard(source.child("dict"), "absent", "__getattr__")
    try:
        attribute = getattr(obj, name)
    except AttributeError as error:
        context.guard(source.child("dict"), "absent", name)
        raise Raised(born_exception(context, error)) from None
    if isinstance(attribute, types.MethodWrapperType):
        return BoundMethod(descriptors_of(attribute)[0], obj)
    return context.wrap(attribute, source.child("getattr", name))


def _enum_attribute(context: Context, obj: enum.Enum, name: str) -> Item:
    stored = class_attribute(context, type(obj), name)
    if isinstance(stored, Value) or type(stored) in (types.FunctionType, classmethod, staticmethod, property):
        return bind(context, stored, obj, type(obj), name)
    return from_host(context, host(context, getattr, obj, name))


def _born_class_attribute(context: Context, cls: type, name: str) -> Item:
    """What `type` keeps of a class that the program has made: in its dictionary, or in C."""
    names = context.born[cls].names
    if name == "__dict__":
        return DictValue(types.MappingProxyType, names)
    if name == "__annotations__" and name not in names:
        names[name] = DictValue(dict)
        context.born[cls].written[name] = names[name]
    return names[name] if name in names else from_host(context, host(context, getattr, cls, name))


def _class_object_attribute(context: Context, cls: type, name: str) -> Item:
    meta = kind_of(context, cls)
    meta_stored = class_attribute(context, meta, name)
    if (
        meta_stored is not MISSING
        and type(meta_stored) is not types.FunctionType
        and is_data_descriptor(context, meta_stored)
    ):
        if class_of(meta_stored) not in SLOT_DESCRIPTORS:
            return bind(context, meta_stored, cls, meta, name)
        if name == "__class__":
            return meta
        if cls in context.born:
            return _born_class_attribute(context, cls, name)
        return context.wrap(host(context, getattr, cls, name), constant(cls).child("getattr", name))
    stored = class_attribute(context, cls, name)
    if stored is not MISSING:
        if issubclass(meta, enum.EnumMeta) and isinstance(getattr(cls, name), cls):
            return context.wrap(getattr(cls, name), constant(cls).child("getattr", name))
        return bind(context, stored, None, cls, name)
    if meta_stored is not MISSING:
        return bind(context, meta_stored, cls, meta, name)
    hook = class_attribute(context, meta, "__getattr__")
    if hook is not MISSING and not issubclass(meta, enum.EnumMeta):
        return call_stored(context, hook, cls, "__getattr__", [name])
    if issubclass(meta, enum.EnumMeta) and name in cls.__members__:
        return context.wrap(getattr(cls, name), constant(cls).child("getattr", name))
    is_bare = MEMBERS_BY_HOOK and issubclass(meta, enum.EnumMeta)
    text = name if is_bare else f"type object '{cls.__name__}' has no attribute '{name}'"
    throw(context, AttributeError, text, name=name, obj=cls)
