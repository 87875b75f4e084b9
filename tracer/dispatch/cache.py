"""The cache of one code object's captures, strict mode, and the words for a miss.

`FrameCache` and `CapturedFunction` are types of the extension module, which does the work, and `Entry` extends one (see
docs/native_guards.md). Nothing here knows how a frame is captured: the maker of a cache decides what happens on a miss.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any, NamedTuple

import torch  # noqa: F401  # pyright: ignore[reportUnusedImport]  (its libraries must be loaded before ours)

from tracer._native import (
    CALL_ATTRIBUTE,
    RETRY,
    RUN_ORIGINAL,
    CapturedFunction,
    FrameCache,
    Interceptor,
    call_natively,
    stop_watching,
)
from tracer.entry import Entry
from tracer.guards.costs import guard_costs
from tracer.guards.explain import CallFrame, FailedGuard, first_failure
from tracer.reasons import TracerBug

__all__ = [
    "CALL_ATTRIBUTE",
    "RETRY",
    "RUN_ORIGINAL",
    "CapturedFunction",
    "Entry",
    "FrameCache",
    "call_natively",
    "explain_misses",
    "frame_cache",
    "timing_guards",
]

atexit.register(stop_watching)

OnMiss = Callable[[FrameCache, Any, tuple[Any, ...]], Any]


def frame_cache(
    code: CodeType,
    on_miss: OnMiss,
    *,
    recompile_limit: int = 8,
    strict: bool = False,
    on_limit: OnMiss | None = None,
    interceptor: Interceptor | None = None,
) -> FrameCache:
    """An empty cache for calls of `code`.

    `on_miss(cache, function, values)` is called when no entry fits a call. It returns the result of the call, or
    RETRY after it added an entry, or RUN_ORIGINAL. `values` are the parameters' values in `co_varnames` order.
    `on_limit`, with the same arguments, is called once, at the first miss of a cache with `recompile_limit` entries.
    With `strict`, a verdict of the native guards that differs from the reference evaluator's raises TracerBug. While
    an original function runs (RUN_ORIGINAL, an entry whose program is None, a full cache), `interceptor` is active
    for the frames that it calls.
    """
    check = _verdict_check(code) if strict else None
    cache = FrameCache(code, on_miss, recompile_limit, strict=check, on_limit=on_limit)
    cache.interceptor = interceptor
    return cache


_timed: list[list[FrameCache]] = []  # the caches that each report which is being made has set up


@contextmanager
def timing_guards(caches: Iterable[FrameCache]) -> Iterator[None]:
    """While it lasts, measure the guards of each entry that answers a call, once (`Entry.costs`): of these caches, and
    of those in which captures are made meanwhile.
    """
    timed: list[FrameCache] = []
    _timed.append(timed)
    for cache in caches:
        time_guards(cache)
    try:
        yield
    finally:
        _timed[:] = [each for each in _timed if each is not timed]
        for cache in timed:
            if isinstance(cache.strict, _GuardTimer):
                cache.strict = cache.strict.check


def time_guards(cache: FrameCache) -> None:
    """Have the guards of a cache measured if a report is being made, and that is not done already."""
    if _timed and not isinstance(cache.strict, _GuardTimer):
        cache.strict = _GuardTimer(cache.strict, cache.code)
        _timed[-1].append(cache)


class _GuardTimer(NamedTuple):
    """Stands where a cache has its strict check, which it asks first: it is called with every verdict."""

    check: Callable[[Any, Any, tuple[Any, ...], bool], object] | None
    code: CodeType

    def __call__(self, entry: Entry, function: Any, values: tuple[Any, ...], holds: bool) -> None:
        if self.check is not None:
            self.check(entry, function, values, holds)
        if holds and entry.costs is None:
            entry.costs = guard_costs(entry.guards, entry.inputs, self.code, function, values)


def _verdict_check(code: CodeType) -> Callable[[Entry, Any, tuple[Any, ...], bool], None]:
    def check(entry: Entry, function: Any, values: tuple[Any, ...], holds: bool) -> None:
        failure = first_failure(entry.guards, CallFrame.bound(function, code, values))
        if holds and failure is not None:
            raise TracerBug(f"the native guards of {code.co_qualname} hold, but: {failure.words}")
        if not holds and failure is None:
            raise TracerBug(f"a native guard of {code.co_qualname} fails where the reference evaluator finds none")

    return check


def explain_misses(cache: FrameCache, function: Any, values: tuple[Any, ...]) -> list[tuple[Entry, FailedGuard]]:
    """For each entry of the cache the first guard that does not hold for this call."""
    call = CallFrame.bound(function, cache.code, values)
    failures = ((entry, first_failure(entry.guards, call)) for entry in cache.entries)
    return [(entry, failure) for entry, failure in failures if failure is not None]
