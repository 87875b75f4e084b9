"""Setting and deleting attributes as CPython defines it, once for every kind of item.

The class's `__setattr__` or `__delattr__` comes first, then a data descriptor of the class, the instance's dictionary
last.
"""

from __future__ import annotations

import types
from typing import Any, NoReturn

from tracer.reasons import UNSUPPORTED_MUTATION
from tracer.values.base import MISSING, Lazy, Value, class_of, realise
from tracer.values.cells import CellValue
from tracer.values.class_attributes import (
    IMMUTABLE_TYPE,
    SLOT_DESCRIPTORS,
    class_attribute,
    is_builtin,
    native_setter,
    sets_in_its_own_way,
)
from tracer.values.context import Context
from tracer.values.exceptions import ExceptionValue
from tracer.values.functions import FunctionValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.native_words import NO_PLACE, SAYS_WHERE_TO_PLACE
from tracer.values.numpy_arrays import is_kept_by_numpy
from tracer.values.objects import ObjectValue
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.descriptors import descriptor_part, plain_class_attribute, slot_attribute
from tracer.values.protocols.exception_attributes import write_field
from tracer.values.protocols.function_attributes import FUNCTION_FIELDS
from tracer.values.protocols.kept_elsewhere import ELSEWHERE, set_kept_elsewhere
from tracer.values.protocols.namespaces import set_name
from tracer.values.protocols.special_methods import call_special, call_stored, is_of_program
from tracer.values.raising import throw
from tracer.values.tensors import TensorValue

FIXED = frozenset({"__class__", "__bases__", "__mro__", "__dict__", "__name__", "__qualname__"})
"""Attributes of a class that it does not store under their names."""


def set_attribute(context: Context, target: Item, name: str, item: Item) -> None:
    """`target.name = item`; MISSING as item deletes."""
    target = target.realise(context) if type(target) is Lazy else target
    hook = "__delattr__" if item is MISSING else "__setattr__"
    if is_of_program(context, target, hook):
        call_special(context, target, hook, *([name] if item is MISSING else [name, item]))
    elif isinstance(target, Value):
        generic_set_attribute(context, target, name, item)
    else:
        _set_raw_attribute(context, target, name, item)


def generic_set_attribute(context: Context, target: Item, name: str, item: Item) -> None:
    """object.__setattr__ and object.__delattr__."""
    if isinstance(target, FunctionValue) and name in FUNCTION_FIELDS:
        return FUNCTION_FIELDS[name](context, target, item)
    if isinstance(target, CellValue) and name == "cell_contents":
        return target.write(context, item)
    if isinstance(target, ObjectValue) and issubclass(target.cls, ELSEWHERE):
        return set_kept_elsewhere(context, target, name, item)
    if not isinstance(target, ObjectValue) or sets_in_its_own_way(target.cls) or is_kept_by_numpy(target, name):
        context.stop(UNSUPPORTED_MUTATION, f"{target.cls.__name__}.{name} is set")
    stored: Any = class_attribute(context, target.cls, name)
    if stored is not MISSING:
        if class_of(stored) in SLOT_DESCRIPTORS:
            return _set_slot(context, target, name, item, stored)
        if _set_by_descriptor(context, target, target.cls, name, item, stored):
            return None
    if not target.cls.__dictoffset__:
        _refuse_attribute(context, target, target.cls, name)
    if item is MISSING and realise(context, target.instance_attribute(context, name)) is MISSING:
        throw(context, AttributeError, f"'{target.cls.__name__}' object has no attribute '{name}'")
    return target.write(context, name, item)


def _set_by_descriptor(context: Context, target: Item, cls: type, name: str, item: Item, stored: Any) -> bool:
    """Set or delete an attribute by the descriptor that a class has for it; False if what it has is none that can."""
    kind, args = class_of(stored), [target] if item is MISSING else [target, item]
    if issubclass(kind, property) and getattr(kind, "__set__", None) is property.__set__:
        accessor, verb = ("fdel", "deleter") if item is MISSING else ("fset", "setter")
        function = descriptor_part(context, stored, accessor)
        if function is None:
            throw(context, AttributeError, f"property '{name}' of '{cls.__qualname__}' object has no {verb}")
        context.machine.call(context, function, args)
        return True
    hook, other = ("__delete__", "__set__") if item is MISSING else ("__set__", "__delete__")
    setter = class_attribute(context, kind, hook)
    if setter is MISSING and class_attribute(context, kind, other) is not MISSING:
        throw(context, AttributeError, hook)  # a data descriptor all the same
    if setter is not MISSING:
        call_stored(context, setter, plain_class_attribute(context, stored, cls, name), hook, args)
    return setter is not MISSING


def _set_slot(context: Context, target: ObjectValue, name: str, item: Item, stored: Any) -> None:
    if isinstance(target, TensorValue):
        target.set(context, name, item)
    elif isinstance(target, ExceptionValue) and issubclass(stored.__objclass__, BaseException) and is_builtin(stored):
        write_field(context, target, name, item)
    elif type(stored) is types.MemberDescriptorType and not is_builtin(stored):
        if item is MISSING and slot_attribute(context, target, name, stored) is MISSING:
            throw(context, AttributeError, name)
        target.write_field(context, name, item)
    elif name == "default_factory":
        target.write_field(context, name, item)
    else:
        context.stop(UNSUPPORTED_MUTATION, f"{target.cls.__name__}.{name} is set")


def _set_raw_attribute(context: Context, target: Any, name: str, item: Item) -> None:
    if isinstance(target, type) and target.__flags__ & IMMUTABLE_TYPE:
        host(context, setattr, target, name, None)  # CPython refuses it, in its own words
    elif not isinstance(target, (type, types.FunctionType, types.ModuleType)):
        _refuse_attribute(context, target, class_of(target), name)
    elif isinstance(target, type) and native_setter(type(target)) is not type:
        context.stop(UNSUPPORTED_MUTATION, f"{target.__name__}.{name} is set as its metaclass of C does it")
    elif isinstance(target, type) and target in context.born and name not in FIXED:
        set_name(context, target, name, item, get_attribute)
    elif (stored := class_attribute(context, type(target), name)) is not MISSING or name.startswith("__"):
        sets = isinstance(target, types.ModuleType) and not name.startswith("__")
        if not sets or not _set_by_descriptor(context, target, type(target), name, item, stored):
            context.stop(UNSUPPORTED_MUTATION, f"{target.__name__}.{name} is set")
    else:
        set_name(context, target, name, item, get_attribute)


def _refuse_attribute(context: Context, target: Item, cls: type, name: str) -> NoReturn:
    """Objects of `cls` have no dictionary to put `name` into."""
    if class_attribute(context, cls, name) is not MISSING:
        throw(context, AttributeError, f"'{cls.__name__}' object attribute '{name}' is read-only")
    where = {"name": name, "obj": target} if SAYS_WHERE_TO_PLACE else {}
    throw(context, AttributeError, NO_PLACE.format(owner=cls.__name__, name=name), **where)
