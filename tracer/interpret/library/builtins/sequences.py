"""Methods of list and tuple. They run on the payloads; those that compare items are polyfills."""

from __future__ import annotations

import operator
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

from tracer.interpret.call import call
from tracer.interpret.construct import list_init
from tracer.interpret.library.shared import same, slice_index
from tracer.interpret.policy import lookaside, polyfill
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING, Value, class_of, realise, type_of
from tracer.values.class_attributes import class_name, special
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.iterators import END, next_item
from tracer.values.lists import ListValue
from tracer.values.native_words import NO_ITERABLE, NO_ITERABLE_IN_STEPS
from tracer.values.protocols.items import sequence_item, subscript
from tracer.values.protocols.iteration import builtin_iterator, iterate, listed, unpack
from tracer.values.protocols.length import builtin_length, index_of, length_hint
from tracer.values.protocols.operators import NUMBERS
from tracer.values.raising import Raised, throw
from tracer.values.sequence_iterators import ReversedIterator
from tracer.values.sequences import SequenceValue
from tracer.values.tuples import TupleValue, make_tuple

lookaside(list.__init__)(list_init)


@lookaside(list.__len__, tuple.__len__)
def sequence_length(trace: Trace, sequence: Item) -> Item:
    return builtin_length(trace, sequence) if isinstance(sequence, Value) else len(sequence)


@lookaside(list.__iter__, tuple.__iter__)
def sequence_iterator(trace: Trace, sequence: Item) -> Item:
    return builtin_iterator(trace, sequence_opened(trace, sequence))


def sequence_opened(trace: Trace, sequence: Item) -> SequenceValue:
    """The value of a list or a tuple, a raw tuple among them."""
    sequence = realise(trace, sequence)
    return TupleValue(type(sequence), sequence) if isinstance(sequence, tuple) else sequence


@lookaside(list.__getitem__, tuple.__getitem__)
def sequence_getitem(trace: Trace, sequence: Item, key: Item) -> Item:
    return sequence_item(trace, sequence_opened(trace, sequence), key)


@lookaside(list.append, lazy=True)
def sequence_append(trace: Trace, sequence: ListValue, item: Item) -> None:
    sequence.append(trace, item)
    if sequence.maxlen is not None and len(sequence.items) > sequence.maxlen:
        del sequence.items[0]


@lookaside(list.extend)
def sequence_extend(trace: Trace, sequence: ListValue, iterable: Item) -> None:
    for item in _fed(trace, sequence, iterable):
        sequence_append(trace, sequence, item)


def _fed(trace: Trace, sequence: ListValue, iterable: Item) -> Iterator[Item]:
    """What a list or deque is extended with, item by item, as it sees itself grow; sequences are read beforehand."""
    is_list = not issubclass(sequence.cls, deque)
    if iterable is sequence or (is_list and class_of(iterable) in (list, tuple)):
        yield from unpack(trace, iterable)
        return
    iterator = iterate(trace, iterable)
    if is_list:
        length_hint(trace, iterable, 8)
    while (item := next_item(trace, iterator)) is not END:
        yield item


@lookaside(list.__iadd__)
def sequence_iadd(trace: Trace, sequence: ListValue, iterable: Item) -> Item:
    sequence_extend(trace, sequence, iterable)
    return sequence


@lookaside(list.insert, lazy=True)
def sequence_insert(trace: Trace, sequence: ListValue, index: Item, item: Item) -> None:
    position = index_of(trace, index)
    if sequence.maxlen is not None and builtin_length(trace, sequence) >= sequence.maxlen:
        throw(trace, IndexError, "deque already at its maximum size")
    host(trace, sequence.change(trace).insert, position, item)


@lookaside(list.pop)
def _pop(trace: Trace, sequence: ListValue, index: Item = -1) -> Item:
    position = index_of(trace, index)
    size = builtin_length(trace, sequence)
    if not size:
        throw(trace, IndexError, "pop from empty list")
    if not -size <= position < size:
        throw(trace, IndexError, "pop index out of range")
    return sequence.change(trace).pop(position)


@lookaside(list.clear)
def sequence_clear(trace: Trace, sequence: ListValue) -> None:
    sequence.change(trace).clear()


@lookaside(list.reverse)
def sequence_reverse(trace: Trace, sequence: ListValue) -> None:
    sequence.change_items(trace).reverse()


@lookaside(list.copy)
def sequence_copy(trace: Trace, sequence: ListValue) -> Item:
    """A list, or a deque as deep as the one copied; a subclass of deque is called with it."""
    if issubclass(sequence.cls, deque) and sequence.cls is not deque:
        copied = call(trace, sequence.cls, [sequence] if sequence.maxlen is None else [sequence, sequence.maxlen])
        if not issubclass(type_of(trace, copied), deque):
            names = f"{sequence.cls.__name__}() must return a deque, not {class_name(copied)}"
            throw(trace, TypeError, names)
        return copied
    result = ListValue(deque if sequence.cls is deque else list, sequence.all(trace))
    result.maxlen = sequence.maxlen
    return result


@lookaside(list.__setitem__, lazy=True)
def sequence_setitem(trace: Trace, sequence: ListValue, key: Item, item: Item) -> None:
    key = subscript(trace, sequence, key)
    if isinstance(key, slice):
        if special(trace, item, "__iter__") is MISSING and special(trace, item, "__getitem__") is MISSING:
            throw(trace, TypeError, NO_ITERABLE if key.step in (None, 1) else NO_ITERABLE_IN_STEPS)
        assigned = unpack(trace, item)
        host(trace, operator.setitem, sequence.change(trace), key, assigned)
        return
    items = sequence.change_items(trace)
    if not -len(items) <= key < len(items):
        throw(
            trace, IndexError, f"{'deque' if issubclass(sequence.cls, deque) else 'list assignment'} index out of range"
        )
    else:
        items[key] = item


@lookaside(list.__delitem__)
def sequence_delitem(trace: Trace, sequence: ListValue, key: Item) -> None:
    key = subscript(trace, sequence, key)
    size = builtin_length(trace, sequence)
    if not isinstance(key, slice) and not -size <= key < size:
        throw(
            trace, IndexError, f"{'deque' if issubclass(sequence.cls, deque) else 'list assignment'} index out of range"
        )
    host(trace, operator.delitem, sequence.change(trace), key)


@lookaside(list.__add__, tuple.__add__)
def sequence_add(trace: Trace, left: Item, right: Item) -> Item:
    left, right = sequence_opened(trace, left), realise(trace, right)
    kind = tuple if isinstance(left, TupleValue) else list
    if not issubclass(class_of(right), kind):
        if class_of(right) not in NUMBERS and special(trace, right, "__radd__") is not MISSING:
            return NotImplemented  # the slot of sequences is asked after those of numbers
        name = kind.__name__
        throw(trace, TypeError, f'can only concatenate {name} (not "{class_name(right)}") to {name}')
    items = [*left.all(trace), *sequence_opened(trace, right).all(trace)]
    return make_tuple(items) if kind is tuple else ListValue(kind, items)


@lookaside(list.__mul__, list.__rmul__, tuple.__mul__, tuple.__rmul__)
def _mul(trace: Trace, sequence: Item, count: Item) -> Item:
    opened = sequence_opened(trace, sequence)
    items = host(trace, operator.mul, opened.all(trace), repetitions(trace, count))
    return make_tuple(items) if isinstance(opened, TupleValue) else ListValue(list, items)


def repetitions(trace: Trace, count: Item) -> int:
    """The number of times a sequence is repeated."""
    if special(trace, count, "__index__") is MISSING:
        throw(trace, TypeError, f"can't multiply sequence by non-int of type '{class_name(count)}'")
    return index_of(trace, count)


@lookaside(list.__imul__)
def _imul(trace: Trace, sequence: ListValue, count: Item) -> Item:
    times = repetitions(trace, count)
    host(trace, operator.imul, sequence.change(trace), times)
    return sequence


@lookaside(list.__reversed__)
def sequence_reversed(trace: Trace, sequence: ListValue) -> Item:
    return ReversedIterator(trace, sequence)


@lookaside(tuple.__new__)
def _new_tuple(trace: Trace, cls: Any, iterable: Item = ()) -> Item:
    items = listed(trace, iterable)
    return make_tuple(items) if cls is tuple else TupleValue(cls, items)


@lookaside(tuple.__hash__)
def _hash(trace: Trace, sequence: Item) -> Item:
    return host(trace, hash, trace.key(sequence))


@lookaside(list.sort)
def _sort(trace: Trace, sequence: ListValue, *, key: Item = None, reverse: Item = False) -> None:
    """Sort a list in place. As in CPython, it is empty while its items are compared."""
    payload = sequence.change(trace)
    copied = list(payload)
    payload.clear()
    try:
        result = call(trace, sorted, [ListValue(list, copied)], {"key": key, "reverse": reverse})
    except Raised:
        payload[:] = copied
        raise
    modified = bool(payload)
    payload[:] = result.items
    if modified:
        throw(trace, ValueError, "list modified during sort")


# Methods that compare items, interpreted


@polyfill(list.__contains__, of_literals=True)
def list_contains(self: list[Any], value: Any, /) -> bool:
    for item in list.__iter__(self):  # noqa: SIM110  a generator would cost the tracer a frame
        if same(item, value):
            return True
    return False


@polyfill(tuple.__contains__, pure=True)
def tuple_contains(self: tuple[Any, ...], value: Any, /) -> bool:
    for item in tuple.__iter__(self):  # noqa: SIM110  a generator would cost the tracer a frame
        if same(item, value):
            return True
    return False


@polyfill(list.count, of_literals=True)
def list_count(self: list[Any], value: Any, /) -> int:
    count = 0
    for item in list.__iter__(self):
        if same(item, value):
            count += 1
    return count


@polyfill(tuple.count, pure=True)
def tuple_count(self: tuple[Any, ...], value: Any, /) -> int:
    count = 0
    for item in tuple.__iter__(self):
        if same(item, value):
            count += 1
    return count


@polyfill(list.index, of_literals=True)
def list_index(self: list[Any], value: Any, start: Any = 0, stop: Any = sys.maxsize, /) -> int:
    size = list.__len__(self)
    position, stop = slice_index(start, size), slice_index(stop, size)
    while position < stop and position < list.__len__(self):
        if same(list.__getitem__(self, position), value):
            return position
        position += 1
    raise ValueError(f"{value!r} is not in list")


@polyfill(tuple.index, pure=True)
def tuple_index(self: tuple[Any, ...], value: Any, start: Any = 0, stop: Any = sys.maxsize, /) -> int:
    size = tuple.__len__(self)
    position, stop = slice_index(start, size), slice_index(stop, size)
    while position < stop and position < size:
        if same(tuple.__getitem__(self, position), value):
            return position
        position += 1
    raise ValueError("tuple.index(x): x not in tuple")


@polyfill(list.remove)
def list_remove(self: list[Any], value: Any, /) -> None:
    position = 0
    while position < list.__len__(self):
        if same(list.__getitem__(self, position), value):
            list.__delitem__(self, slice(position, position + 1))  # `==` may have taken it out already
            return
        position += 1
    raise ValueError("list.remove(x): x not in list")
