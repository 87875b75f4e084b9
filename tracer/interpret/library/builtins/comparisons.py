"""Comparison of lists, tuples, deques and dicts item by item.

Items are compared with `==` and the operator in question; identical objects count as equal.
"""

from __future__ import annotations

import operator
from collections import deque
from typing import Any

from tracer.interpret.library.shared import NotGiven, same
from tracer.interpret.policy import polyfill


def equal_sequences(kind: Any, self: Any, other: Any) -> Any:
    """`==` of two lists, tuples or deques."""
    if not isinstance(other, kind):
        return NotImplemented
    if kind is not tuple and kind.__len__(self) != kind.__len__(other):
        return False
    lefts, rights = kind.__iter__(self), kind.__iter__(other)
    while True:
        left, right = next(lefts, NotGiven), next(rights, NotGiven)
        if left is NotGiven or right is NotGiven:
            return left is right
        if not same(left, right):
            return False


def unequal_sequences(kind: Any, self: Any, other: Any) -> Any:
    """The opposite of `equal_sequences`, NotImplemented apart."""
    result = equal_sequences(kind, self, other)
    return result if result is NotImplemented else not result


def order_sequences(kind: Any, operation: Any, self: Any, other: Any) -> Any:
    """`operation` of the first items that differ, or of the lengths."""
    if not isinstance(other, kind):
        return NotImplemented
    lefts, rights = kind.__iter__(self), kind.__iter__(other)
    while True:
        left, right = next(lefts, NotGiven), next(rights, NotGiven)
        if left is NotGiven or right is NotGiven:
            return operation(kind.__len__(self), kind.__len__(other))
        if not same(left, right):
            result = operation(left, right)
            return bool(result) if kind is deque else result


polyfill(list.__eq__, of_literals=True)(lambda self, other, /: equal_sequences(list, self, other))
polyfill(list.__ne__, of_literals=True)(lambda self, other, /: unequal_sequences(list, self, other))
polyfill(list.__lt__, of_literals=True)(lambda self, other, /: order_sequences(list, operator.lt, self, other))
polyfill(list.__le__, of_literals=True)(lambda self, other, /: order_sequences(list, operator.le, self, other))
polyfill(list.__gt__, of_literals=True)(lambda self, other, /: order_sequences(list, operator.gt, self, other))
polyfill(list.__ge__, of_literals=True)(lambda self, other, /: order_sequences(list, operator.ge, self, other))
polyfill(tuple.__eq__, pure=True)(lambda self, other, /: equal_sequences(tuple, self, other))
polyfill(tuple.__ne__, pure=True)(lambda self, other, /: unequal_sequences(tuple, self, other))
polyfill(tuple.__lt__, pure=True)(lambda self, other, /: order_sequences(tuple, operator.lt, self, other))
polyfill(tuple.__le__, pure=True)(lambda self, other, /: order_sequences(tuple, operator.le, self, other))
polyfill(tuple.__gt__, pure=True)(lambda self, other, /: order_sequences(tuple, operator.gt, self, other))
polyfill(tuple.__ge__, pure=True)(lambda self, other, /: order_sequences(tuple, operator.ge, self, other))


@polyfill(dict.__eq__, of_literals=True)
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


@polyfill(dict.__ne__, of_literals=True)
def unequal_dictionaries(self: dict[Any, Any], other: Any, /) -> Any:
    result = equal_dictionaries(self, other)
    return result if result is NotImplemented else not result
