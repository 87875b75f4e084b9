"""Methods of collections.deque, over append, pop and item access at either end."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterable
from typing import Any

from tracer.interpret.polyfills.common import same
from tracer.interpret.polyfills.registry import replaces

Deque = deque[Any]


@replaces(deque.extend)
def deque_extend(self: Deque, iterable: Iterable[Any], /) -> None:
    for item in [*iterable] if iterable is self else iterable:
        deque.append(self, item)


@replaces(deque.extendleft)
def deque_extend_left(self: Deque, iterable: Iterable[Any], /) -> None:
    for item in [*iterable] if iterable is self else iterable:
        deque.appendleft(self, item)


@replaces(deque.__iadd__)
def deque_add_in_place(self: Deque, iterable: Iterable[Any], /) -> Deque:
    deque_extend(self, iterable)
    return self


@replaces(deque.__add__)
def deque_add(self: Deque, other: Any, /) -> Deque:
    if not isinstance(other, deque):
        raise TypeError(f'can only concatenate deque (not "{type(other).__name__}") to deque')
    result = deque.copy(self)
    deque_extend(result, other)
    return result


@replaces(deque.__contains__)
def deque_contains(self: Deque, value: Any, /) -> bool:
    for item in deque.__iter__(self):  # noqa: SIM110  a generator would cost the tracer a frame
        if same(item, value):
            return True
    return False


@replaces(deque.count)
def deque_count(self: Deque, value: Any, /) -> int:
    count = 0
    for item in deque.__iter__(self):
        if same(item, value):
            count += 1
    return count


@replaces(deque.index)
def deque_index(self: Deque, value: Any, *bounds: Any) -> int:
    size = deque.__len__(self)
    position = max(bounds[0] + size, 0) if bounds and bounds[0] < 0 else bounds[0] if bounds else 0
    stop = size if len(bounds) < 2 else bounds[1] + size if bounds[1] < 0 else bounds[1]
    while position < stop and position < size:
        if same(deque.__getitem__(self, position), value):
            return position
        position += 1
    raise ValueError(f"{value!r} is not in deque")


@replaces(deque.remove)
def deque_remove(self: Deque, value: Any, /) -> None:
    size = deque.__len__(self)
    for position in range(size):
        found = same(deque.__getitem__(self, position), value)
        if deque.__len__(self) != size:
            raise IndexError("deque mutated during remove().")
        if found:
            deque.__delitem__(self, position)
            return
    raise ValueError(f"{value!r} is not in deque")


@replaces(deque.insert)
def deque_insert(self: Deque, index: Any, value: Any, /) -> None:
    size, position = deque.__len__(self), operator.index(index)
    if self.maxlen is not None and size >= self.maxlen:
        raise IndexError("deque already at its maximum size")
    if position >= size:
        deque.append(self, value)
        return
    if position <= -size or position == 0:
        deque.appendleft(self, value)
        return
    deque_rotate(self, -position)
    if position < 0:
        deque.append(self, value)
    else:
        deque.appendleft(self, value)
    deque_rotate(self, position)


@replaces(deque.rotate)
def deque_rotate(self: Deque, n: Any = 1, /) -> None:
    size = deque.__len__(self)
    if size < 2:
        return
    for _ in range(operator.index(n) % size):
        deque.appendleft(self, deque.pop(self))


@replaces(deque.reverse)
def deque_reverse(self: Deque, /) -> None:
    items = [*deque.__iter__(self)]
    position = len(items)
    for item in items:
        position -= 1
        deque.__setitem__(self, position, item)
