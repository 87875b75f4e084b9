"""Types, attributes and identity: isinstance, getattr, super, id, hash and their like."""

from __future__ import annotations

import abc
import sys
import types
import typing
from typing import Any

import torch

from tracer.guards.source import constant
from tracer.interpret.class_creation import make_class
from tracer.interpret.construct import type_call
from tracer.interpret.numpy_calls import runs_model
from tracer.interpret.policy import lookaside, pure, refuse
from tracer.interpret.trace import Trace
from tracer.reasons import TENSOR_IDENTITY, UNSUPPORTED_CALL, UNSUPPORTED_MUTATION, UNSUPPORTED_OPERATION
from tracer.values.base import LITERALS, MISSING, SYMBOLS, Lazy, Value, realise, type_of
from tracer.values.class_attributes import class_attribute, class_name, derives, is_callable, special
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.iterators import (
    END,
)
from tracer.values.lists import ListValue
from tracer.values.literal_objects import LiteralObject
from tracer.values.native_words import NO_INSTANCE, NO_SUBTYPE
from tracer.values.numpy_arrays import ARRAY, NumpyArray
from tracer.values.objects import ObjectValue
from tracer.values.of_process import note_address, note_hash, note_registration
from tracer.values.protocols.attribute_names import attribute_name
from tracer.values.protocols.attribute_writes import set_attribute
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.iteration import unpack
from tracer.values.protocols.kept_elsewhere import ELSEWHERE
from tracer.values.protocols.optional_attributes import optional_attribute
from tracer.values.protocols.special_methods import call_special, call_stored, is_of_program
from tracer.values.protocols.truth import truth
from tracer.values.raising import throw
from tracer.values.super_objects import SuperValue
from tracer.values.tensor_subclasses import SubclassTensor
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue
from tracer.values.wrapper_tensors import WrapperTensor

pure(type.__repr__, type.__or__, type.__ror__, type.__subclasscheck__)
refuse(UNSUPPORTED_MUTATION, type.__setattr__, type.__delattr__)


@lookaside(type, lazy=True)
def _type(trace: Trace, item: Item, /, *rest: Item, **kwargs: Item) -> Item:
    if rest or kwargs:
        if len(rest) != 2:
            trace.stop(UNSUPPORTED_CALL, "type() with these arguments")
        bases, namespace = (realise(trace, part) for part in rest)
        return make_class(trace, type, realise(trace, item), bases, namespace, kwargs)
    item = item.realise(trace) if type(item) is Lazy and item.cls is ARRAY else item
    return _seen_class(trace, item) if isinstance(item, NumpyArray) else type_of(trace, item)


def _seen_class(trace: Trace, array: NumpyArray) -> Any:
    """The class that the program sees of an array or number of numpy."""
    seen = array.seen_class()
    if seen is None:
        trace.stop(UNSUPPORTED_OPERATION, "the class of an array without dimensions or a number of numpy")
    return seen


@lookaside(isinstance, lazy=True)
def _isinstance(trace: Trace, item: Item, classes: Item) -> bool:
    item = realise(trace, item) if isinstance(item, Lazy) and not item.is_literal else item
    return _is_instance(trace, item, realise(trace, classes))


def _is_instance(trace: Trace, item: Item, candidate: Item) -> bool:
    """PyObject_IsInstance: of one of a tuple, or by the `__instancecheck__` of the class of `candidate`."""
    cls = type_of(trace, item)
    if cls is candidate:
        return True
    if isinstance(candidate, (tuple, TupleValue)):
        return any(_is_instance(trace, item, realise(trace, part)) for part in unpack(trace, candidate))
    if type(candidate) is types.UnionType:
        return any(_is_instance(trace, item, part) for part in typing.get_args(candidate))
    if isinstance(item, NumpyArray) and isinstance(candidate, type):
        return issubclass(cls if runs_model(trace) else _seen_class(trace, item), candidate)
    if type(candidate) is TENSOR_TYPE:
        return isinstance(item, TensorValue) and _is_legacy_tensor(trace, item, candidate)
    if isinstance(candidate, Value):
        answer = call_special(trace, candidate, "__instancecheck__", item)
        if answer is MISSING:
            trace.stop(UNSUPPORTED_OPERATION, f"isinstance with a {candidate.cls.__name__}")
        return truth(trace, answer)
    if not isinstance(candidate, type):
        if type(special(trace, candidate, "__instancecheck__")) is not types.FunctionType:
            host(trace, isinstance, None, candidate)  # which CPython refuses
        return host(trace, issubclass, cls, candidate)
    if candidate is torch.nn.Parameter or candidate is torch.nn.Buffer:
        mark = PARAMETER_MARKS[candidate]
        return issubclass(cls, candidate) or (
            isinstance(item, TensorValue | SubclassTensor | WrapperTensor)
            and truth(trace, _getattr(trace, item, mark, False))
        )
    check = class_attribute(trace, type(candidate), "__instancecheck__")
    if check is type.__instancecheck__ or check is abc.ABCMeta.__instancecheck__:
        return instance_check(trace, candidate, item)
    return truth(trace, call_stored(trace, check, candidate, "__instancecheck__", [item]))


def _is_legacy_tensor(trace: Trace, item: TensorValue, candidate: Any) -> bool:
    """Whether a tensor is of torch.FloatTensor or the like: asked of an empty one of its type, device and layout."""
    item.touch(trace)
    meta = item.meta
    empty = (0, 0) if meta.layout in COMPRESSED else (0,)
    return isinstance(torch.empty(empty, dtype=meta.dtype, device=meta.device, layout=meta.layout), candidate)


@lookaside(type.__subclasses__)
def _subclasses(trace: Trace, cls: Item) -> Item:
    """The direct subclasses of a class, guarded to be the same ones, as a class statement elsewhere adds to them."""
    classes = type.__subclasses__(cls) if isinstance(cls, type) else None
    if classes is None or len(classes) > MOST_SUBCLASSES:
        trace.stop(UNSUPPORTED_CALL, f"type.__subclasses__ of {cls!r}")
    source = constant(cls).child("subclasses")
    trace.guard(source, "length", len(classes))
    return ListValue(list, [trace.wrap(child, source.child("index", i)) for i, child in enumerate(classes)])


MOST_SUBCLASSES = 100
"""So many subclasses a class may have for its guards to cost less than what they save."""

PARAMETER_MARKS = {torch.nn.Parameter: "_is_param", torch.nn.Buffer: "_is_buffer"}
"""Attributes by which a tensor of another class counts as an instance."""

TENSOR_TYPE: Any = type(torch.FloatTensor)
COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)


@lookaside(type.__instancecheck__)
def instance_check(trace: Trace, candidate: Item, item: Item) -> bool:
    """Whether the class of `item`, or what its `__class__` says, is a subclass of `candidate`."""
    cls = type_of(trace, item)
    if _is_subclass(trace, cls, candidate):
        return True
    is_its_own = not any("__class__" in owner.__dict__ for owner in cls.__mro__[:-1])
    if is_its_own and not issubclass(cls, ELSEWHERE) and not is_of_program(trace, item, "__getattribute__"):
        return False
    claimed = _getattr(trace, item, "__class__", cls)
    return isinstance(claimed, type) and claimed is not cls and _is_subclass(trace, claimed, candidate)


@lookaside(issubclass)
def _issubclass(trace: Trace, cls: Item, candidate: Item) -> bool:
    """PyObject_IsSubclass: of one of a tuple, or by the `__subclasscheck__` of the class of `candidate`."""
    if isinstance(candidate, (tuple, TupleValue)):
        return any(_issubclass(trace, cls, realise(trace, part)) for part in unpack(trace, candidate))
    if type(candidate) is types.UnionType:
        return any(_issubclass(trace, cls, part) for part in typing.get_args(candidate))
    check = special(trace, candidate, "__subclasscheck__")
    is_type = isinstance(candidate, type)
    if isinstance(candidate, Value) or (is_type and check not in SUBCLASS_CHECKS):
        if check is MISSING:
            trace.stop(UNSUPPORTED_OPERATION, f"issubclass with a {class_name(candidate)}")
        return truth(trace, call_stored(trace, check, candidate, "__subclasscheck__", [cls]))
    if isinstance(cls, Value):
        trace.stop(UNSUPPORTED_OPERATION, f"issubclass of a {class_name(cls)}")
    answer = host(trace, issubclass, cls, candidate)
    if not answer and is_type and type(candidate) is not type:
        _guard_virtual_subclasses(trace, cls, candidate)
    elif answer and is_type and not derives(cls, candidate):
        _note_virtual_subclass(trace, cls, candidate)
    return answer


def _guard_virtual_subclasses(trace: Trace, cls: type, candidate: type) -> None:
    """Assume that no class has been registered with an abstract class of the program's since."""
    if candidate.__module__.partition(".")[0] not in sys.stdlib_module_names:
        trace.guard(constant(abc.get_cache_token).child("call", None), "equal", abc.get_cache_token())
    _note_virtual_subclass(trace, cls, candidate)


def _note_virtual_subclass(trace: Trace, cls: type, candidate: type) -> None:
    """Note that registrations, or the program's `__subclasshook__`, told whether one class is a subclass of another."""
    note_registration(trace, cls)
    note_registration(trace, candidate)


def _is_subclass(trace: Trace, cls: type, candidate: Any) -> bool:
    """What `type.__instancecheck__` and `ABCMeta.__instancecheck__` ask."""
    if isinstance(candidate, abc.ABCMeta):
        if type(candidate) is PROTOCOL_META:
            answer = host(trace, abc.ABCMeta.__subclasscheck__, candidate, cls)  # typing lets abc ask of any protocol
            if not answer:
                _guard_virtual_subclasses(trace, cls, candidate)
            elif not derives(cls, candidate):
                _note_virtual_subclass(trace, cls, candidate)
            return answer
        return _issubclass(trace, cls, candidate)
    return derives(cls, candidate)


PROTOCOL_META: Any = type(typing.Protocol)
SUBCLASS_CHECKS = (type.__subclasscheck__, abc.ABCMeta.__subclasscheck__, PROTOCOL_META.__subclasscheck__)
"""What CPython's own classes ask. That of protocols looks, from 3.12 on, at who asks: a program, or abc for another."""


@lookaside(type.__call__)
def _type_call(trace: Trace, cls: Item, /, *args: Item, **kwargs: Item) -> Item:
    return type_call(trace, cls, args, kwargs)


@lookaside(callable)
def _callable(trace: Trace, item: Item) -> bool:
    return is_callable(trace, item)


@lookaside(id)
def _id(trace: Trace, item: Item) -> Item:
    item = realise(trace, item)
    if isinstance(item, ObjectValue) and item.object is not MISSING and item.source is not None:
        trace.guard(item.source, "same object", item.object)
        note_address(trace)
        return id(item.object)
    is_literal = type(item) in LITERALS or type(item) in SYMBOLS
    if not isinstance(item, Value) and not is_literal and id(item) not in trace.born.parts:
        note_address(trace)
        return id(item)
    trace.stop(TENSOR_IDENTITY, f"id() of a {class_name(item)}")


@lookaside(hash)
def _hash(trace: Trace, item: Item) -> Item:
    key = trace.key(item)
    if id(key) in trace.born.parts:
        trace.stop(TENSOR_IDENTITY, f"hash() of {key!r}, of which each call makes its own")
    note_hash(trace, key)
    if not isinstance(key, Value):
        return hash(key)
    if isinstance(key, LiteralObject) or (isinstance(key, ObjectValue) and key.hash is not None):
        return hash(key)
    if isinstance(key, TupleValue) and not any(isinstance(part, Value) for part in key.items):
        return hash(key)
    trace.stop(TENSOR_IDENTITY, f"hash() of a {class_name(key)}")


@lookaside(getattr, lazy=True)
def _getattr(trace: Trace, item: Item, name: Item, default: Item = MISSING) -> Item:
    name = attribute_name(trace, name)
    if default is MISSING:
        return get_attribute(trace, item, name)
    return optional_attribute(trace, item, name, default)


@lookaside(hasattr, lazy=True)
def _hasattr(trace: Trace, item: Item, name: Item) -> bool:
    return _getattr(trace, item, name, END) is not END


@lookaside(setattr, lazy=True)
def _setattr(trace: Trace, item: Item, name: Item, value: Item) -> None:
    set_attribute(trace, item, attribute_name(trace, name), value)


@lookaside(delattr)
def _delattr(trace: Trace, item: Item, name: Item) -> None:
    set_attribute(trace, item, attribute_name(trace, name), MISSING)


@lookaside(vars)
def _vars(trace: Trace, item: Item) -> Item:
    dictionary = _getattr(trace, item, "__dict__", END)
    if dictionary is END:
        throw(trace, TypeError, "vars() argument must have __dict__ attribute")
    return dictionary


@lookaside(super)
def _super(trace: Trace, *args: Item) -> Item:
    if not args:
        start, instance = _arguments_of_super(trace)
    elif len(args) <= 2:
        start, instance = args if len(args) == 2 else (*args, None)
    else:
        throw(trace, TypeError, f"super() expected at most 2 arguments, got {len(args)}")
    start = start.realise(trace) if type(start) is Lazy else start
    instance = instance.realise(trace) if type(instance) is Lazy else instance
    if not isinstance(start, type):
        throw(trace, TypeError, f"super() argument 1 must be a type, not {class_name(start)}")
    if instance is None:
        trace.stop(UNSUPPORTED_CALL, "super() of one argument")
    if isinstance(instance, type) and derives(instance, start):
        return SuperValue(start, instance, instance)
    owner = instance.cls if isinstance(instance, Value) else type_of(trace, instance)
    if not type.__subclasscheck__(start, owner):  # whatever their metaclass says
        owner = _getattr(trace, instance, "__class__", owner)
        if not isinstance(owner, type) or not derives(owner, start):
            is_class = isinstance(instance, type)
            words, shown = (NO_SUBTYPE, instance.__name__) if is_class else (NO_INSTANCE, class_name(instance))
            throw(trace, TypeError, words.format(start=start.__name__, owner=shown))
    return SuperValue(start, instance, owner)


def _arguments_of_super(trace: Trace) -> tuple[Item, Item]:
    """What `super()` takes from the function that calls it."""
    frame = trace.frame
    assert frame is not None
    names = frame.code.slot_names
    if not frame.code.argument_count:
        throw(trace, RuntimeError, "super(): no arguments")
    instance = frame.slots[0].read(trace) if 0 in frame.code.cell_slots else frame.slots[0]
    if instance is MISSING:
        throw(trace, RuntimeError, "super(): arg[0] deleted")
    if "__class__" not in names:
        throw(trace, RuntimeError, "super(): __class__ cell not found")
    start = frame.slots[names.index("__class__")].read(trace)
    if start is MISSING:
        throw(trace, RuntimeError, "super(): empty __class__ cell")
    return start, instance


@lookaside(object)
def _object(trace: Trace) -> Item:
    return ObjectValue(object)
