"""Comparison of lists, tuples, deques and dicts item by item.

Items are compared with `==` and the operator in question; identical objects count as equal.
"""

from __future__ import annotations

import operator
from collections import OrderedDict, deque
from typing import Any, NoReturn

from tracer.interpret.library.shared import NotGiven, same
from tracer.interpret.policy import polyfill, refuse
from tracer.reasons import UNSUPPORTED_MUTATION


def equal_sequences(kind: Any, self: Any, other: Any) -> Any:
    """`==` of two lists or tuples."""
    if not isinstance(other, kind):
        return NotImplemented
    if kind is list and list.__len__(self) != list.__len__(other):
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
    if kind is list:
        return order_lists(operation, self, other)
    lefts, rights = kind.__iter__(self), kind.__iter__(other)
    while True:
        left, right = next(lefts, NotGiven), next(rights, NotGiven)
        if left is NotGiven or right is NotGiven:
            return operation(kind.__len__(self), kind.__len__(other))
        if not same(left, right):
            result = operation(left, right)
            return bool(result) if kind is deque else result


def order_lists(operation: Any, self: list[Any], other: list[Any]) -> Any:
    """`operation` of what is then at the position of the first items that differ, which may be nothing any more."""
    position = 0
    while position < list.__len__(self) and position < list.__len__(other):
        if not same(list.__getitem__(self, position), list.__getitem__(other, position)):
            if position < list.__len__(self) and position < list.__len__(other):
                return operation(list.__getitem__(self, position), list.__getitem__(other, position))
            break
        position += 1
    return operation(list.__len__(self), list.__len__(other))


def equal_deques(operation: Any, self: Any, other: Any) -> Any:
    """`==` or `!=` of two deques, which asks the first items that differ once more."""
    if not isinstance(other, deque):
        return NotImplemented
    if self is other:
        return operation is operator.eq
    if deque.__len__(self) != deque.__len__(other):
        return operation is operator.ne
    return order_sequences(deque, operation, self, other)


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
    size = dict.__len__(self)
    if size != dict.__len__(other):
        return False
    pairs = iter(OrderedDict.items(self) if isinstance(self, OrderedDict) else dict.items(self))
    while True:
        try:
            pair: Any = next(pairs, NotGiven)
        except RuntimeError:
            return changes_while_compared(self, other)
        if pair is NotGiven:
            return True
        value = dict.get(other, pair[0], NotGiven)
        if value is NotGiven or not same(value, pair[1]):
            return False
        if dict.__len__(self) != size:
            return changes_while_compared(self, other)


def changes_while_compared(left: Any, right: Any) -> NoReturn:
    """What is compared changes the container that it is in: how C code goes on from there only CPython knows."""
    raise RuntimeError("a container changed while it was compared")


refuse(UNSUPPORTED_MUTATION, changes_while_compared)


@polyfill(dict.__ne__, of_literals=True)
def unequal_dictionaries(self: dict[Any, Any], other: Any, /) -> Any:
    result = equal_dictionaries(self, other)
    return result if result is NotImplemented else not result
