"""CPython's protocols (truth, operators, items, iteration), each written once for every kind of item.

Raw operands are left to CPython itself, tensors become graph operators, and anything else goes
through the special methods of its class, as the data model says.
"""

from __future__ import annotations

import enum
import operator
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import torch

from tracer.reasons import DATA_DEPENDENT_INDEX, DATA_DEPENDENT_JUMP, UNSUPPORTED_ITERATOR, UNSUPPORTED_OPERATION
from tracer.values.base import LITERALS, MISSING, NUMPY_SCALARS, Item, Lazy, Value, realise, type_of
from tracer.values.containers import DictValue, ListValue, SequenceValue, SetValue, TupleValue, make_tuple
from tracer.values.functions import BoundMethod
from tracer.values.iterators import (
    END,
    DictView,
    ItemsIterator,
    IteratorValue,
    SequenceIterator,
    TableIterator,
    next_item,
)
from tracer.values.objects import ObjectValue
from tracer.values.operators import BINARY, COMPARE, INPLACE, UNARY
from tracer.values.tensors import TensorValue

if TYPE_CHECKING:
    from tracer.values.context import Context


def special(context: Context, item: Item, name: str) -> Item:
    """The special method `name` of the item's class, unbound; MISSING when it has none."""
    return context.class_attribute(item.cls if isinstance(item, Value) else type(item), name)


def class_name(item: Item) -> str:
    return (item.cls if isinstance(item, Value) else type(item)).__name__


# Truth and identity ----------------------------------------------------------------------------------


def truth(context: Context, item: Item) -> bool:
    """`bool(item)` as the host's bool."""
    kind = type(item)
    if kind is bool:
        return item
    if kind in LITERALS:
        return bool(item)
    if kind is Lazy:
        return truth(context, item.realise(context))
    if kind is TensorValue:
        context.stop(DATA_DEPENDENT_JUMP, item.meta.text)
    if not isinstance(item, Value):
        return True if isinstance(item, type) else context.host(bool, item)
    method = special(context, item, "__bool__")
    if method is not MISSING:
        answer = context.call(method, [item])
        if type(method) is type(truth) and not issubclass(type_of(context, answer), bool):
            context.throw(TypeError, f"__bool__ should return bool, returned {class_name(answer)}")
        return truth(context, answer)
    if (
        isinstance(item, (SequenceValue, DictValue, SetValue, DictView))
        or special(context, item, "__len__") is not MISSING
    ):
        return length(context, item) != 0
    return True


def is_same(context: Context, left: Item, right: Item) -> bool:
    """`left is right`."""
    if left is right:
        return True
    for lazy, other in ((left, right), (right, left)):
        if type(lazy) is Lazy and other is None:
            if lazy.object is None:
                return lazy.realise(context) is None
            context.guard(lazy.source, "type", lazy.cls)
            return False
    if type(left) is Lazy:
        left = left.realise(context)
    if type(right) is Lazy:
        right = right.realise(context)
    if isinstance(left, Value) and isinstance(right, Value) and left is not right:
        tell_apart(context, left, right)
    if isinstance(left, Value) or isinstance(right, Value):
        return left is right or context.same_object(left, right)
    return left is right


def tell_apart(context: Context, left: Value, right: Value) -> None:
    """Guard that two values from outside, different objects now, are so on every call."""
    if left.cls is not right.cls or isinstance(left, BoundMethod) or left.source is right.source:
        return
    if left.source is not None and right.source is not None:
        context.guard(left.source, "not same as", right.source)


# Operators -------------------------------------------------------------------------------------------


def binary(context: Context, function: Any, left: Item, right: Item) -> Item:
    """`function(left, right)` for a row of BINARY or INPLACE."""
    left_kind, right_kind = type(left), type(right)
    if left_kind in LITERALS and right_kind in LITERALS:
        return context.host(function, left, right)
    if left_kind is TensorValue or right_kind is TensorValue:
        if left_kind is Lazy:
            return binary(context, function, left.realise(context), right)
        if right_kind is Lazy:
            return binary(context, function, left, right.realise(context))
        if _tensor_operand(left_kind) and _tensor_operand(right_kind):
            if function in INPLACE and not (left_kind is TensorValue and hasattr(torch.Tensor, INPLACE[function][0])):
                function = INPLACE[function][1]  # nothing is written: `0 += x` in a graph's source would be no Python
            return context.tensor_op(function, (left, right))
    elif left_kind is Lazy:
        return binary(context, function, left.realise(context), right)
    elif right_kind is Lazy:
        return binary(context, function, left, right.realise(context))
    if function in INPLACE:
        name, function, symbol = INPLACE[function]
        method = special(context, left, name)
        if method is not MISSING:
            result = context.call(method, [left, right])
            if result is not NotImplemented:
                return result
    else:
        symbol = BINARY[function][2]
    name, reflected, _ = BINARY[function]
    result = _dispatch(context, left, right, name, reflected)
    if result is NotImplemented:
        context.throw(
            TypeError,
            f"unsupported operand type(s) for {symbol}: '{class_name(left)}' and '{class_name(right)}'",
        )
    return result


def _tensor_operand(kind: type) -> bool:
    return kind is TensorValue or kind in LITERALS or issubclass(kind, NUMPY_SCALARS)


def _dispatch(context: Context, left: Item, right: Item, name: str, reflected: str) -> Item:
    """The two-sided protocol of a binary operator; NotImplemented when neither side knows."""
    left_cls = left.cls if isinstance(left, Value) else type(left)
    right_cls = right.cls if isinstance(right, Value) else type(right)
    attempts = [(left, left_cls, name, right), (right, right_cls, reflected, left)]
    if right_cls is left_cls:
        if name != reflected:
            del attempts[1]
    elif (
        issubclass(right_cls, left_cls)
        and (context.class_attribute(right_cls, reflected) is not context.class_attribute(left_cls, reflected))
    ) or _asks_right_first(context.class_attribute(left_cls, name), context.class_attribute(right_cls, reflected)):
        attempts.reverse()
    for item, cls, method_name, other in attempts:
        method = context.class_attribute(cls, method_name)
        if method is not MISSING and not _declines(item, cls, other):
            result = context.call(method, [item, other])
            if result is not NotImplemented:
                return result
    if name == "__add__" and issubclass(left_cls, (list, tuple)):
        context.throw(
            TypeError, f'can only concatenate {left_cls.__name__} (not "{right_cls.__name__}") to {left_cls.__name__}'
        )
    return NotImplemented


def _declines(item: Item, cls: type, other: Item) -> bool:
    """Whether the operators of a number or tensor are known to give NotImplemented for `other`."""
    if not isinstance(other, ObjectValue) or issubclass(other.cls, (*NUMBERS, torch.Tensor)):
        return False
    if type(item) is TensorValue:
        return not any(hasattr(other.cls, name) for name in TAKEN_BY_TENSORS)
    return cls in NUMBERS


NUMBERS: tuple[type, ...] = (int, float, complex, bool)
TAKEN_BY_TENSORS = ("__torch_function__", "__array__", "__array_interface__", "__dlpack__", "__len__")
"""Methods by which an object may be an operand of a tensor operator."""


def _asks_right_first(method: Item, reflected: Item) -> bool:
    """Sequences concatenate and repeat by slots that CPython tries after the `__radd__` or `__rmul__` of a number."""
    return type(reflected) is type(_asks_right_first) and method in SEQUENCE_METHODS


SEQUENCE_METHODS = frozenset(
    getattr(cls, name) for cls in (list, tuple, deque, str, bytes) for name in ("__add__", "__mul__")
)
"""Methods that stand for those slots."""


def compare(context: Context, function: Any, left: Item, right: Item) -> Item:
    """`function(left, right)` for a row of COMPARE."""
    left_kind, right_kind = type(left), type(right)
    if left_kind in LITERALS and right_kind in LITERALS:
        return context.host(function, left, right)
    if left_kind is Lazy:
        return compare(context, function, left.realise(context), right)
    if right_kind is Lazy:
        return compare(context, function, left, right.realise(context))
    if (left_kind is TensorValue or right_kind is TensorValue) and (
        _tensor_operand(left_kind) and _tensor_operand(right_kind)
    ):
        if left is None or right is None:
            return (
                function is operator.ne if function in (operator.eq, operator.ne) else context.host(function, None, 0)
            )
        return context.tensor_op(function, (left, right))
    raw = not isinstance(left, Value) and not isinstance(right, Value)
    if raw and _compares_in_c(context, left) and _compares_in_c(context, right):
        return context.host(function, left, right)
    name, reflected, symbol = COMPARE[function]
    result = _compare_methods(context, left, right, name, reflected)
    if result is not NotImplemented:
        return result
    if function is operator.eq:
        return is_same(context, left, right)
    if function is operator.ne:
        return not is_same(context, left, right)
    context.throw(
        TypeError,
        f"'{symbol}' not supported between instances of '{class_name(left)}' and '{class_name(right)}'",
    )


def equal(context: Context, left: Item, right: Item) -> bool:
    """Whether two items are one object or equal, as containers ask."""
    return is_same(context, left, right) or truth(context, compare(context, operator.eq, left, right))


def _compares_in_c(context: Context, item: Any) -> bool:
    return type(context.class_attribute(type(item), "__eq__")) is not type(_compares_in_c)


def _knows_nothing_of(cls: type, other: Item) -> bool:
    """Whether comparing an instance of the literal class `cls` with `other` gives NotImplemented."""
    return cls in SELF_CENTRED and isinstance(other, Value) and not issubclass(other.cls, (*SELF_CENTRED, torch.Tensor))


SELF_CENTRED: tuple[type, ...] = (str, int, float, bool, type(None), range, torch.dtype)
"""Classes that can be compared with one another at most."""


def _compare_methods(context: Context, left: Item, right: Item, name: str, reflected: str) -> Item:
    left_cls = left.cls if isinstance(left, Value) else type(left)
    right_cls = right.cls if isinstance(right, Value) else type(right)
    attempts = [(left, left_cls, name, right), (right, right_cls, reflected, left)]
    if left_cls is not right_cls and issubclass(right_cls, left_cls):
        attempts.reverse()
    for item, cls, method_name, other in attempts:
        method = context.class_attribute(cls, method_name)
        if method is MISSING or method is None or _knows_nothing_of(cls, other):
            continue
        if method_name == "__ne__" and method is object.__ne__:
            equal = context.class_attribute(cls, "__eq__")
            result = context.call(equal, [item, other])
            if result is not NotImplemented:
                if type(result) is TensorValue:
                    return context.tensor_op(operator.not_, (result,))
                return not truth(context, result)
            continue
        result = context.call(method, [item, other])
        if result is not NotImplemented:
            return result
    return NotImplemented


def unary(context: Context, function: Any, item: Item) -> Item:
    """`-x`, `+x`, `~x`, `not x` and `abs(x)`."""
    if function is operator.not_:
        return not truth(context, item)
    kind = type(item)
    if kind in LITERALS:
        return context.host(function, item)
    if kind is TensorValue:
        return context.tensor_op(function, (item,))
    if kind is Lazy:
        return unary(context, function, item.realise(context))
    name, symbol = UNARY[function]
    method = special(context, item, name)
    if method is MISSING:
        context.throw(
            TypeError, f"bad operand type for {'unary ' if len(symbol) == 1 else ''}{symbol}: '{class_name(item)}'"
        )
    return context.call(method, [item])


# Containers ------------------------------------------------------------------------------------------


def length(context: Context, item: Item) -> Item:
    """`len(item)`."""
    kind = type(item)
    if kind is Lazy:
        return length(context, item.realise(context))
    if not isinstance(item, Value):
        return context.host(len, item)
    method = special(context, item, "__len__")
    if type(method) is type(length):
        return _sensible_length(context, context.call(method, [item]))
    return builtin_length(context, item)


def _sensible_length(context: Context, answer: Item) -> Item:
    """What a `__len__` of the program's own answered, checked as `len` does."""
    size = index_of(context, answer)
    if type(size) is int and not 0 <= size <= sys.maxsize:
        if size < 0:
            context.throw(ValueError, "__len__() should return >= 0")
        context.throw(OverflowError, "cannot fit 'int' into an index-sized integer")
    return size


def builtin_length(context: Context, item: Item) -> Item:
    """What the C-level `__len__` of a builtin container answers."""
    if isinstance(item, SequenceValue):
        return len(item.open(context))
    if isinstance(item, DictView):
        item = item.dictionary
    if isinstance(item, (DictValue, SetValue)):
        if not item.complete and item.source is not None and not item.changed:
            kind: Any = next(kind for kind in (dict, set, frozenset) if issubclass(item.cls, kind))
            size = kind.__len__(item.object)
            context.guard(item.source, "length", size)
            return size
        return len(item.all(context))
    if isinstance(item, TensorValue):
        if not item.meta.shape:
            context.throw(TypeError, "len() of a 0-d tensor")
        context.tensor_touched(item)
        return item.meta.shape[0]
    if special(context, item, "__len__") is not MISSING:
        context.stop(UNSUPPORTED_OPERATION, f"len() of a {class_name(item)}")
    context.throw(TypeError, f"object of type '{class_name(item)}' has no len()")


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
        return context.tensor_op(operator.getitem, (container, key))
    elif not isinstance(container, Value):
        if isinstance(container, type) and type(special(context, container, "__getitem__")) is type(get_item):
            return context.call(special(context, container, "__getitem__"), [container, key])
        if type(key) is TensorValue and isinstance(container, (tuple, str, range)):
            context.stop(DATA_DEPENDENT_INDEX, key.meta.text)
        if isinstance(container, type):
            return _class_item(context, container, key)
        return context.host(operator.getitem, container, _raw_key(context, container, key))
    method = special(context, container, "__getitem__")
    if method is MISSING:
        context.throw(TypeError, f"'{class_name(container)}' object is not subscriptable")
    return context.call(method, [container, key])


def _raw_key(context: Context, container: Any, key: Item) -> Any:
    """The key for an item of a string, a raw tuple and the like."""
    if type(key) is slice:
        return slice(*(slice_bound(context, bound) for bound in (key.start, key.stop, key.step)))
    return index_of(context, key) if special(context, key, "__index__") is not MISSING else key


def _class_item(context: Context, cls: type, key: Item) -> Item:
    """`Generic[T]`, `list[int]`: what the class makes of it, by CPython itself."""
    if isinstance(key, Value):
        context.stop(UNSUPPORTED_OPERATION, f"{cls.__name__}[{key!r}]")
    return context.host(operator.getitem, cls, key)


def index_of(context: Context, item: Item) -> Any:
    """`operator.index(item)`."""
    item = item.realise(context) if type(item) is Lazy else item
    if type(item) is TensorValue:
        context.stop(DATA_DEPENDENT_INDEX, item.meta.text)
    if isinstance(item, (int, torch.SymInt)) and not isinstance(item, enum.Enum):
        return item
    method = special(context, item, "__index__")
    if method is MISSING:
        context.throw(TypeError, f"'{class_name(item)}' object cannot be interpreted as an integer")
    return realise(context, context.call(method, [item]))


def sequence_item(context: Context, container: SequenceValue, key: Item) -> Item:
    """list.__getitem__, tuple.__getitem__ and deque.__getitem__."""
    key = subscript(context, container, key)
    if isinstance(key, slice):
        items = context.host(operator.getitem, container.all(context), key)
        return make_tuple(items) if isinstance(container, TupleValue) else ListValue(list, items)
    size = len(container.open(context))
    position = int(key)
    if not -size <= position < size:
        context.throw(IndexError, f"{_kind_of(container)} index out of range")
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
        wanted = f"sequence index must be integer, not '{class_name(key)}'"
        if kind != "deque":
            wanted = f"{kind} indices must be integers or slices, not {class_name(key)}"
        context.throw(TypeError, wanted)
    return index_of(context, key)


def slice_bound(context: Context, bound: Item) -> Any:
    """One part of a slice: None, or an int."""
    bound = realise(context, bound)
    if bound is None or type(bound) in LITERALS:
        return bound
    if special(context, bound, "__index__") is MISSING:
        context.throw(TypeError, "slice indices must be integers or None or have an __index__ method")
    return index_of(context, bound)


def set_item(context: Context, container: Item, key: Item, item: Item) -> None:
    """`container[key] = item`; MISSING as item deletes."""
    container = container.realise(context) if type(container) is Lazy else container
    key = key.realise(context) if type(key) is Lazy else key
    if type(container) is TensorValue:
        item = item.realise(context) if type(item) is Lazy else item
        context.tensor_op(operator.setitem, (container, key, item))
        return
    name = "__delitem__" if item is MISSING else "__setitem__"
    method = special(context, container, name)
    if method is MISSING:
        what = "deletion" if item is MISSING else "assignment"
        context.throw(TypeError, f"'{class_name(container)}' object does not support item {what}")
    context.call(method, [container, key] if item is MISSING else [container, key, item])


def contains(context: Context, container: Item, item: Item) -> bool:
    """`item in container`."""
    container = container.realise(context) if type(container) is Lazy else container
    item = item.realise(context) if type(item) is Lazy else item
    method = special(context, container, "__contains__")
    if method is None:
        context.throw(TypeError, f"'{class_name(container)}' object is not a container")
    if isinstance(container, (Value, frozenset)) or type(method) is type(contains):
        if method is not MISSING:
            return truth(context, context.call(method, [container, item]))
    elif not isinstance(item, Value):
        return context.host(operator.contains, container, item)
    elif isinstance(container, str):
        context.throw(TypeError, f"'in <string>' requires string as left operand, not {class_name(item)}")
    if (
        special(context, container, "__iter__") in (MISSING, None)
        and special(context, container, "__getitem__") is MISSING
    ):
        context.throw(TypeError, f"argument of type '{class_name(container)}' is not iterable")
    iterator = iterate(context, container)
    while (candidate := next_item(context, iterator)) is not END:
        if equal(context, candidate, item):
            return True
    return False


# Iteration -------------------------------------------------------------------------------------------


def iterate(context: Context, item: Item) -> Item:
    """`iter(item)`."""
    kind = type(item)
    if kind is Lazy:
        return iterate(context, item.realise(context))
    if not isinstance(item, Value):
        if isinstance(item, type):
            return _iterate_class(context, item)
        iterator = context.host(iter, item)
        return ItemsIterator(context, type(iterator), list(iterator) if not isinstance(item, range) else item)
    if isinstance(item, IteratorValue):
        return item
    method = special(context, item, "__iter__")
    if type(method) is type(iterate):
        return _checked_iterator(context, context.call(method, [item]))
    builtin = builtin_iterator(context, item)
    if builtin is not None:
        return builtin
    if method is not MISSING and method is not None:
        return _checked_iterator(context, context.call(method, [item]))
    if method is MISSING and special(context, item, "__getitem__") is not MISSING:
        return context.call(context.polyfill("iterate by index"), [item])
    context.throw(TypeError, f"'{class_name(item)}' object is not iterable")


def _checked_iterator(context: Context, iterator: Item) -> Item:
    iterator = realise(context, iterator)
    if not isinstance(iterator, IteratorValue) and special(context, iterator, "__next__") is MISSING:
        context.throw(TypeError, f"iter() returned non-iterator of type '{class_name(iterator)}'")
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
        return ItemsIterator(context, type(iter([])), context.tensor_rows(item))
    return None


def _iterate_class(context: Context, cls: type) -> Item:
    method = special(context, cls, "__iter__")
    if method is MISSING:
        context.throw(TypeError, f"'{type(cls).__name__}' object is not iterable")
    if hasattr(cls, "__members__"):
        members: Any = cls
        return ItemsIterator(context, type(iter([])), list(members))
    return context.call(method, [cls])


def next_by_method(context: Context, iterator: Item) -> Item:
    """`next(iterator)` through the program's own `__next__`; END when it raises StopIteration."""
    iterator = iterator.realise(context) if type(iterator) is Lazy else iterator
    if isinstance(iterator, IteratorValue):
        return iterator.next(context)
    method = special(context, iterator, "__next__")
    if method is MISSING:
        context.throw(TypeError, f"'{class_name(iterator)}' object is not an iterator")
    if type(method) is not type(iterate):
        context.stop(UNSUPPORTED_ITERATOR, class_name(iterator))
    return context.call_until_stop(method, [iterator])


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
