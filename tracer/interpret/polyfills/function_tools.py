"""functools: reduce, partial objects being called, cmp_to_key."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from tracer.interpret.polyfills.common import MISSING
from tracer.interpret.polyfills.registry import replaces


@replaces(functools.reduce)
def reduce(function: Callable[[Any, Any], Any], iterable: Iterable[Any], initial: Any = MISSING, /) -> Any:
    if not hasattr(type(iterable), "__iter__") and not hasattr(type(iterable), "__getitem__"):
        raise TypeError("reduce() arg 2 must support iteration")
    iterator = iter(iterable)
    result = next(iterator, MISSING) if initial is MISSING else initial
    if result is MISSING:
        raise TypeError("reduce() of empty iterable with no initial value")
    for item in iterator:
        result = function(result, item)
    return result


@replaces(functools.partial.__call__)
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


@replaces(functools.cmp_to_key)
def compare_to_key(mycmp: Callable[[Any, Any], Any]) -> Callable[[Any], Comparable]:
    return lambda obj: Comparable(mycmp, obj)
