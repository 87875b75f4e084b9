"""Types, attributes and identity: isinstance, getattr, super, id, hash and their like."""

from __future__ import annotations

import types
import typing
from typing import Any

import torch

from tracer.interpret.call import call
from tracer.interpret.construct import type_call
from tracer.interpret.library.torch.tensor import LEGACY_TENSORS
from tracer.interpret.policy import lookaside, pure, refuse
from tracer.interpret.trace import Trace
from tracer.reasons import TENSOR_IDENTITY, UNSUPPORTED_CALL, UNSUPPORTED_MUTATION, UNSUPPORTED_OPERATION
from tracer.values.base import LITERALS, MISSING, SYMBOLS, Lazy, Value, realise, type_of
from tracer.values.class_attributes import class_attribute, class_name, special
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.iterators import (
    END,
)
from tracer.values.objects import ObjectValue
from tracer.values.protocols.attributes import get_attribute, set_attribute
from tracer.values.protocols.truth import truth
from tracer.values.raising import Raised, throw
from tracer.values.super_objects import SuperValue
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue

pure(issubclass, type.__repr__, type.__or__, type.__ror__, type.__instancecheck__, type.__subclasscheck__)
refuse(UNSUPPORTED_MUTATION, type.__setattr__, type.__delattr__)


@lookaside(type, lazy=True)
def _type(trace: Trace, item: Item, *rest: Item, **kwargs: Item) -> Item:
    if rest or kwargs:
        trace.stop(UNSUPPORTED_CALL, "type() with three arguments")
    return type_of(trace, item)


@lookaside(isinstance, lazy=True)
def _isinstance(trace: Trace, item: Item, classes: Item) -> bool:
    item = realise(trace, item) if isinstance(item, Lazy) and item.cls not in LITERALS else item
    classes = _classes(trace, classes)
    cls = type_of(trace, item)
    return any(_is_instance(trace, item, cls, candidate) for candidate in _flat(classes))


def _classes(trace: Trace, classes: Item) -> Any:
    """The second argument of isinstance (classes, unions, nested tuples of them) as real objects."""
    classes = realise(trace, classes)
    if isinstance(classes, TupleValue):
        return tuple(_classes(trace, part) for part in classes.all(trace))
    if isinstance(classes, Value):
        trace.stop(UNSUPPORTED_OPERATION, f"isinstance with a {classes.cls.__name__}")
    return classes


def _flat(classes: Any) -> list[Any]:
    if isinstance(classes, tuple):
        return [each for part in classes for each in _flat(part)]
    return _flat(typing.get_args(classes)) if isinstance(classes, types.UnionType) else [classes]


def _is_instance(trace: Trace, item: Item, cls: type, candidate: Any) -> bool:
    """`isinstance(item, candidate)` of one class: by the `__instancecheck__` of its metaclass, if that has one."""
    if cls is candidate:
        return True
    if candidate in LEGACY_TENSORS:
        return isinstance(item, TensorValue) and cls is torch.Tensor and LEGACY_TENSORS[candidate] is item.meta.dtype
    if not isinstance(candidate, type):
        host(trace, isinstance, None, candidate)
        return host(trace, issubclass, cls, candidate)
    if candidate is torch.nn.Parameter or candidate is torch.nn.Buffer:
        return False
    check = type(candidate).__instancecheck__
    if type(check) is types.FunctionType and check.__module__ not in HOST_CHECKS:
        return truth(
            trace, call(trace, class_attribute(trace, type(candidate), "__instancecheck__"), [candidate, item])
        )
    try:
        if host(trace, issubclass, cls, candidate):
            return True
    except Raised:
        trace.stop(UNSUPPORTED_OPERATION, f"isinstance with the protocol {candidate.__name__}")
    if not any("__class__" in owner.__dict__ for owner in cls.__mro__[:-1]):
        return False
    claimed = get_attribute(trace, item, "__class__")
    return isinstance(claimed, type) and host(trace, issubclass, claimed, candidate)


HOST_CHECKS = frozenset({"abc", "typing", "torch.nn.parameter"})
"""Modules whose `__instancecheck__` only calls `issubclass` on the class of the instance."""


@lookaside(type.__call__)
def _type_call(trace: Trace, cls: Item, *args: Item, **kwargs: Item) -> Item:
    return type_call(trace, cls, args, kwargs)


@lookaside(callable)
def _callable(trace: Trace, item: Item) -> bool:
    item = realise(trace, item)
    return callable(item) if not isinstance(item, Value) else special(trace, item, "__call__") is not MISSING


@lookaside(id)
def _id(trace: Trace, item: Item) -> Item:
    item = realise(trace, item)
    if isinstance(item, ObjectValue) and item.object is not MISSING and item.source is not None:
        trace.guard(item.source, "same object", item.object)
        return id(item.object)
    if not isinstance(item, Value) and type(item) not in LITERALS and type(item) not in SYMBOLS:
        return id(item)
    trace.stop(TENSOR_IDENTITY, f"id() of a {class_name(item)}")


@lookaside(hash)
def _hash(trace: Trace, item: Item) -> Item:
    key = trace.key(item)
    if not isinstance(key, Value):
        return hash(key)
    if isinstance(key, ObjectValue) and key.hash is not None:
        return key.hash
    if isinstance(key, TupleValue) and not any(isinstance(part, Value) for part in key.items):
        return hash(key)
    trace.stop(TENSOR_IDENTITY, f"hash() of a {class_name(key)}")


def _attribute_name(trace: Trace, name: Item) -> str:
    name = realise(trace, name)
    if not isinstance(name, str):
        throw(trace, TypeError, f"attribute name must be string, not '{class_name(name)}'")
    return name


@lookaside(getattr, lazy=True)
def _getattr(trace: Trace, item: Item, name: Item, default: Item = MISSING) -> Item:
    name = _attribute_name(trace, name)
    if default is MISSING:
        return get_attribute(trace, item, name)
    try:
        return get_attribute(trace, item, name)
    except Raised as raised:
        if not issubclass(raised.value.cls, AttributeError):
            raise
        return default


@lookaside(hasattr, lazy=True)
def _hasattr(trace: Trace, item: Item, name: Item) -> bool:
    return _getattr(trace, item, name, END) is not END


@lookaside(setattr, lazy=True)
def _setattr(trace: Trace, item: Item, name: Item, value: Item) -> None:
    set_attribute(trace, item, realise(trace, name), value)


@lookaside(delattr)
def _delattr(trace: Trace, item: Item, name: Item) -> None:
    set_attribute(trace, item, realise(trace, name), MISSING)


@lookaside(vars)
def _vars(trace: Trace, item: Item) -> Item:
    return get_attribute(trace, item, "__dict__")


@lookaside(super)
def _super(trace: Trace, *args: Item) -> Item:
    if args:
        start, instance = (realise(trace, arg) for arg in args)
    else:
        frame = trace.frame
        assert frame is not None
        start = frame.slots[frame.code.slot_names.index("__class__")].read(trace)
        instance = frame.slots[0]
        if 0 in frame.code.cell_slots:
            instance = instance.read(trace)
        instance = realise(trace, instance)
    owner = instance if isinstance(instance, type) and issubclass(instance, start) else type_of(trace, instance)
    if not issubclass(owner, start):
        throw(trace, TypeError, "super(type, obj): obj must be an instance or subtype of type")
    return SuperValue(start, instance, owner)


@lookaside(object)
def _object(trace: Trace) -> Item:
    return ObjectValue(object)
