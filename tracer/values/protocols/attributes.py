"""Attribute access as CPython defines it, once for every kind of item.

The order is the data model's: data descriptor of the class, instance dictionary, other class attribute, `__getattr__`.
Hooks written in Python are called through the context and so interpreted. Every place looked at is guarded. What a
class attribute gives is in `descriptors.py`, setting and deleting in `attribute_writes.py`.
"""

from __future__ import annotations

import types
from collections import deque

import torch

from tracer.guards.source import constant
from tracer.reasons import UNSUPPORTED_ATTRIBUTE
from tracer.values.base import HOST_OBJECTS, MISSING, UNREAD, Lazy, Value, class_of
from tracer.values.cells import CellValue
from tracer.values.class_attributes import (
    METHOD_DESCRIPTORS,
    class_attribute,
    class_name,
    own_class_attribute,
    sets_in_its_own_way,
    special,
)
from tracer.values.context import Context
from tracer.values.dicts import DictValue
from tracer.values.exceptions import ExceptionValue
from tracer.values.from_host import from_host
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.methods import BoundMethod
from tracer.values.native_words import unset_slot
from tracer.values.numpy_arrays import NumpyArray, is_kept_by_numpy
from tracer.values.objects import ObjectValue
from tracer.values.protocols.descriptors import PLAIN_METHODS, bind, is_data_descriptor
from tracer.values.protocols.kept_elsewhere import ELSEWHERE, get_kept_elsewhere
from tracer.values.protocols.raw_attributes import raw_attribute
from tracer.values.protocols.special_methods import call_stored, is_native, is_of_program
from tracer.values.raising import Raised, throw
from tracer.values.super_objects import SuperValue
from tracer.values.tensors import TensorValue

MUTABLE = frozenset((list, dict, set, deque, bytearray))
MODULE_TABLES = ("_parameters", "_buffers", "_modules")


def get_attribute(context: Context, item: Item, name: str) -> Item:
    """`item.name`. Raises AttributeError in the traced program when there is none."""
    try:
        if not isinstance(item, Value):
            if is_of_program(context, item, "__getattribute__"):
                return _hooked_attribute(context, special(context, item, "__getattribute__"), item, name)
            return raw_attribute(context, item, name)
        if type(item) is Lazy:
            return get_attribute(context, item.realise(context), name)
        if isinstance(item, ObjectValue):
            attribute = object_attribute(context, item, name)
        elif isinstance(item, SuperValue):
            attribute = _super_attribute(context, item, name)
        elif isinstance(item, BoundMethod):
            attribute = _method_attribute(context, item, name)
        else:
            attribute = _other_attribute(context, item, name)
        if attribute is MISSING:
            throw(context, AttributeError, _no_attribute(context, item, name))
    except Raised as raised:
        _say_where(raised.value, item, name)
        raise
    return attribute


def _no_attribute(context: Context, item: Value, name: str) -> str:
    """What AttributeError says of `item.name`: an empty slot is another matter from no attribute in some versions."""
    if type(class_attribute(context, item.cls, name)) is types.MemberDescriptorType:
        return unset_slot(item.cls, name)
    return f"'{class_name(item)}' object has no attribute '{name}'"


def _say_where(error: ExceptionValue, item: Item, name: str) -> None:
    """Give an AttributeError that says nothing of what was looked up `name` and `obj`, as PyObject_GetAttr does."""
    says_nothing = error.object is MISSING and error.field("name") is UNREAD and error.field("obj") is UNREAD
    if says_nothing and issubclass(error.cls, AttributeError):
        error.keep_field("name", name)
        error.keep_field("obj", item)


def object_attribute(context: Context, value: ObjectValue, name: str) -> Item:
    """`value.name`, MISSING when AttributeError would be raised by the plain lookup."""
    cls = value.cls
    if issubclass(cls, ELSEWHERE):
        return get_kept_elsewhere(context, value, name)
    if cls in HOST_OBJECTS and value.object is not MISSING:
        return _host_attribute(context, value, name)
    if type(value) is NumpyArray and (method := value.method(name)) is not None:
        return BoundMethod(method, value)
    hook = class_attribute(context, cls, "__getattribute__")
    if hook is not object.__getattribute__ and not is_native(hook, cls, "__getattribute__"):
        return _hooked_attribute(context, hook, value, name)
    attribute = generic_attribute(context, value, name)
    if attribute is MISSING:
        attribute = _missing_attribute(context, value, name)
        if attribute is MISSING and (sets_in_its_own_way(value.cls) or is_kept_by_numpy(value, name)):
            context.stop(UNSUPPORTED_ATTRIBUTE, f"{value.cls.__name__}.{name}")
    return attribute


def _host_attribute(context: Context, value: ObjectValue, name: str) -> Item:
    """What CPython reads from an immutable object, which is guarded to be that one unless the trace has made it."""
    if value.source is not None and value.source.accessor != "object":
        context.guard(value.source, "same object", value.object)
    attribute = host(context, getattr, value.object, name)
    if type(attribute) in MUTABLE:  # the default of a parameter, which is whose it is
        return context.wrap(attribute, constant(attribute))
    return from_host(context, attribute)


def _hooked_attribute(context: Context, hook: Item, item: Item, name: str) -> Item:
    """By the class's `__getattribute__`, which is `hook`, then its `__getattr__`."""
    try:
        return call_stored(context, hook, item, "__getattribute__", (name,))
    except Raised as raised:
        if not issubclass(raised.value.cls, AttributeError) or special(context, item, "__getattr__") is MISSING:
            raise
    if isinstance(item, ObjectValue):
        return _missing_attribute(context, item, name)
    return call_stored(context, special(context, item, "__getattr__"), item, "__getattr__", (name,))


def _missing_attribute(context: Context, value: ObjectValue, name: str) -> Item:
    """What the class's `__getattr__` answers."""
    hook = class_attribute(context, value.cls, "__getattr__")
    if hook is MISSING:
        return MISSING
    if hook is torch.nn.Module.__getattr__:
        for table in MODULE_TABLES:
            entries = value.instance_attribute(context, table)
            if isinstance(entries, DictValue):
                entry = entries.lookup(context, name)
                if entry is not MISSING:
                    return entry.realise(context) if type(entry) is Lazy else entry
        return MISSING
    return call_stored(context, hook, value, "__getattr__", [name])


def generic_attribute(context: Context, value: ObjectValue, name: str) -> Item:
    """object.__getattribute__: MISSING when there is no such attribute."""
    cls = value.cls
    stored = class_attribute(context, cls, name)
    if stored is MISSING:
        return value.instance_attribute(context, name)
    if isinstance(value, TensorValue):
        entry = value.attributes.get(name, MISSING)
        return entry if entry is not MISSING else value.get(context, name, stored)
    if type(stored) not in PLAIN_METHODS and is_data_descriptor(context, stored):
        return bind(context, stored, value, cls, name)
    entry = value.instance_attribute(context, name)
    return entry if entry is not MISSING else bind(context, stored, value, cls, name)


def _super_attribute(context: Context, value: SuperValue, name: str) -> Item:
    if name == "__class__":
        return super
    mro = value.owner.__mro__
    for cls in mro[mro.index(value.start) + 1 :]:
        if name in cls.__dict__:
            stored = own_class_attribute(context, cls, name)
            instance = value.instance
            return bind(context, stored, None if instance is value.owner else instance, value.owner, name, cls)
    throw(context, AttributeError, f"'super' object has no attribute '{name}'", name=name, obj=value)


def _method_attribute(context: Context, value: BoundMethod, name: str) -> Item:
    if name in ("__self__", "__class__"):
        return value.instance if name == "__self__" else value.cls
    if value.cls is not types.MethodType and name != "__doc__":
        return _method_of_c_attribute(context, value, name)
    if name == "__func__":
        return value.function
    stored = class_attribute(context, value.cls, name)
    if class_of(stored) in METHOD_DESCRIPTORS:
        return BoundMethod(stored, value)
    return get_attribute(context, value.function, name)


def _method_of_c_attribute(context: Context, value: BoundMethod, name: str) -> Item:
    stored = class_attribute(context, value.cls, name)
    if stored is MISSING:
        return MISSING
    if class_of(stored) in METHOD_DESCRIPTORS:
        return BoundMethod(stored, value)
    if name == "__module__":
        return None
    if name == "__qualname__":
        cls = value.instance if isinstance(value.instance, type) else class_of(value.instance)
        return f"{cls.__qualname__}.{value.function.__name__}"
    return get_attribute(context, value.function, name)


def _other_attribute(context: Context, value: Value, name: str) -> Item:
    if isinstance(value, CellValue) and name == "cell_contents":
        content = value.read(context)
        if content is MISSING:
            throw(context, ValueError, "Cell is empty")
        return content
    stored = class_attribute(context, value.cls, name)
    return MISSING if stored is MISSING else bind(context, stored, value, value.cls, name)
