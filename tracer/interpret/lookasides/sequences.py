"""Methods of lists, deques and tuples, run on their payloads. Those that compare items are polyfills."""

from __future__ import annotations

import operator
from collections import deque
from typing import Any

from tracer.interpret.call import call
from tracer.interpret.construct import list_init
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING, Value, realise
from tracer.values.class_attributes import class_name, special
from tracer.values.containers import TUPLE_FIELD, ListValue, SequenceValue, TupleValue, make_tuple
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.iterators import ReversedIterator
from tracer.values.protocols.items import sequence_item, subscript
from tracer.values.protocols.iteration import builtin_iterator, unpack
from tracer.values.protocols.length import builtin_length, index_of
from tracer.values.raising import Raised, throw

lookaside(list.__init__, deque.__init__)(list_init)
lookaside(list.__len__, tuple.__len__, deque.__len__)(
    lambda trace, sequence: builtin_length(trace, sequence) if isinstance(sequence, Value) else len(sequence)
)
lookaside(list.__iter__, tuple.__iter__, deque.__iter__)(
    lambda trace, sequence: builtin_iterator(trace, _opened(trace, sequence))
)


def _opened(trace: Trace, sequence: Item) -> SequenceValue:
    sequence = realise(trace, sequence)
    return TupleValue(type(sequence), sequence) if isinstance(sequence, tuple) else sequence


@lookaside(list.__getitem__, tuple.__getitem__, deque.__getitem__)
def _getitem(trace: Trace, sequence: Item, key: Item) -> Item:
    return sequence_item(trace, _opened(trace, sequence), key)


@lookaside(TUPLE_FIELD.__get__)
def _named_field(trace: Trace, field: Any, instance: Item, owner: Item = None) -> Item:
    """A field of a named tuple, which is an item of it."""
    position = field.__reduce__()[1][0]
    return field if instance is None else sequence_item(trace, _opened(trace, instance), position)


@lookaside(list.append, deque.append, lazy=True)
def _append(trace: Trace, sequence: ListValue, item: Item) -> None:
    sequence.append(trace, item)
    if sequence.maxlen is not None and len(sequence.items) > sequence.maxlen:
        del sequence.items[0]


@lookaside(deque.appendleft, lazy=True)
def _appendleft(trace: Trace, sequence: ListValue, item: Item) -> None:
    items = sequence.change(trace)
    items.insert(0, item)
    if sequence.maxlen is not None and len(items) > sequence.maxlen:
        del items[-1]


@lookaside(list.extend, deque.extend)
def _extend(trace: Trace, sequence: ListValue, iterable: Item) -> None:
    for item in unpack(trace, iterable):
        _append(trace, sequence, item)


@lookaside(list.__iadd__, deque.__iadd__)
def _iadd(trace: Trace, sequence: ListValue, iterable: Item) -> Item:
    _extend(trace, sequence, iterable)
    return sequence


@lookaside(deque.extendleft)
def _extendleft(trace: Trace, sequence: ListValue, iterable: Item) -> None:
    for item in unpack(trace, iterable):
        _appendleft(trace, sequence, item)


@lookaside(list.insert, deque.insert, lazy=True)
def _insert(trace: Trace, sequence: ListValue, index: Item, item: Item) -> None:
    if sequence.maxlen is not None and builtin_length(trace, sequence) >= sequence.maxlen:
        throw(trace, IndexError, "deque already at its maximum size")
    sequence.change(trace).insert(index_of(trace, index), item)


@lookaside(list.pop)
def _pop(trace: Trace, sequence: ListValue, index: Item = -1) -> Item:
    position = index_of(trace, index)
    size = builtin_length(trace, sequence)
    if not size:
        throw(trace, IndexError, "pop from empty list")
    if not -size <= position < size:
        throw(trace, IndexError, "pop index out of range")
    return sequence.change(trace).pop(position)


@lookaside(deque.pop)
def _deque_pop(trace: Trace, sequence: ListValue) -> Item:
    return host(trace, _take, sequence.change(trace), -1)


@lookaside(deque.popleft)
def _popleft(trace: Trace, sequence: ListValue) -> Item:
    return host(trace, _take, sequence.change(trace), 0)


def _take(items: list[Item], position: int) -> Item:
    if not items:
        raise IndexError("pop from an empty deque")
    return items.pop(position)


@lookaside(list.clear, deque.clear)
def _clear(trace: Trace, sequence: ListValue) -> None:
    sequence.change(trace).clear()


@lookaside(list.reverse, deque.reverse)
def _reverse(trace: Trace, sequence: ListValue) -> None:
    sequence.change(trace).reverse()


@lookaside(deque.rotate)
def _rotate(trace: Trace, sequence: ListValue, steps: Item = 1) -> None:
    items = sequence.change(trace)
    if items:
        shift = index_of(trace, steps) % len(items)
        items[:] = items[-shift:] + items[:-shift] if shift else items


@lookaside(list.copy, deque.copy, deque.__copy__)
def _copy(trace: Trace, sequence: ListValue) -> Item:
    cls = list if not issubclass(sequence.cls, deque) else sequence.cls
    made = ListValue(cls, sequence.all(trace))
    made.maxlen = sequence.maxlen
    return made


@lookaside(list.__setitem__, deque.__setitem__, lazy=True)
def _setitem(trace: Trace, sequence: ListValue, key: Item, item: Item) -> None:
    key = subscript(trace, sequence, key)
    if isinstance(key, slice):
        if special(trace, item, "__iter__") is MISSING and special(trace, item, "__getitem__") is MISSING:
            plain = key.step in (None, 1)
            throw(
                trace, TypeError, "can only assign an iterable" if plain else "must assign iterable to extended slice"
            )
        assigned = unpack(trace, item)
        host(trace, operator.setitem, sequence.change(trace), key, assigned)
        return
    items = sequence.change(trace)
    if not -len(items) <= key < len(items):
        throw(
            trace, IndexError, f"{'deque' if issubclass(sequence.cls, deque) else 'list assignment'} index out of range"
        )
    else:
        items[key] = item


@lookaside(list.__delitem__, deque.__delitem__)
def _delitem(trace: Trace, sequence: ListValue, key: Item) -> None:
    key = subscript(trace, sequence, key)
    size = builtin_length(trace, sequence)
    if not isinstance(key, slice) and not -size <= key < size:
        throw(
            trace, IndexError, f"{'deque' if issubclass(sequence.cls, deque) else 'list assignment'} index out of range"
        )
    host(trace, operator.delitem, sequence.change(trace), key)


@lookaside(list.__add__, tuple.__add__, deque.__add__)
def _add(trace: Trace, left: Item, right: Item) -> Item:
    left, right = _opened(trace, left), realise(trace, right)
    kind = tuple if isinstance(left, TupleValue) else deque if issubclass(left.cls, deque) else list
    if not issubclass(right.cls if isinstance(right, Value) else type(right), kind):
        return NotImplemented
    items = [*left.all(trace), *unpack(trace, right)]
    return make_tuple(items) if kind is tuple else ListValue(kind, items)


@lookaside(list.__mul__, list.__rmul__, tuple.__mul__, tuple.__rmul__)
def _mul(trace: Trace, sequence: Item, count: Item) -> Item:
    opened = _opened(trace, sequence)
    items = host(trace, operator.mul, opened.all(trace), _count(trace, count))
    return make_tuple(items) if isinstance(opened, TupleValue) else ListValue(list, items)


def _count(trace: Trace, count: Item) -> int:
    """How often a sequence is repeated."""
    if special(trace, count, "__index__") is MISSING:
        throw(trace, TypeError, f"can't multiply sequence by non-int of type '{class_name(count)}'")
    return index_of(trace, count)


@lookaside(list.__imul__)
def _imul(trace: Trace, sequence: ListValue, count: Item) -> Item:
    times = _count(trace, count)
    host(trace, operator.imul, sequence.change(trace), times)
    return sequence


@lookaside(list.__reversed__, deque.__reversed__)
def _reversed(trace: Trace, sequence: ListValue) -> Item:
    return ReversedIterator(trace, sequence)


@lookaside(tuple.__new__)
def _new_tuple(trace: Trace, cls: Any, iterable: Item = ()) -> Item:
    items = unpack(trace, iterable)
    return make_tuple(items) if cls is tuple else TupleValue(cls, items)


@lookaside(tuple.__hash__)
def _hash(trace: Trace, sequence: Item) -> Item:
    return host(trace, hash, trace.key(sequence))


@lookaside(list.sort)
def _sort(trace: Trace, sequence: ListValue, *, key: Item = None, reverse: Item = False) -> None:
    """The list is empty while its items are compared, as CPython makes it."""
    payload = sequence.change(trace)
    copied = list(payload)
    payload.clear()
    try:
        made = call(trace, sorted, [ListValue(list, copied)], {"key": key, "reverse": reverse})
    except Raised:
        payload[:] = copied
        raise
    modified = bool(payload)
    payload[:] = made.items
    if modified:
        throw(trace, ValueError, "list modified during sort")
