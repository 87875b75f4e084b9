"""collections.deque: what it shares with list, its two ends, and the methods that compare items."""

from __future__ import annotations

import operator
from collections import deque
from typing import Any

from tracer.interpret.construct import list_init
from tracer.interpret.library.builtins.comparisons import equal_deques, order_sequences
from tracer.interpret.library.builtins.representation import represent_deque
from tracer.interpret.library.builtins.sequences import (
    repetitions,
    sequence_append,
    sequence_clear,
    sequence_copy,
    sequence_delitem,
    sequence_extend,
    sequence_getitem,
    sequence_iadd,
    sequence_insert,
    sequence_iterator,
    sequence_length,
    sequence_reverse,
    sequence_reversed,
    sequence_setitem,
)
from tracer.interpret.library.shared import same, slice_index
from tracer.interpret.policy import lookaside, polyfill
from tracer.interpret.trace import Trace
from tracer.values.base import class_of
from tracer.values.class_attributes import class_name
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.iterators import END, next_item
from tracer.values.lists import ListValue
from tracer.values.protocols.iteration import iterate
from tracer.values.protocols.length import builtin_length, index_of
from tracer.values.raising import throw

Deque = deque[Any]
lookaside(deque.__init__)(list_init)
lookaside(deque.__len__)(sequence_length)
lookaside(deque.__iter__)(sequence_iterator)
lookaside(deque.__getitem__)(sequence_getitem)
lookaside(deque.append, lazy=True)(sequence_append)
lookaside(deque.extend)(sequence_extend)
lookaside(deque.__iadd__)(sequence_iadd)
lookaside(deque.insert, lazy=True)(sequence_insert)
lookaside(deque.clear)(sequence_clear)
lookaside(deque.reverse)(sequence_reverse)
lookaside(deque.copy, deque.__copy__)(sequence_copy)
lookaside(deque.__setitem__, lazy=True)(sequence_setitem)
lookaside(deque.__delitem__)(sequence_delitem)
lookaside(deque.__reversed__)(sequence_reversed)


@lookaside(deque.appendleft, lazy=True)
def _appendleft(trace: Trace, sequence: ListValue, item: Item) -> None:
    items = sequence.change(trace)
    items.insert(0, item)
    if sequence.maxlen is not None and len(items) > sequence.maxlen:
        del items[-1]


@lookaside(deque.extendleft)
def _extendleft(trace: Trace, sequence: ListValue, iterable: Item) -> None:
    if iterable is sequence:
        iterable = sequence_copy(trace, sequence)
    iterator = iterate(trace, iterable)
    while (item := next_item(trace, iterator)) is not END:
        _appendleft(trace, sequence, item)


@lookaside(deque.pop)
def _pop(trace: Trace, sequence: ListValue) -> Item:
    return host(trace, _take, sequence.change(trace), -1)


@lookaside(deque.popleft)
def _popleft(trace: Trace, sequence: ListValue) -> Item:
    return host(trace, _take, sequence.change(trace), 0)


def _take(items: list[Item], position: int) -> Item:
    if not items:
        raise IndexError("pop from an empty deque")
    return items.pop(position)


@lookaside(deque.rotate)
def _rotate(trace: Trace, sequence: ListValue, steps: Item = 1) -> None:
    shift = index_of(trace, steps)
    if builtin_length(trace, sequence) > 1:
        items = sequence.change(trace)
        shift %= len(items)
        items[:] = items[-shift:] + items[:-shift] if shift else items


@lookaside(deque.__add__)
def _add(trace: Trace, left: ListValue, right: Item) -> Item:
    if not issubclass(class_of(right), deque):
        throw(trace, TypeError, f'can only concatenate deque (not "{class_name(right)}") to deque')
    result = sequence_copy(trace, left)
    sequence_extend(trace, result, right)
    return result


@lookaside(deque.__mul__, vars(deque)["__rmul__"])
def _mul(trace: Trace, sequence: ListValue, count: Item) -> Item:
    times = repetitions(trace, count)
    return _imul(trace, sequence_copy(trace, sequence), times)


@lookaside(deque.__imul__)
def _imul(trace: Trace, sequence: ListValue, count: Item) -> Item:
    times = repetitions(trace, count)
    items = sequence.change(trace)
    host(trace, operator.imul, items, times)
    if sequence.maxlen is not None:
        del items[: max(len(items) - sequence.maxlen, 0)]
    return sequence


# Methods that compare items, interpreted


@polyfill(deque.__contains__, of_literals=True)
def deque_contains(self: Deque, value: Any, /) -> bool:
    for item in deque.__iter__(self):  # noqa: SIM110  a generator would cost the tracer a frame
        if same(item, value):
            return True
    return False


@polyfill(deque.count, of_literals=True)
def deque_count(self: Deque, value: Any, /) -> int:
    count = 0
    for item in deque.__iter__(self):
        if same(item, value):
            count += 1
    return count


@polyfill(deque.index, of_literals=True)
def deque_index(self: Deque, value: Any, *bounds: Any) -> int:
    size = deque.__len__(self)
    start = slice_index(bounds[0], size) if bounds else 0
    stop = slice_index(bounds[1], size) if len(bounds) > 1 else size
    for position, item in enumerate(deque.__iter__(self)):
        if position >= stop:
            break
        if position >= start and same(item, value):
            return position
    raise ValueError(f"{value!r} is not in deque")


@polyfill(deque.remove)
def deque_remove(self: Deque, value: Any, /) -> None:
    for position in range(deque.__len__(self)):
        iterator = deque.__iter__(self)
        is_equal = same(deque.__getitem__(self, position), value)
        try:
            next(iterator, None)
            is_mutated = False
        except RuntimeError:
            is_mutated = True
        if is_mutated:
            raise IndexError("deque mutated during iteration")
        if is_equal:
            deque.__delitem__(self, position)
            return
    raise ValueError(f"{value!r} is not in deque")


polyfill(deque.__eq__, of_literals=True)(lambda self, other, /: equal_deques(operator.eq, self, other))
polyfill(deque.__ne__, of_literals=True)(lambda self, other, /: equal_deques(operator.ne, self, other))
polyfill(deque.__lt__, of_literals=True)(lambda self, other, /: order_sequences(deque, operator.lt, self, other))
polyfill(deque.__le__, of_literals=True)(lambda self, other, /: order_sequences(deque, operator.le, self, other))
polyfill(deque.__gt__, of_literals=True)(lambda self, other, /: order_sequences(deque, operator.gt, self, other))
polyfill(deque.__ge__, of_literals=True)(lambda self, other, /: order_sequences(deque, operator.ge, self, other))
polyfill(deque.__repr__, of_literals=True)(lambda self, /: represent_deque(self, (self,)))
