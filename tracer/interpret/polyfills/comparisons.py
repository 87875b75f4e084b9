"""Comparison of lists, tuples, deques and dicts item by item.

Knows nothing of how the items compare: `==` and the operator asked for, identical objects being equal.
"""

from __future__ import annotations

import operator
from collections import OrderedDict, deque
from typing import Any

from tracer.interpret.polyfills.common import MISSING, same
from tracer.interpret.polyfills.registry import put, replaces


def equal_sequences(kind: Any, self: Any, other: Any) -> Any:
    """`==` of two lists, tuples or deques."""
    if not isinstance(other, kind):
        return NotImplemented
    if kind is not tuple and kind.__len__(self) != kind.__len__(other):
        return False
    lefts, rights = kind.__iter__(self), kind.__iter__(other)
    while True:
        left, right = next(lefts, MISSING), next(rights, MISSING)
        if left is MISSING or right is MISSING:
            return left is right
        if not same(left, right):
            return False


def unequal_sequences(kind: Any, self: Any, other: Any) -> Any:
    result = equal_sequences(kind, self, other)
    return result if result is NotImplemented else not result


def order_sequences(kind: Any, operation: Any, self: Any, other: Any) -> Any:
    """`operation` of the first items that differ, or of the lengths."""
    if not isinstance(other, kind):
        return NotImplemented
    lefts, rights = kind.__iter__(self), kind.__iter__(other)
    while True:
        left, right = next(lefts, MISSING), next(rights, MISSING)
        if left is MISSING or right is MISSING:
            return operation(kind.__len__(self), kind.__len__(other))
        if not same(left, right):
            result = operation(left, right)
            return bool(result) if kind is deque else result


put(
    {
        list.__eq__: lambda self, other, /: equal_sequences(list, self, other),
        list.__ne__: lambda self, other, /: unequal_sequences(list, self, other),
        list.__lt__: lambda self, other, /: order_sequences(list, operator.lt, self, other),
        list.__le__: lambda self, other, /: order_sequences(list, operator.le, self, other),
        list.__gt__: lambda self, other, /: order_sequences(list, operator.gt, self, other),
        list.__ge__: lambda self, other, /: order_sequences(list, operator.ge, self, other),
        tuple.__eq__: lambda self, other, /: equal_sequences(tuple, self, other),
        tuple.__ne__: lambda self, other, /: unequal_sequences(tuple, self, other),
        tuple.__lt__: lambda self, other, /: order_sequences(tuple, operator.lt, self, other),
        tuple.__le__: lambda self, other, /: order_sequences(tuple, operator.le, self, other),
        tuple.__gt__: lambda self, other, /: order_sequences(tuple, operator.gt, self, other),
        tuple.__ge__: lambda self, other, /: order_sequences(tuple, operator.ge, self, other),
        deque.__eq__: lambda self, other, /: equal_sequences(deque, self, other),
        deque.__ne__: lambda self, other, /: unequal_sequences(deque, self, other),
        deque.__lt__: lambda self, other, /: order_sequences(deque, operator.lt, self, other),
        deque.__le__: lambda self, other, /: order_sequences(deque, operator.le, self, other),
        deque.__gt__: lambda self, other, /: order_sequences(deque, operator.gt, self, other),
        deque.__ge__: lambda self, other, /: order_sequences(deque, operator.ge, self, other),
    }
)


@replaces(dict.__eq__)
def equal_dictionaries(self: dict[Any, Any], other: Any, /) -> Any:
    if not isinstance(other, dict):
        return NotImplemented
    if dict.__len__(self) != dict.__len__(other):
        return False
    for key in dict.__iter__(self):
        if not dict.__contains__(other, key):
            return False
        if not same(dict.__getitem__(other, key), dict.__getitem__(self, key)):
            return False
    return True


@replaces(dict.__ne__)
def unequal_dictionaries(self: dict[Any, Any], other: Any, /) -> Any:
    result = equal_dictionaries(self, other)
    return result if result is NotImplemented else not result


@replaces(OrderedDict.__eq__)
def equal_ordered_dictionaries(self: OrderedDict[Any, Any], other: Any, /) -> Any:
    result = equal_dictionaries(self, other)
    if result is not True or not isinstance(other, OrderedDict):
        return result
    return equal_sequences(list, [*OrderedDict.__iter__(self)], [*OrderedDict.__iter__(other)])


@replaces(OrderedDict.__ne__)
def unequal_ordered_dictionaries(self: OrderedDict[Any, Any], other: Any, /) -> Any:
    result = equal_ordered_dictionaries(self, other)
    return result if result is NotImplemented else not result
