"""Functions behind functools.lru_cache: a call is answered by the cache, and leaves the cache as the plain call would.

What the cache holds for a key of constants is the result, the same object each time. A result that is not there yet is
computed by interpreting the function. If that did nothing else, a literal is taken for the result: the residual program
begins with the real call, and runs the original where that gives another one. For any other object the real call is
made at once, as the plain run would make it now; the program's first run leaves it out. A call that none of these
covers breaks the graph.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple, NoReturn

from tracer.effects.log import CacheCall
from tracer.guards.source import constant
from tracer.interpret.constants import describe
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import LITERALS, MISSING, realise, type_of
from tracer.values.cached_functions import CachedFunction
from tracer.values.concrete import concrete
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.objects import ObjectValue
from tracer.values.raising import Raised
from tracer.values.tuples import make_tuple

Wrapper = Any
"""A functools._lru_cache_wrapper, which is generic for type checkers only."""


class Parts(NamedTuple):
    """What the C code of a cached function keeps: results (or links to them) by key, the function, a separator."""

    table: dict[Any, Any]
    function: Any
    separator: object
    referents: list[Any]


def parts_of(wrapper: Wrapper) -> Parts:
    """The parts of a cached function, in the order in which its C code shows them to the garbage collector."""
    referents = gc.get_referents(wrapper)
    end = len(referents) - 1 - referents[::-1].index(functools._CacheInfo)
    table, function, separator, _ = referents[end - 4 : end]
    return Parts(table, function, separator, referents)


def call_cached(trace: Trace, function: Wrapper, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    """The result of a cached function, with what the call does to its cache noted in the effect log."""
    parts = parts_of(function)
    key = _key(trace, function, parts, args, kwargs)
    calls = trace.effects.cached_calls
    arguments = [_given(trace, arg) for arg in args]
    call = CacheCall(function, arguments, {name: _given(trace, arg) for name, arg in kwargs.items()})
    is_early = not trace.effects.changed
    name = id(function), key
    answer = trace.cached.results.get(name, MISSING)
    is_remade = name in trace.cached.made and name not in trace.cached.interpreted
    if answer is MISSING and key in parts.table and not is_remade:
        result = _result(function, parts, key)
        if type(result) in LITERALS and is_early:
            answer = trace.cached.results[name] = result
        else:
            answer, call = _found(trace, call, parts, key)
    if answer is MISSING:
        return _compute(trace, call, parts, key)
    if not trace.cached.computes:
        calls.append(call._replace(result=answer))
    return answer


def _found(trace: Trace, call: CacheCall, parts: Parts, key: Any) -> tuple[Item, CacheCall]:
    """The object in the cache, which the guards find there, and the call that only counts."""
    trace.guard(constant(parts.table).child("item", key), "same object", parts.table[key])
    result = _result(call.function, parts, key)
    return trace.wrap(result, constant(result)), call._replace(guarded=True)


def _compute(trace: Trace, call: CacheCall, parts: Parts, key: Any) -> Item:
    """The result of a function whose cache does not have it, if all that the call does is to compute and keep it."""
    what = f"{describe(call.function)}, whose cache has no result for these arguments"
    limit = call.function.cache_parameters()["maxsize"]
    pending = sum(owner == id(call.function) for owner, _ in trace.cached.results)
    name = id(call.function), key
    is_full = limit is not None and len(parts.table) + pending >= limit and name not in trace.cached.made
    if trace.effects.changed or is_full:
        _stop(trace, parts, key, what)
    nodes, outer = trace.graph.call_count, trace.cached.computes
    answers, before = dict(trace.cached.results), set(trace.cached.interpreted)
    effects = trace.effects
    logged = len(effects.output_calls), len(effects.draws)
    trace.cached.computes = True
    try:
        result = trace.machine.call(trace, parts.function, call.args, call.kwargs)
    except Raised:
        _stop(trace, parts, key, what)
    finally:
        trace.cached.computes = outer
    has_effects = effects.changed or (len(effects.output_calls), len(effects.draws)) != logged
    if has_effects or trace.graph.call_count != nodes:
        _stop(trace, parts, key, what)
    trace.cached.interpreted.add(name)
    trace.cached.results[name] = result
    if outer:
        return result
    if type(result) in LITERALS:
        trace.effects.cached_calls.append(call._replace(result=result))
        return result
    if trace.graph.is_inner:
        _stop(trace, parts, key, what)
    trace.cached.results = answers
    _make_call(trace, call, name, trace.cached.interpreted - before)
    answer, call = _found(trace, call, parts_of(call.function), key)
    trace.effects.cached_calls.append(call._replace(result=answer, is_made=True))
    return answer


def _make_call(trace: Trace, call: CacheCall, name: tuple[int, Any], interpreted: Set[tuple[int, Any]]) -> None:
    """Make the real call now, unless an earlier trace of this capture did: all who ask the cache get the same object.

    Such a trace interprets again what was `interpreted` then, as that may fix sizes.
    """
    if name in trace.cached.made:
        return
    args = [_identified(trace, arg) for arg in call.args]
    host(trace, call.function, *args, **{keyword: _identified(trace, arg) for keyword, arg in call.kwargs.items()})
    trace.cached.made |= interpreted


def _stop(trace: Trace, parts: Parts, key: Any, what: str) -> NoReturn:
    """Break, until the cache has a result."""
    trace.stop_while((constant(parts.table), "absent", key), UNSUPPORTED_CALL, what)


def _result(function: Wrapper, parts: Parts, key: Any) -> Any:
    """What the cache holds for a key.

    A cache with a limit keeps it in a link, which only the collector looks into. It is shown the class of the cache,
    and then the key, the result and the class of each link in turn.
    """
    entry = parts.table[key]
    if function.cache_parameters()["maxsize"] is None:
        return entry
    stored = next(each for each, link in parts.table.items() if link is entry)
    place = next(place for place in range(1, len(parts.referents), 3) if parts.referents[place] is stored)
    return parts.referents[place + 1]


def _key(trace: Trace, function: Wrapper, parts: Parts, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Any:
    """The key that the C code makes of these arguments; a break if they have none that is the same in every call."""
    try:
        real = [_identified(trace, arg) for arg in args]
        named = [(name, _identified(trace, arg)) for name, arg in kwargs.items()]
        key: list[Any] = [*real, *([parts.separator] if named else []), *(part for pair in named for part in pair)]
        if function.cache_parameters()["typed"]:
            key += [type(arg) for arg in real] + [type(arg) for _, arg in named]
        elif len(key) == 1 and type(key[0]) in (int, str):
            return key[0]
        hash(tuple(key))
    except (NotConcrete, TypeError):
        trace.stop(UNSUPPORTED_CALL, f"{describe(function)}, whose cache is asked for what only the trace knows")
    return tuple(key)


def _given(trace: Trace, item: Item) -> Item:
    """An argument for the real call: an instance from outside, or else a real constant."""
    return item if isinstance(item, ObjectValue) and item.source is not None else concrete(trace, item)


def _identified(trace: Trace, item: Item) -> Any:
    """The object that an argument is in every call of the captured frame: a constant, or one guarded by identity."""
    if not isinstance(item, ObjectValue) or item.source is None or item.object is MISSING:
        return concrete(trace, item)
    cls = type(item.object)
    if cls.__hash__ is not object.__hash__ or cls.__eq__ is not object.__eq__:
        raise NotConcrete
    trace.guard(item.source, "same object", item.object)
    return item.object


SEPARATOR = object()
"""What stands between the arguments of a key and the keywords."""


def call_cached_here(trace: Trace, function: CachedFunction, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    """The result of a cached function that the trace has made: that of an equal call before, or a new one."""
    parts = [realise(trace, arg) for arg in args]
    if kwargs:
        parts += [SEPARATOR, *(part for pair in kwargs.items() for part in pair)]
    if function.typed:
        parts += [type_of(trace, arg) for arg in (*args, *kwargs.values())]
    is_its_own_key = len(parts) == 1 and type(parts[0]) in (int, str)  # as CPython has it: 1 and 1.0 are two keys
    key = parts[0] if is_its_own_key else trace.key(make_tuple(parts))
    result = function.results.get(key, MISSING)
    if result is MISSING:
        result = trace.machine.call(trace, function.function, args, kwargs)
    if function.most is None or function.most > 0:
        function.keep(trace, key, result)
    return result
