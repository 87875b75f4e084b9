"""Methods of list and tuple that compare items or take any iterable."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tracer.interpret.polyfills.common import same, slice_index
from tracer.interpret.polyfills.registry import replaces


@replaces(list.__contains__)
def list_contains(self: list[Any], value: Any, /) -> bool:
    for item in list.__iter__(self):  # noqa: SIM110  a generator would cost the tracer a frame
        if same(item, value):
            return True
    return False


@replaces(tuple.__contains__)
def tuple_contains(self: tuple[Any, ...], value: Any, /) -> bool:
    for item in tuple.__iter__(self):  # noqa: SIM110  a generator would cost the tracer a frame
        if same(item, value):
            return True
    return False


@replaces(list.count)
def list_count(self: list[Any], value: Any, /) -> int:
    count = 0
    for item in list.__iter__(self):
        if same(item, value):
            count += 1
    return count


@replaces(tuple.count)
def tuple_count(self: tuple[Any, ...], value: Any, /) -> int:
    count = 0
    for item in tuple.__iter__(self):
        if same(item, value):
            count += 1
    return count


@replaces(list.index)
def list_index(self: list[Any], value: Any, start: Any = 0, stop: Any = sys.maxsize, /) -> int:
    size = list.__len__(self)
    position, stop = slice_index(start, size), slice_index(stop, size)
    while position < stop and position < list.__len__(self):
        if same(list.__getitem__(self, position), value):
            return position
        position += 1
    raise ValueError(f"{value!r} is not in list")


@replaces(tuple.index)
def tuple_index(self: tuple[Any, ...], value: Any, start: Any = 0, stop: Any = sys.maxsize, /) -> int:
    size = tuple.__len__(self)
    position, stop = slice_index(start, size), slice_index(stop, size)
    while position < stop and position < size:
        if same(tuple.__getitem__(self, position), value):
            return position
        position += 1
    raise ValueError("tuple.index(x): x not in tuple")


@replaces(list.remove)
def list_remove(self: list[Any], value: Any, /) -> None:
    position = 0
    while position < list.__len__(self):
        if same(list.__getitem__(self, position), value):
            list.__delitem__(self, position)
            return
        position += 1
    raise ValueError("list.remove(x): x not in list")


@replaces(list.extend)
def list_extend(self: list[Any], iterable: Iterable[Any], /) -> None:
    if self is iterable or type(iterable) is list or type(iterable) is tuple:
        iterable = [*iterable] if self is not iterable else list.copy(self)
    for item in iterable:
        list.append(self, item)


@replaces(list.__iadd__)
def list_add_in_place(self: list[Any], iterable: Iterable[Any], /) -> list[Any]:
    list_extend(self, iterable)
    return self


@replaces(list.__add__)
def list_add(self: list[Any], other: Any, /) -> list[Any]:
    if not isinstance(other, list):
        raise TypeError(f'can only concatenate list (not "{type(other).__name__}") to list')
    result = list.copy(self)
    for item in list.__iter__(other):
        list.append(result, item)
    return result


@replaces(tuple.__add__)
def tuple_add(self: tuple[Any, ...], other: Any, /) -> tuple[Any, ...]:
    if not isinstance(other, tuple):
        raise TypeError(f'can only concatenate tuple (not "{type(other).__name__}") to tuple')
    return (*tuple.__iter__(self), *tuple.__iter__(other))


@replaces(list.__init__)
def list_initialise(self: list[Any], iterable: Iterable[Any] = (), /) -> None:
    list.clear(self)
    list_extend(self, iterable)


@replaces(list.__reversed__)
def list_reversed(self: list[Any], /) -> Any:
    return list_backwards(self, list.__len__(self) - 1)


def list_backwards(self: list[Any], position: int) -> Any:
    while 0 <= position < list.__len__(self):
        yield list.__getitem__(self, position)
        position -= 1
