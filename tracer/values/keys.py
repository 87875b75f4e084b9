"""Items as keys of payload dicts and sets, which must find one another as the program's would.

Nothing here knows of dicts and sets themselves.
"""

from __future__ import annotations

import enum
import sys
import types
from typing import Any, NoReturn

import torch

from tracer.guards.source import Source
from tracer.reasons import UNSUPPORTED_OPERATION
from tracer.values.base import LITERALS, SYMBOLS, Lazy, Value, class_of, type_of
from tracer.values.class_attributes import METHOD_DESCRIPTORS, class_attribute, class_name
from tracer.values.concrete import concrete
from tracer.values.context import Context
from tracer.values.functions import NestedFunction
from tracer.values.host import host
from tracer.values.identities import IDENTITY_TYPES
from tracer.values.item import Item
from tracer.values.literal_objects import PLAIN, LiteralObject
from tracer.values.methods import BoundMethod
from tracer.values.missing_keys import is_fixed
from tracer.values.objects import ObjectValue
from tracer.values.protocols.operators import equal
from tracer.values.protocols.special_methods import call_stored
from tracer.values.protocols.truth import tell_apart
from tracer.values.raising import throw
from tracer.values.sets import SetValue
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue, is_constant_tuple, make_tuple
from tracer.values.weak_references import WeakReference

OF_OBJECT = object.__hash__, object.__eq__
"""`__hash__` and `__eq__` of what is known by its identity."""

BUILTIN_HASHES = tuple((cls.__hash__, cls.__eq__) for cls in (object, tuple, frozenset))
"""(`__hash__`, `__eq__`) of classes whose values in payloads hash and compare as the program would."""

LITERAL_HASHES = tuple((cls.__hash__, cls.__eq__) for cls in PLAIN)
"""The same, of the classes that LiteralObject stands for subclasses of."""

WITH_SYMBOLS = frozenset({*SYMBOLS, tuple, torch.Size})
"""Types of raw objects that are, or may hold, symbols: a key is the number that a symbol stands for."""

KEY_LIMIT = 64
"""Objects from outside that a trace puts into dicts and sets: each is guarded to be none of the others."""


def wrap_key(context: Context, key: Any, source: Source | None) -> Item:
    """A dict key or set element: raw, or the value it stands for."""
    cls = type(key)
    if cls in LITERALS or cls in IDENTITY_TYPES or issubclass(cls, type):
        return key
    if cls is tuple and is_constant_tuple(key):
        return key
    if issubclass(cls, enum.Enum) or _is_function_of_c(key):
        return key
    if source is None:
        context.stop(UNSUPPORTED_OPERATION, f"a {cls.__name__} as a key")
    return as_key(context, context.wrap(key, source), stored=True)


def _is_function_of_c(key: Any) -> bool:
    """Whether a key is a function of C bound to nothing of the program: such are told apart by their identity."""
    return isinstance(key, types.BuiltinFunctionType) and isinstance(key.__self__, (type(None), types.ModuleType, type))


def as_key(context: Context, item: Item, stored: bool = False) -> Item:
    """An item as the key of a payload dict. Raises TypeError in the program when unhashable.

    `stored` says that it is a key of a dict from outside which is being read, and not one that the program uses.
    """
    if type(item) is Lazy:
        item = item.realise(context)
    if not isinstance(item, Value):
        item = concrete(context, item) if type(item) in WITH_SYMBOLS else item
        host(context, hash, item)
        return item
    if type(item) is NestedFunction:
        return item.pin(context)
    if isinstance(item, TupleValue):
        for position, part in enumerate(item.all(context)):
            item.items[position] = as_key(context, part)
        raw = make_tuple(item.items)
        if item.cls is tuple and not isinstance(raw, Value):
            return raw
    elif isinstance(item, SetValue) and item.cls is frozenset:
        payload = item.all(context)
        return item if any(isinstance(part, Value) for part in payload) else host(context, frozenset, payload)
    elif isinstance(item, TensorValue):
        return _known_by_identity(context, item, stored)
    elif isinstance(item, BoundMethod):
        return item
    elif isinstance(item, WeakReference):
        return _reference(context, item, stored)
    method = class_attribute(context, item.cls, "__hash__")
    if method is None:
        throw(context, TypeError, f"unhashable type: '{class_name(item)}'")
    hashes_and_compares = method, class_attribute(context, item.cls, "__eq__")
    if isinstance(item, LiteralObject) and hashes_and_compares in LITERAL_HASHES:
        return item
    if hashes_and_compares in BUILTIN_HASHES:
        return _known_by_identity(context, item, stored)
    if (
        not isinstance(item, ObjectValue)
        or isinstance(item, (TupleValue, SetValue))
        or class_of(method) in METHOD_DESCRIPTORS
    ):
        context.stop(UNSUPPORTED_OPERATION, f"a {item.cls.__name__} with a hash of its own as a key")
    return _hashed(context, item, method)


def _reference(context: Context, item: WeakReference, stored: bool) -> WeakReference:
    """A weak reference, which hashes and compares like what it refers to: a break unless that is known by identity."""
    target = item.referent
    cls = type_of(context, target)
    if (
        target is None
        or (class_attribute(context, cls, "__hash__"), class_attribute(context, cls, "__eq__")) != OF_OBJECT
    ):
        context.stop(UNSUPPORTED_OPERATION, "a weak reference as a key, to what has a hash of its own or is gone")
    if isinstance(target, Value):
        _known_by_identity(context, target, stored)
    return item


def _known_by_identity(context: Context, item: Value, stored: bool) -> Value:
    """A key that is itself: that it is none of the other keys from outside is guarded.

    Which objects are the keys of a dict from outside is guarded already: they need not be told apart from each other,
    and from those that the program brings from elsewhere only where a look-up fails (`guard_missing`).
    """
    if item.source is None:
        return item
    fixed = is_fixed(item.source)
    keys = context.keyed_fixed if fixed else context.keyed
    if id(item) in keys or (fixed and stored):
        return item
    if not fixed and len(keys) == KEY_LIMIT:
        context.stop(UNSUPPORTED_OPERATION, f"more than {KEY_LIMIT} objects from outside as keys")
    others = context.keyed.values() if fixed else (*context.keyed.values(), *context.keyed_fixed.values())
    for other in others:
        tell_apart(context, item, other)
    keys[id(item)] = item
    return item


def _hashed(context: Context, item: ObjectValue, method: Item) -> Item:
    """A key with a hash of its own: payloads take it for the first equal one of the trace.

    So its methods are not called as often, and with the same objects, as by CPython: they may change nothing.
    """
    watch, context.effects.watch = context.effects.watch, lambda changed: _refuse_change(context, item)
    try:
        return _numbered(context, item, method)
    finally:
        context.effects.watch = watch


def _refuse_change(context: Context, item: Value) -> NoReturn:
    context.stop(UNSUPPORTED_OPERATION, f"a {item.cls.__name__} whose __hash__ or __eq__ changes something as a key")


def _numbered(context: Context, item: ObjectValue, method: Item) -> Item:
    number = concrete(context, call_stored(context, method, item, "__hash__"))
    if not isinstance(number, int):
        throw(context, TypeError, "__hash__ method should return an integer")
    number = int(number) if -sys.maxsize <= number <= sys.maxsize else hash(number)
    number = -2 if number == -1 else number
    if item.hash not in (None, number):
        context.stop(UNSUPPORTED_OPERATION, f"a {item.cls.__name__} whose hash has changed as a key")
    item.hash = number
    alike = context.hashed.setdefault(item.hash, [])
    item.twin = next((other for other in alike if other is not item and equal(context, other, item)), None)
    if item.twin is None and not any(other is item for other in alike):
        alike.append(item)
    return item
