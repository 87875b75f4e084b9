"""`container[key]`, its assignment and deletion, and `item in container`."""

from __future__ import annotations

import operator
import sys
from collections import deque
from typing import Any

from tracer.reasons import DATA_DEPENDENT_INDEX, UNSUPPORTED_OPERATION
from tracer.values.base import LITERALS, MISSING, Lazy, Value, class_of, realise
from tracer.values.class_attributes import class_attribute, class_name, special
from tracer.values.context import Context
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.iterators import END, next_item
from tracer.values.lists import ListValue
from tracer.values.literal_objects import LiteralObject, plain
from tracer.values.protocols.iteration import iterate
from tracer.values.protocols.length import index_of
from tracer.values.protocols.operators import equal
from tracer.values.protocols.special_methods import call_special, call_stored, is_of_program
from tracer.values.protocols.truth import truth
from tracer.values.raising import Raised, throw
from tracer.values.sequences import SequenceValue
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue, make_tuple


def get_item(context: Context, container: Item, key: Item) -> Item:
    """`container[key]`."""
    kind = type(container)
    if kind is Lazy:
        return get_item(context, container.realise(context), key)
    if type(key) is Lazy:
        key = key.realise(context)
    if kind is ListValue or kind is TupleValue:
        if container.cls in (list, tuple):
            return sequence_item(context, container, key)
    elif kind is TensorValue:
        return context.machine.tensor_op(context, operator.getitem, (container, key))
    if not isinstance(container, Value) and not is_of_program(context, container, "__getitem__"):
        return (
            _class_item(context, container, key) if isinstance(container, type) else _raw_item(context, container, key)
        )
    if isinstance(container, LiteralObject) and not is_of_program(context, container, "__getitem__"):
        return get_item(context, container.payload, key)
    answer = call_special(context, container, "__getitem__", key)
    if answer is MISSING:
        throw(context, TypeError, f"'{class_name(container)}' object is not subscriptable")
    return answer


def _raw_item(context: Context, container: Any, key: Item) -> Item:
    """Of a string, a raw tuple, a special form of typing: by CPython itself."""
    if type(key) is TensorValue and isinstance(container, (tuple, str, range)):
        context.stop(DATA_DEPENDENT_INDEX, key.meta.text)
    key = _raw_key(context, container, key)
    return host(context, operator.getitem, container, _parameter(context, container, key))


def _raw_key(context: Context, container: Any, key: Item) -> Any:
    """The key for an item of a string, a raw tuple and the like."""
    if type(key) is slice:
        return slice(*(slice_bound(context, bound) for bound in (key.start, key.stop, key.step)))
    is_number = isinstance(container, (tuple, str, bytes, range)) and special(context, key, "__index__") is not MISSING
    return _position(context, key) if is_number else key


def _position(context: Context, key: Item) -> Any:
    """A key as a position in a sequence, which C keeps in 64 bits."""
    position = index_of(context, key)
    if type(position) is int and not -sys.maxsize - 1 <= position <= sys.maxsize:
        throw(context, IndexError, f"cannot fit '{class_name(key)}' into an index-sized integer")
    return position


def _parameter(context: Context, container: Any, key: Item) -> Any:
    """The real key for an item that CPython reads: a raw object, or what a form of typing is given, `[int], T`."""
    key = realise(context, key)
    if not isinstance(key, Value):
        return key
    if type(container) in LITERALS or not isinstance(key, (TupleValue, ListValue)) or key.cls not in (tuple, list):
        name = container.__name__ if isinstance(container, type) else class_name(container)
        context.stop(UNSUPPORTED_OPERATION, f"{name}[{key!r}]")
    return key.cls([_parameter(context, container, part) for part in key.all(context)])


def _class_item(context: Context, cls: type, key: Item) -> Item:
    """`Generic[T]`, `list[int]`: by the `__class_getitem__` of the program, or of CPython itself."""
    stored = class_attribute(context, cls, "__class_getitem__")
    is_of_typing = isinstance(stored, classmethod) and stored.__func__.__module__ == "typing"
    if class_of(stored) is classmethod and not is_of_typing:
        return context.machine.call(
            context, context.machine.bind(context, stored, None, cls, "__class_getitem__"), [key]
        )
    return host(context, operator.getitem, cls, _parameter(context, cls, key))


def sequence_item(context: Context, container: SequenceValue, key: Item) -> Item:
    """list.__getitem__, tuple.__getitem__ and deque.__getitem__."""
    key = subscript(context, container, key)
    if isinstance(key, slice):
        items = host(context, operator.getitem, container.all(context), key)
        return make_tuple(items) if isinstance(container, TupleValue) else ListValue(list, items)
    size = len(container.open(context))
    position = int(key)
    if not -size <= position < size:
        throw(context, IndexError, f"{_kind_of(container)} index out of range")
    return container.read(context, position % size)


def _kind_of(container: SequenceValue) -> str:
    return next(kind.__name__ for kind in (tuple, list, deque) if issubclass(container.cls, kind))


def subscript(context: Context, container: SequenceValue, key: Item) -> Any:
    """The key of a sequence: an int, or a slice of ints (not for a deque)."""
    key = realise(context, key)
    if isinstance(key, slice) and not issubclass(container.cls, deque):
        return slice(*(slice_bound(context, bound) for bound in (key.start, key.stop, key.step)))
    if special(context, key, "__index__") is MISSING and type(key) is not TensorValue:
        kind = _kind_of(container)
        message = f"sequence index must be integer, not '{class_name(key)}'"
        if kind != "deque":
            message = f"{kind} indices must be integers or slices, not {class_name(key)}"
        throw(context, TypeError, message)
    return _position(context, key)


def slice_bound(context: Context, bound: Item) -> Any:
    """One part of a slice: None, or an int."""
    bound = realise(context, bound)
    if bound is None or type(bound) in LITERALS:
        return bound
    if special(context, bound, "__index__") is MISSING:
        throw(context, TypeError, "slice indices must be integers or None or have an __index__ method")
    return index_of(context, bound)


def set_item(context: Context, container: Item, key: Item, item: Item) -> None:
    """`container[key] = item`; MISSING as item deletes."""
    container = container.realise(context) if type(container) is Lazy else container
    key = key.realise(context) if type(key) is Lazy else key
    if type(container) is TensorValue:
        item = item.realise(context) if type(item) is Lazy else item
        context.machine.tensor_op(context, operator.setitem, (container, key, item))
        return
    name = "__delitem__" if item is MISSING else "__setitem__"
    args = [key] if item is MISSING else [key, item]
    if call_special(context, container, name, *args) is MISSING:
        what = "deletion" if item is MISSING else "assignment"
        throw(context, TypeError, f"'{class_name(container)}' object does not support item {what}")


def contains(context: Context, container: Item, item: Item) -> bool:
    """`item in container`."""
    container = container.realise(context) if type(container) is Lazy else container
    item = item.realise(context) if type(item) is Lazy else item
    if isinstance(container, (str, bytes)):
        item = plain(item)
    method = special(context, container, "__contains__")
    if method is None:
        throw(context, TypeError, f"'{class_name(container)}' object is not a container")
    if isinstance(container, (Value, frozenset)) or is_of_program(context, container, "__contains__"):
        if method is not MISSING:
            return truth(context, call_stored(context, method, container, "__contains__", [item]))
    elif not isinstance(item, Value):
        return host(context, operator.contains, container, item)
    elif isinstance(container, str):
        throw(context, TypeError, f"'in <string>' requires string as left operand, not {class_name(item)}")
    try:
        iterator = iterate(context, container)
    except Raised as raised:
        if not issubclass(raised.value.cls, TypeError):
            raise
        throw(context, TypeError, f"argument of type '{class_name(container)}' is not iterable")
    while (candidate := next_item(context, iterator)) is not END:
        if equal(context, candidate, item):
            return True
    return False
