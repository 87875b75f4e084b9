"""functools: partial objects, reduce and cmp_to_key."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterable
from typing import Any, Final

from passes.python_operators import COMPARISONS
from tracer.interpret.library.shared import NotGiven
from tracer.interpret.library.warnings import warn_at
from tracer.interpret.places import place_of_caller
from tracer.interpret.policy import lookaside, polyfill
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL, WARNING
from tracer.values.base import MISSING, UNREAD, realise
from tracer.values.cached_functions import CachedFunction
from tracer.values.class_attributes import class_attribute
from tracer.values.dicts import DictValue
from tracer.values.getters import COMPARISON_KEY, ComparisonKey
from tracer.values.item import Item
from tracer.values.partials import PartialValue
from tracer.values.protocols.operators import compare
from tracer.values.raising import throw


@lookaside(functools.partial, lazy=True)
def _partial(trace: Trace, function: Item, /, *args: Item, **kwargs: Item) -> Item:
    function = realise(trace, function)
    if isinstance(function, PartialValue) and _is_merged(trace, function):
        args = (*function.arguments, *args)
        kwargs = {**function.named(trace), **kwargs}
        function = function.function
    return PartialValue(functools.partial, function, list(args), DictValue(dict, dict(kwargs)))


def _is_merged(trace: Trace, function: PartialValue) -> bool:
    """Whether a partial of a partial takes over what that holds: it has no attributes, and is called as they are."""
    if function.attributes or function.dictionary is not None:
        return False
    if class_attribute(trace, function.cls, "__call__") is not vars(functools.partial)["__call__"]:
        return False
    real: Any = function.object
    if real is MISSING:
        return True
    return all(held is real.keywords for held in gc.get_referents(real) if type(held) is dict)


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


@lookaside(functools._lru_cache_wrapper)
def _cached(trace: Trace, function: Item, maxsize: Item, typed: Item, info: Item, /) -> Item:
    if not (maxsize is None or type(maxsize) is int) or type(typed) is not bool:
        trace.stop(UNSUPPORTED_CALL, "functools.lru_cache with these arguments")
    return CachedFunction(function, maxsize, typed, [maxsize, typed, info], trace.step)


@lookaside(functools._lru_cache_wrapper.cache_clear)
def _clear_cache(trace: Trace, function: Item) -> None:
    if not isinstance(function, CachedFunction):
        trace.stop(UNSUPPORTED_CALL, "functools._lru_cache_wrapper.cache_clear")
    trace.effects.record(function)
    function.results.clear()


def _partial_get(trace: Trace, item: Item, instance: Item, owner: Item = None) -> Item:
    """`partial.__get__` of 3.13, which warns that it will bind one day."""
    if realise(trace, instance) is not None:
        warn_at(trace, WILL_BIND, FutureWarning, WILL_BIND, place_of_caller(trace, 1, WARNING))
    return item


WILL_BIND: Final = (
    "functools.partial will be a method descriptor in future Python versions; "
    "wrap it in staticmethod() if you want to preserve the old behavior"
)
if (_getter := getattr(functools.partial, "__get__", None)) is not None:
    lookaside(_getter)(_partial_get)


@lookaside(functools.cmp_to_key, lazy=True)
def _compare_to_key(trace: Trace, mycmp: Item) -> Item:
    return ComparisonKey(realise(trace, mycmp))


def _comparison(function: Callable[[Any, Any], Any]) -> Any:
    """Two keys are compared by what the comparison of their objects says beside 0."""

    def compare_keys(trace: Trace, left: ComparisonKey, right: Item) -> Item:
        if not isinstance(right, ComparisonKey):
            throw(trace, TypeError, "other argument must be K instance")
        parts = left.field("obj"), right.field("obj")
        if UNREAD in parts:
            throw(trace, AttributeError, "object")
        return compare(trace, function, trace.machine.call(trace, left.comparison, parts), 0)

    return compare_keys


for _row in COMPARISONS:
    lookaside(getattr(COMPARISON_KEY, _row.method))(_comparison(_row.function))
