"""`len` and `operator.index`: the sizes of containers, and items as integers."""

from __future__ import annotations

import sys
from typing import Any

import torch

from tracer.reasons import DATA_DEPENDENT_INDEX, UNSUPPORTED_OPERATION, WARNING
from tracer.values.base import LITERALS, MISSING, Lazy, Value, realise, type_of
from tracer.values.class_attributes import class_name, special
from tracer.values.context import Context
from tracer.values.dict_views import DictView
from tracer.values.dicts import DictValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.literal_objects import LiteralObject, plain
from tracer.values.protocols.special_methods import call_special, is_of_program
from tracer.values.raising import Raised, throw
from tracer.values.sequences import SequenceValue
from tracer.values.sets import SetValue
from tracer.values.shapes import anew
from tracer.values.tensors import TensorValue


def length(context: Context, item: Item) -> Item:
    """`len(item)`."""
    kind = type(item)
    if kind is Lazy:
        return length(context, item.realise(context))
    if kind in LITERALS or kind is tuple:
        return host(context, len, item)
    if is_of_program(context, item, "__len__"):
        return _sensible_length(context, call_special(context, item, "__len__"))
    return builtin_length(context, item) if isinstance(item, Value) else host(context, len, item)


def _sensible_length(context: Context, answer: Item) -> Item:
    """What a `__len__` of the program's own answered, checked as `len` does."""
    size = index_of(context, answer)
    if type(size) is int and not 0 <= size <= sys.maxsize:
        if size < 0:
            throw(context, ValueError, "__len__() should return >= 0")
        throw(context, OverflowError, "cannot fit 'int' into an index-sized integer")
    return size


def builtin_length(context: Context, item: Item) -> Item:
    """What the C-level `__len__` of a builtin container answers."""
    if isinstance(item, SequenceValue):
        return len(item.open(context))
    if isinstance(item, LiteralObject):
        return host(context, len, item.payload)
    if isinstance(item, DictView):
        item = item.dictionary
    if isinstance(item, (DictValue, SetValue)):
        if not item.complete and item.source is not None and item.has_kept_its_size(context):
            kind: Any = next(kind for kind in (dict, set, frozenset) if issubclass(item.cls, kind))
            size = kind.__len__(item.object)
            context.guard(item.source, "length", size)
            return size
        return len(item.all(context))
    if isinstance(item, TensorValue):
        if not item.meta.shape:
            throw(context, TypeError, "len() of a 0-d tensor")
        item.touch(context)
        return anew(item.meta.shape[0])
    if special(context, item, "__len__") is not MISSING:
        context.stop(UNSUPPORTED_OPERATION, f"len() of a {class_name(item)}")
    throw(context, TypeError, f"object of type '{class_name(item)}' has no len()")


def index_of(context: Context, item: Item) -> Any:
    """`operator.index(item)`."""
    item = plain(realise(context, item))
    if type(item) is TensorValue:
        context.stop(DATA_DEPENDENT_INDEX, item.meta.text)
    if type(item) is int or type(item) is torch.SymInt:
        return item
    if isinstance(item, int):
        return int.__index__(item)
    answer = call_special(context, item, "__index__")
    if answer is MISSING:
        throw(context, TypeError, f"'{class_name(item)}' object cannot be interpreted as an integer")
    answer = realise(context, answer)
    if type_of(context, answer) is int:
        return answer
    if not issubclass(type_of(context, answer), int):
        throw(context, TypeError, f"__index__ returned non-int (type {class_name(answer)})")
    context.stop(WARNING, f"__index__ returned non-int (type {class_name(answer)})")


def length_hint(context: Context, item: Item, default: Any) -> Any:
    """`operator.length_hint(item, default)`, as whatever makes a list asks it."""
    item = realise(context, item)
    if special(context, item, "__len__") not in (MISSING, None):
        try:
            return length(context, item)
        except Raised as raised:
            if not issubclass(raised.value.cls, TypeError):
                raise
    try:
        hint = call_special(context, item, "__length_hint__")
    except Raised as raised:
        if not issubclass(raised.value.cls, TypeError):
            raise
        return default
    if hint is MISSING or hint is NotImplemented:
        return default
    hint = realise(context, hint)
    if not issubclass(type_of(context, hint), int):
        throw(context, TypeError, f"__length_hint__ must be an integer, not {class_name(hint)}")
    size = index_of(context, hint)
    if size < 0:
        throw(context, ValueError, "__length_hint__() should return >= 0")
    if size > sys.maxsize:
        throw(context, OverflowError, "Python int too large to convert to C ssize_t")
    return size
