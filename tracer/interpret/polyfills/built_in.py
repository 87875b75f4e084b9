"""Built-in functions and classes: sum, min, max, sorted, zip, map, reversed and their like."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tracer.interpret.polyfills.common import MISSING
from tracer.interpret.polyfills.registry import put, replaces
from tracer.interpret.polyfills.sorting import sort_items

# Reductions ------------------------------------------------------------------------------------------


@replaces(builtins.sum)
def sum_of(iterable: Iterable[Any], /, start: Any = 0) -> Any:
    iterator = iter(iterable)
    if isinstance(start, str):
        raise TypeError("sum() can't sum strings [use ''.join(seq) instead]")
    if isinstance(start, bytes):
        raise TypeError("sum() can't sum bytes [use b''.join(seq) instead]")
    if isinstance(start, bytearray):
        raise TypeError("sum() can't sum bytearray [use b''.join(seq) instead]")
    total = start
    for item in iterator:
        total = total + item
    return total


@replaces(math.prod)
def product_of(iterable: Iterable[Any], /, *, start: Any = 1) -> Any:
    total = start
    for item in iterable:
        total = total * item
    return total


@replaces(builtins.any)
def any_of(iterable: Iterable[Any], /) -> bool:
    for item in iterable:  # noqa: SIM110  this is any()
        if item:
            return True
    return False


@replaces(builtins.all)
def all_of(iterable: Iterable[Any], /) -> bool:
    for item in iterable:  # noqa: SIM110  this is all()
        if not item:
            return False
    return True


@replaces(builtins.min)
def min_of(*items: Any, key: Callable[[Any], Any] | None = None, default: Any = MISSING) -> Any:
    return extreme("min", operator.lt, items, key, default)


@replaces(builtins.max)
def max_of(*items: Any, key: Callable[[Any], Any] | None = None, default: Any = MISSING) -> Any:
    return extreme("max", operator.gt, items, key, default)


def extreme(name: str, better: Any, items: tuple[Any, ...], key: Callable[[Any], Any] | None, default: Any) -> Any:
    """The first of the best items, by `better(candidate, best)`."""
    if len(items) == 0:
        raise TypeError(f"{name} expected at least 1 argument, got 0")
    if len(items) > 1:
        if default is not MISSING:
            raise TypeError(f"Cannot specify a default for {name}() with multiple positional arguments")
        candidates = iter(items)
    else:
        candidates = iter(items[0])
    best = next(candidates, MISSING)
    if best is MISSING:
        if default is MISSING:
            raise ValueError(f"{name}() arg is an empty sequence")
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


@replaces(builtins.sorted)
def sorted_list(iterable: Iterable[Any], /, *, key: Callable[[Any], Any] | None = None, reverse: Any = False) -> Any:
    items = [*iter(iterable)]
    sort_items(items, key, reverse)
    return items


# Iterators -------------------------------------------------------------------------------------------


@replaces(builtins.enumerate)
def enumerate_items(iterable: Iterable[Any], start: Any = 0) -> Iterator[Any]:
    return enumerate_from(iter(iterable), operator.index(start))


def enumerate_from(iterator: Iterator[Any], count: int) -> Iterator[Any]:
    for item in iterator:
        yield count, item
        count += 1


@replaces(builtins.zip)
def zip_items(*iterables: Iterable[Any], strict: Any = False) -> Iterator[Any]:
    iterators = []
    for iterable in iterables:
        iterators.append(iter(iterable))
    return zip_strictly(iterators) if strict else zip_shortest(iterators)


def zip_shortest(iterators: list[Iterator[Any]]) -> Iterator[Any]:
    while iterators:
        items = []
        for iterator in iterators:
            item = next(iterator, MISSING)
            if item is MISSING:
                return
            items.append(item)
        yield tuple(items)


def zip_strictly(iterators: list[Iterator[Any]]) -> Iterator[Any]:
    while iterators:
        items = []
        for iterator in iterators:
            item = next(iterator, MISSING)
            if item is MISSING:
                break
            items.append(item)
        met = len(items)
        if met < len(iterators):
            if met:
                raise ValueError(f"zip() argument {met + 1} is shorter than argument{upto(met)}")
            for position in range(1, len(iterators)):
                if next(iterators[position], MISSING) is not MISSING:
                    raise ValueError(f"zip() argument {position + 1} is longer than argument{upto(position)}")
            return
        yield tuple(items)


def upto(count: int) -> str:
    return " 1" if count == 1 else f"s 1-{count}"


@replaces(builtins.map)
def map_items(*arguments: Any) -> Iterator[Any]:
    if len(arguments) < 2:
        raise TypeError("map() must have at least two arguments.")
    iterators = []
    for iterable in arguments[1:]:
        iterators.append(iter(iterable))
    return map_over(arguments[0], iterators)


def map_over(function: Callable[..., Any], iterators: list[Iterator[Any]]) -> Iterator[Any]:
    while True:
        items = []
        for iterator in iterators:
            item = next(iterator, MISSING)
            if item is MISSING:
                return
            items.append(item)
        try:
            result = function(*items)
        except StopIteration:
            return
        yield result


@replaces(builtins.filter)
def filter_items(function: Callable[[Any], Any] | None, iterable: Iterable[Any], /) -> Iterator[Any]:
    return filter_over(None if function is bool else function, iter(iterable), True)


def filter_over(function: Callable[[Any], Any] | None, iterator: Iterator[Any], wanted: bool) -> Iterator[Any]:
    """Items for which the truth of `function(item)` (of the item itself for None) is `wanted`."""
    for item in iterator:
        try:
            answer = item if function is None else function(item)
        except StopIteration:
            return
        if (not answer) is not wanted:
            yield item


@replaces(builtins.reversed)
def reversed_items(sequence: Any, /) -> Any:
    kind = type(sequence)
    method = getattr(kind, "__reversed__", None)
    if method is not None:
        return method(sequence)
    if hasattr(kind, "__reversed__") or not hasattr(kind, "__getitem__") or issubclass(kind, dict):
        raise TypeError(f"'{kind.__name__}' object is not reversible")
    return reverse_by_index(sequence, len(sequence) - 1)


def reverse_by_index(sequence: Any, index: int) -> Iterator[Any]:
    while index >= 0:
        try:
            item = sequence[index]
        except (IndexError, StopIteration):
            return
        yield item
        index -= 1


@replaces(builtins.iter)
def iterate(*arguments: Any) -> Iterator[Any]:
    if len(arguments) == 1:
        return iter(arguments[0])
    function, sentinel = arguments
    if not callable(function):
        raise TypeError("iter(v, w): v must be callable")
    return call_until(function, sentinel)


def call_until(function: Callable[[], Any], sentinel: Any) -> Iterator[Any]:
    while True:
        try:
            item = function()
        except StopIteration:
            return
        if sentinel is item or sentinel == item:
            return
        yield item


# Numbers ---------------------------------------------------------------------------------------------


@replaces(builtins.round)
def round_number(number: Any, ndigits: Any = None) -> Any:
    kind = type(number)
    method = getattr(kind, "__round__", None)
    if method is None:
        raise TypeError(f"type {kind.__name__} doesn't define __round__ method")
    return method(number) if ndigits is None else method(number, ndigits)


@replaces(math.floor)
def floor(number: Any, /) -> Any:
    method = getattr(type(number), "__floor__", None)
    return (float(number) // 1).__int__() if method is None else method(number)


@replaces(math.ceil)
def ceil(number: Any, /) -> Any:
    method = getattr(type(number), "__ceil__", None)
    return -(-float(number) // 1).__int__() if method is None else method(number)


@replaces(math.trunc)
def trunc(number: Any, /) -> Any:
    method = getattr(type(number), "__trunc__", None)
    if method is None:
        raise TypeError(f"type {type(number).__name__} doesn't define __trunc__ method")
    return method(number)


@replaces(builtins.divmod)
def divide(left: Any, right: Any, /) -> Any:
    kind, other = type(left), type(right)
    forward, backward = getattr(kind, "__divmod__", None), getattr(other, "__rdivmod__", None)
    goes_first = kind is not other and issubclass(other, kind) and backward is not getattr(kind, "__rdivmod__", None)
    if goes_first and backward is not None:
        result = backward(right, left)
        if result is not NotImplemented:
            return result
    if forward is not None:
        result = forward(left, right)
        if result is not NotImplemented:
            return result
    if backward is not None and not goes_first and kind is not other:
        result = backward(right, left)
        if result is not NotImplemented:
            return result
    raise TypeError(f"unsupported operand type(s) for divmod(): '{kind.__name__}' and '{other.__name__}'")


@replaces(builtins.abs)
def absolute(number: Any, /) -> Any:
    method = getattr(type(number), "__abs__", None)
    if method is None:
        raise TypeError(f"bad operand type for abs(): '{type(number).__name__}'")
    return method(number)


# Constructors ----------------------------------------------------------------------------------------


def make_list(iterable: Iterable[Any] = (), /) -> list[Any]:
    return [*iter(iterable)]


def make_tuple(iterable: Iterable[Any] = (), /) -> tuple[Any, ...]:
    return iterable if type(iterable) is tuple else (*iter(iterable),)


def make_set(iterable: Iterable[Any] = (), /) -> set[Any]:
    return {*iter(iterable)}


put({builtins.list: make_list, builtins.tuple: make_tuple, builtins.set: make_set})
