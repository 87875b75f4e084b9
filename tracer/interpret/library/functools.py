"""functools: partial objects, reduce and cmp_to_key."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from tracer.interpret.library.shared import NotGiven
from tracer.interpret.policy import (
    lookaside,
    polyfill,
)
from tracer.interpret.trace import Trace
from tracer.values.base import realise
from tracer.values.item import Item
from tracer.values.partials import PartialValue


@lookaside(functools.partial, lazy=True)
def _partial(trace: Trace, function: Item, /, *args: Item, **kwargs: Item) -> Item:
    function = realise(trace, function)
    if isinstance(function, PartialValue) and function.cls is functools.partial:
        args = (*function.arguments, *args)
        kwargs = {**function.keywords, **kwargs}
        function = function.function
    return PartialValue(functools.partial, function, list(args), dict(kwargs))


@polyfill(functools.reduce)
def reduce(function: Callable[[Any, Any], Any], iterable: Iterable[Any], initial: Any = NotGiven, /) -> Any:
    if not hasattr(type(iterable), "__iter__") and not hasattr(type(iterable), "__getitem__"):
        raise TypeError("reduce() arg 2 must support iteration")
    iterator = iter(iterable)
    result = next(iterator, NotGiven) if initial is NotGiven else initial
    if result is NotGiven:
        raise TypeError("reduce() of empty iterable with no initial value")
    for item in iterator:
        result = function(result, item)
    return result


@polyfill(functools.partial.__call__)
def call_partial(self: Any, /, *args: Any, **kwargs: Any) -> Any:
    return self.func(*self.args, *args, **{**self.keywords, **kwargs})


class Comparable:
    """What `cmp_to_key` wraps an object in: ordered by the comparison function."""

    __slots__ = ("compare", "obj")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, compare: Callable[[Any, Any], Any], obj: Any) -> None:
        self.compare = compare
        self.obj = obj

    def __lt__(self, other: Comparable) -> bool:
        return self.compare(self.obj, other.obj) < 0

    def __gt__(self, other: Comparable) -> bool:
        return self.compare(self.obj, other.obj) > 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Comparable) and self.compare(self.obj, other.obj) == 0

    def __le__(self, other: Comparable) -> bool:
        return self.compare(self.obj, other.obj) <= 0

    def __ge__(self, other: Comparable) -> bool:
        return self.compare(self.obj, other.obj) >= 0


@polyfill(functools.cmp_to_key, pure=True)
def compare_to_key(mycmp: Callable[[Any, Any], Any]) -> Callable[[Any], Comparable]:
    return lambda obj: Comparable(mycmp, obj)
