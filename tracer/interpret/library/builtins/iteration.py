"""Iterators and what consumes them: iter, next, zip, map, all, any, sum, min, max and their like."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final

from tracer.interpret.call import call
from tracer.interpret.library.shared import ITERATOR_BY_INDEX, NotGiven
from tracer.interpret.policy import lookaside, polyfill, stands_for
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING, Value, realise, type_of
from tracer.values.class_attributes import class_name, special
from tracer.values.dict_views import DictView
from tracer.values.dicts import DictValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.items_iterators import ItemsIterator
from tracer.values.iterators import END, IteratorValue, next_item
from tracer.values.lists import ListValue
from tracer.values.native_words import NO_CALLABLE, OF_NOTHING
from tracer.values.nested_iterators import EnumerateIterator, FilterIterator, MapIterator, ZipIterator
from tracer.values.protocols.iteration import iterate
from tracer.values.protocols.length import index_of
from tracer.values.protocols.operators import binary
from tracer.values.protocols.special_methods import call_special, is_of_program
from tracer.values.protocols.truth import truth
from tracer.values.raising import throw
from tracer.values.sequence_iterators import ReversedIterator
from tracer.values.shapes import as_python
from tracer.values.table_iterators import TABLE_ITERATORS, TableIterator
from tracer.values.tuples import TupleValue


@lookaside(iter)
def _iter(trace: Trace, item: Item, *sentinel: Item) -> Item:
    return call(trace, iterate_until, [item, *sentinel]) if sentinel else iterate(trace, item)


@lookaside(next, lazy=True)
def _next(trace: Trace, iterator: Item, *default: Item) -> Item:
    iterator = realise(trace, iterator)
    if not default and not isinstance(iterator, IteratorValue) and is_of_program(trace, iterator, "__next__"):
        return call_special(trace, iterator, "__next__")  # with what its StopIteration carries
    item = next_item(trace, iterator)
    if item is not END:
        return item
    if default:
        return default[0]
    returned = getattr(iterator, "returned", None)
    throw(trace, StopIteration, *(() if returned is None else (returned,)))


@lookaside(enumerate)
def _enumerate(trace: Trace, iterable: Item, start: Item = 0) -> Item:
    return EnumerateIterator(trace, iterate(trace, iterable), index_of(trace, start))


@lookaside(zip)
def _zip(trace: Trace, *iterables: Item, strict: Item = False) -> Item:
    return ZipIterator(trace, [iterate(trace, iterable) for iterable in iterables], truth(trace, strict))


@lookaside(map)
def _map(trace: Trace, function: Item, *iterables: Item) -> Item:
    if not iterables:
        throw(trace, TypeError, "map() must have at least two arguments.")
    return MapIterator(trace, function, [iterate(trace, iterable) for iterable in iterables])


@lookaside(filter)
def _filter(trace: Trace, function: Item, iterable: Item) -> Item:
    return FilterIterator(trace, realise(trace, function), iterate(trace, iterable))


@lookaside(reversed, range.__reversed__)
def _reversed(trace: Trace, sequence: Item) -> Item:
    sequence = realise(trace, sequence)
    if special(trace, sequence, "__reversed__") is None:
        throw(trace, TypeError, f"'{class_name(sequence)}' object is not reversible")
    if is_of_program(trace, sequence, "__reversed__"):
        return call_special(trace, sequence, "__reversed__")
    if not isinstance(sequence, Value):
        iterator = host(trace, reversed, sequence)
        return ItemsIterator(trace, type(iterator), sequence[::-1] if type(sequence) is range else list(iterator))
    if isinstance(sequence, (ListValue, TupleValue)):
        return ReversedIterator(trace, sequence)
    if isinstance(sequence, DictValue):
        return TableIterator(trace, sequence, "keys", backwards=True)
    if isinstance(sequence, DictView):
        return TableIterator(trace, sequence.dictionary, sequence.kind, backwards=True)
    if special(trace, sequence, "__getitem__") is MISSING:
        throw(trace, TypeError, f"'{class_name(sequence)}' object is not reversible")
    return call(trace, reversed_items, [sequence])


@lookaside(all)
def _all(trace: Trace, iterable: Item) -> bool:
    iterator = iterate(trace, iterable)
    while (item := next_item(trace, iterator)) is not END:
        if not truth(trace, item):
            return False
    return True


@lookaside(any)
def _any(trace: Trace, iterable: Item) -> bool:
    iterator = iterate(trace, iterable)
    while (item := next_item(trace, iterator)) is not END:
        if truth(trace, item):
            return True
    return False


@lookaside(sum)
def _sum(trace: Trace, iterable: Item, start: Item = 0) -> Item:
    total = start = realise(trace, start)
    iterator = iterate(trace, iterable)
    if isinstance(start, (str, bytes)):
        kind, join = ("strings", "''") if isinstance(start, str) else ("bytes", "b''")
        throw(trace, TypeError, f"sum() can't sum {kind} [use {join}.join(seq) instead]")
    item = next_item(trace, iterator)
    if COMPENSATES and type_of(trace, start) in (int, float):
        total, item = _sum_numbers(trace, start, iterator, item)
    while item is not END:
        total = binary(trace, operator.add, total, item)
        item = next_item(trace, iterator)
    return total


COMPENSATES: Final = sum([0.1] * 10) == 1.0
"""Whether `sum` adds what the rounding of floats lost, as from 3.12 on."""


def _sum_numbers(trace: Trace, total: Item, iterator: Item, item: Item) -> tuple[Item, Item]:
    """The sum of what CPython adds as numbers of C, from `item` on, and the item behind it, which is added as any is.

    That begins again once after ints, if adding another object to them gave a float. Symbols become their numbers where
    floats are added, as no operation of a graph rounds in this way.
    """
    while True:
        numbers: list[Item] = []
        while item is not END and type_of(trace, item) in (int, bool, float):
            numbers.append(realise(trace, item))
            item = next_item(trace, iterator)
        if float in {type_of(trace, number) for number in (total, *numbers)}:
            return host(trace, sum, [as_python(number) for number in numbers], total), item
        for number in numbers:
            total = binary(trace, operator.add, total, number)
        if item is END:
            return total, END
        total = binary(trace, operator.add, total, item)
        item = next_item(trace, iterator)
        if type_of(trace, total) is not float:
            return total, item


def iterator_next(trace: Trace, iterator: Item) -> Item:
    """`__next__` of an iterator of C."""
    item = next_item(trace, iterator)
    if item is END:
        throw(trace, StopIteration)
    return item


for _kind in (
    type(iter([])),
    type(iter(())),
    type(iter(int, 1)),
    ITERATOR_BY_INDEX,
    enumerate,
    zip,
    map,
    filter,
    reversed,
    *TABLE_ITERATORS,
):
    lookaside(_kind.__next__)(iterator_next)  # type: ignore[attr-defined]
    lookaside(_kind.__iter__)(lambda trace, iterator: iterator)


@polyfill(min, pure=True, returns_items=True)
def min_of(*items: Any, key: Callable[[Any], Any] | None = None, default: Any = NotGiven) -> Any:
    return extreme("min", operator.lt, items, key, default)


@polyfill(max, pure=True, returns_items=True)
def max_of(*items: Any, key: Callable[[Any], Any] | None = None, default: Any = NotGiven) -> Any:
    return extreme("max", operator.gt, items, key, default)


def extreme(name: str, better: Any, items: tuple[Any, ...], key: Callable[[Any], Any] | None, default: Any) -> Any:
    """The first of the best items, where `better(candidate, best)` says which of two is better."""
    if len(items) == 0:
        raise TypeError(f"{name} expected at least 1 argument, got 0")
    if len(items) > 1:
        if default is not NotGiven:
            raise TypeError(f"Cannot specify a default for {name}() with multiple positional arguments")
        candidates = iter(items)
    else:
        candidates = iter(items[0])
    best = next(candidates, NotGiven)
    if best is NotGiven:
        if default is NotGiven:
            raise ValueError(f"{name}(){OF_NOTHING}")
        return default
    if key is None:
        for candidate in candidates:
            if better(candidate, best):
                best = candidate
        return best
    best_key = key(best)
    for candidate in candidates:
        candidate_key = key(candidate)
        if better(candidate_key, best_key):
            best, best_key = candidate, candidate_key
    return best


def reversed_items(sequence: Any, /) -> Any:
    """`reversed` of an object that is no sequence of the tracer's own."""
    kind = type(sequence)
    if not hasattr(kind, "__getitem__") or issubclass(kind, dict):
        raise TypeError(f"'{kind.__name__}' object is not reversible")
    return reverse_by_index(sequence, len(sequence) - 1)


@stands_for(reversed)
def reverse_by_index(sequence: Any, index: int) -> Iterator[Any]:
    """The items of a sequence from `index` down, read by their index."""
    while index >= 0:
        try:
            item = sequence[index]
        except (IndexError, StopIteration):
            return
        yield item
        index -= 1


def iterate_until(function: Any, sentinel: Any) -> Iterator[Any]:
    """`iter(function, sentinel)`."""
    if not callable(function):
        raise TypeError(NO_CALLABLE)
    return call_until(function, sentinel)


@stands_for(type(iter(int, 1)))
def call_until(function: Callable[[], Any], sentinel: Any) -> Iterator[Any]:
    """What `iter(function, sentinel)` yields."""
    while True:
        try:
            item = function()
        except StopIteration:
            return
        if sentinel is item or sentinel == item:
            return
        yield item
