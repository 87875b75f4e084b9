"""Helpers of several polyfills: equality that tests identity first, slice indices, iteration by index."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from tracer.interpret.policy import protocol, stands_for


class NotGiven:
    """Stands for an argument not given and an item not there. A class, because classes are themselves in a trace."""


def same(left: Any, right: Any) -> bool:
    """`PyObject_RichCompareBool(left, right, Py_EQ)`: identical objects are equal."""
    return True if left is right or left == right else False  # noqa: SIM210  the truth, not the object, is wanted


def slice_index(bound: Any, size: int) -> int:
    """A `start` or `stop` argument as a position from 0 up, as `_PyEval_SliceIndexNotNone` does."""
    if not hasattr(type(bound), "__index__"):
        raise TypeError("slice indices must be integers or have an __index__ method")
    position = operator.index(bound)
    if position < 0:
        position += size
        if position < 0:
            return 0
    return position


class _ByIndex:
    def __getitem__(self, index: int) -> int:
        return index


ITERATOR_BY_INDEX: type = type(iter(_ByIndex()))
"""What `iter` makes of an object that has only `__getitem__`."""


@protocol("iterate an array")
@stands_for(ITERATOR_BY_INDEX)
def iterate_array(array: Any) -> Iterator[Any]:
    """What `iter` makes of an array of numpy, which knows its length."""
    for index in range(len(array)):
        yield array[index]


@protocol("iterate by index")
@stands_for(ITERATOR_BY_INDEX)
def iterate_by_index(sequence: Any) -> Iterator[Any]:
    """What `iter` makes of an object that has only `__getitem__`."""
    index = 0
    while True:
        try:
            item = sequence[index]
        except (IndexError, StopIteration):
            return
        yield item
        index += 1
