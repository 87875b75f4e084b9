"""What classes store under a name, as the traced program would find it; each answer is guarded.

Descriptors are handed out as they are: what looking them up on an instance gives is in protocols/descriptors.py.
"""

from __future__ import annotations

import types
import typing
from functools import partial
from typing import Any, Final

from tracer.effects.log import DELETED
from tracer.guards.source import constant
from tracer.values.base import MISSING, Value, class_of, kind_of
from tracer.values.context import Context
from tracer.values.item import Item

HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: classes made by `class` statements; only these can change."""

IMMUTABLE_TYPE = 1 << 8
"""Py_TPFLAGS_IMMUTABLETYPE: classes whose attributes cannot be set, among them some heap types of C."""

METHOD_DESCRIPTORS = (types.MethodDescriptorType, types.WrapperDescriptorType)
SLOT_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)

LAZY_FIELDS: Final = frozenset(
    descriptor
    for kind in ("TypeAliasType", "TypeVar", "ParamSpec", "TypeVarTuple")
    for name in ("__value__", "__bound__", "__constraints__", "__default__")
    if type(descriptor := vars(getattr(typing, kind, object)).get(name)) is types.GetSetDescriptorType
)
"""Fields of C types whose first read runs code of the program: `type` statements, bounds of type parameters."""


def class_attribute(context: Context, cls: type, name: str) -> Item:
    """What the MRO of `cls` stores under `name`, descriptors unapplied; MISSING when nothing does."""
    stored = context.class_attributes.get((cls, name), context)
    if stored is not context:
        return stored
    stored = MISSING
    for owner in cls.__mro__:
        change = context.effects.read(owner, name, MISSING) if context.effects.namespaces else MISSING
        if change is not MISSING and change is not DELETED:
            return change
        if name in owner.__dict__ and change is not DELETED:
            stored = context.born[owner].names[name] if owner in context.born else owner.__dict__[name]
            break
    if cls.__flags__ & HEAP_TYPE:
        if stored is MISSING:
            context.guard(constant(cls), "absent", name)
        else:
            context.guard(constant(cls).child("class attribute", name), "same object", stored)
    context.class_attributes[cls, name] = stored
    return stored


def own_class_attribute(context: Context, cls: type, name: str) -> Item:
    """What `cls` itself stores under `name`, which must be there."""
    change = context.effects.read(cls, name, MISSING)
    if change is not MISSING:
        return change
    if cls in context.born:
        return context.born[cls].names[name]
    stored = cls.__dict__[name]
    if cls.__flags__ & HEAP_TYPE:
        context.guard(constant(cls).child("class attribute", name), "same object", stored)
    return stored


def special(context: Context, item: Item, name: str) -> Item:
    """The special method `name` of the item's class, unbound; MISSING when it has none."""
    return class_attribute(context, kind_of(context, item), name)


def class_name(item: Item) -> str:
    """The name of the item's class, as the messages of C code show it: with its module if it is a class of C."""
    cls = class_of(item)
    is_native = not cls.__flags__ & HEAP_TYPE or cls.__flags__ & IMMUTABLE_TYPE
    return f"{cls.__module__}.{cls.__name__}" if is_native and cls.__module__ != "builtins" else cls.__name__


def is_callable(context: Context, item: Item) -> bool:
    """`callable(item)`."""
    return special(context, item, "__call__") is not MISSING if isinstance(item, Value) else callable(item)


def derives(cls: type, base: type) -> bool:
    """Whether a class has `base` among its bases, whatever its metaclass says of subclasses and of equality."""
    return type.__subclasscheck__(base, cls)


def is_builtin_class(cls: type) -> bool:
    """Whether a class is written in C, so that nothing can change it."""
    return not cls.__flags__ & HEAP_TYPE


GENERIC_SETTERS = (object, BaseException, types.SimpleNamespace, partial)
"""Classes of C that set attributes as the data model says; each has a `__setattr__` of its own."""


def sets_in_its_own_way(cls: type) -> bool:
    """Whether the C code of a class stores attributes where only it finds them, such as threading.local's."""
    return native_setter(cls) not in GENERIC_SETTERS


def native_setter(cls: type) -> type:
    """The class of C whose code sets the attributes of instances of `cls`."""
    setters = (owner.__dict__.get("__setattr__") for owner in cls.__mro__)
    native: Any = next(setter for setter in setters if type(setter) in METHOD_DESCRIPTORS)
    return native.__objclass__


def is_builtin(descriptor: Any) -> bool:
    """Whether a C-level descriptor belongs to a class written in C, and is no slot of the program's own."""
    return "__slots__" not in descriptor.__objclass__.__dict__
