"""Functions behind functools.lru_cache: a result that is cached already is not computed again.

A call that the cache answers runs nothing, whatever the function would do: a warning that it issues is
not issued again. Other calls are interpreted, and leave the cache as it is.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Mapping, Sequence
from typing import Any

from tracer.guards.source import Source
from tracer.interpret.trace import Trace
from tracer.values.base import LITERALS, MISSING
from tracer.values.concrete import concrete
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.objects import ObjectValue


def cached_result(
    trace: Trace, function: functools._lru_cache_wrapper[Any], args: Sequence[Item], kwargs: Mapping[str, Item]
) -> Item:
    """The cached result for these arguments; MISSING if there is none, or if the arguments have no real keys."""
    if kwargs or function.cache_parameters()["typed"]:
        return MISSING
    try:
        key = tuple([_identified(trace, arg) for arg in args])
        is_cached = (key[0] if len(key) == 1 and type(key[0]) in (int, str) else key) in _entries(function)
    except (NotConcrete, TypeError):
        return MISSING
    if not is_cached:
        return MISSING
    result = function(*key)
    return result if type(result) in LITERALS else MISSING


def _identified(trace: Trace, item: Item) -> Any:
    """The object that an argument stands for in every call of the captured frame, guarded by identity."""
    if not isinstance(item, ObjectValue) or item.source is None or item.object is MISSING:
        return concrete(trace, item)
    if item.written or _root(item.source) == "argument":
        raise NotConcrete
    trace.guard(item.source, "same object", item.object)
    return item.object


def _root(source: Source) -> str:
    while source.base is not None:
        source = source.base
    return source.accessor


def _entries(function: functools._lru_cache_wrapper[Any]) -> dict[Any, Any]:
    """The dictionary in which the C code keeps the results."""
    return next(
        (table for table in gc.get_referents(function) if type(table) is dict and table is not function.__dict__), {}
    )
