"""`iter` and unpacking."""

from __future__ import annotations

import enum
import types
from typing import Any

from tracer.values.base import LITERALS, MISSING, Lazy, Value, class_of, realise
from tracer.values.class_attributes import class_name, special
from tracer.values.context import Context
from tracer.values.dict_views import DictView
from tracer.values.dicts import DictValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.items_iterators import ItemsIterator
from tracer.values.iterators import END, IteratorValue, next_item
from tracer.values.lists import ListValue
from tracer.values.literal_objects import LiteralObject
from tracer.values.numpy_arrays import NumpyArray
from tracer.values.protocols.length import length_hint
from tracer.values.protocols.special_methods import call_stored, is_native, is_of_program
from tracer.values.raising import throw
from tracer.values.sequence_iterators import SequenceIterator
from tracer.values.sequences import SequenceValue
from tracer.values.sets import SetValue
from tracer.values.table_iterators import TableIterator
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue


def iterate(context: Context, item: Item) -> Item:
    """`iter(item)`."""
    kind = type(item)
    if kind is Lazy:
        return iterate(context, item.realise(context))
    if isinstance(item, IteratorValue):
        return item
    if kind not in LITERALS and kind is not tuple:
        if isinstance(item, NumpyArray) and not item.has_no_dimensions:
            return context.machine.call(context, context.machine.polyfill("iterate an array"), [item])
        method = special(context, item, "__iter__")
        if method is None:
            throw(context, TypeError, f"'{class_name(item)}' object is not iterable")
        if method is not MISSING and not is_native(method, class_of(item), "__iter__"):
            if isinstance(item, enum.EnumMeta):
                members: Any = item
                return ItemsIterator(context, types.GeneratorType, list(members))
            return _checked_iterator(context, call_stored(context, method, item, "__iter__"))
        if isinstance(item, Value):
            return _iterate_value(context, item, method)
    iterator = host(context, iter, item)
    return ItemsIterator(context, type(iterator), list(iterator) if not isinstance(item, range) else item)


def _iterate_value(context: Context, item: Value, method: Item) -> Item:
    """By an `__iter__` written in C, or by `__getitem__`."""
    if isinstance(item, LiteralObject):
        return iterate(context, item.payload)
    builtin = builtin_iterator(context, item)
    if builtin is not None:
        return builtin
    if method is not MISSING:
        return _checked_iterator(context, context.machine.call(context, method, [item]))
    if special(context, item, "__getitem__") is not MISSING:
        return context.machine.call(context, context.machine.polyfill("iterate by index"), [item])
    throw(context, TypeError, f"'{class_name(item)}' object is not iterable")


def _checked_iterator(context: Context, iterator: Item) -> Item:
    iterator = realise(context, iterator)
    if not isinstance(iterator, IteratorValue) and special(context, iterator, "__next__") is MISSING:
        throw(context, TypeError, f"iter() returned non-iterator of type '{class_name(iterator)}'")
    return iterator


def builtin_iterator(context: Context, item: Item) -> IteratorValue | None:
    """What the C-level `__iter__` of a builtin container answers."""
    if isinstance(item, SequenceValue):
        return SequenceIterator(context, item)
    if isinstance(item, DictValue):
        return TableIterator(context, item, "keys")
    if isinstance(item, DictView):
        return TableIterator(context, item.dictionary, item.kind)
    if isinstance(item, SetValue):
        return TableIterator(context, item, "elements")
    if isinstance(item, TensorValue):
        return ItemsIterator(context, type(iter([])), item.rows(context))
    return None


def unpack(context: Context, iterable: Item) -> list[Item]:
    """All items of an iterable, as a host list of its own."""
    kind = type(iterable)
    if kind is Lazy:
        return unpack(context, iterable.realise(context))
    if kind in (ListValue, TupleValue) and iterable.cls in (list, tuple):
        return list(iterable.all(context))
    if kind is tuple:
        return list(iterable)
    iterator = iterate(context, iterable)
    items: list[Item] = []
    while (item := next_item(context, iterator)) is not END:
        items.append(item)
    return items


def listed(context: Context, iterable: Item) -> list[Item]:
    """What `list(iterable)` holds. CPython asks for a length hint first, and lets its errors out."""
    iterable = realise(context, iterable)
    kind = type(iterable)
    if kind is tuple or kind in LITERALS or (kind in (ListValue, TupleValue) and iterable.cls in (list, tuple)):
        return unpack(context, iterable)
    iterator = iterate(context, iterable)
    if any(is_of_program(context, iterable, name) for name in ("__len__", "__length_hint__")):
        length_hint(context, iterable, 8)
    return unpack(context, iterator)
