"""The cache of one code object's captures, and what strict mode adds to it.

The work is done by the extension module; `FrameCache`, `Entry` and `CapturedFunction` are its types.
Nothing here knows how a frame is captured: whoever makes a cache says what happens on a miss.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any

import torch  # noqa: F401  # pyright: ignore[reportUnusedImport]  (its libraries must be loaded before ours)

from tracer._native import RETRY, RUN_ORIGINAL, CapturedFunction, Entry, FrameCache, Interceptor
from tracer.guards.explain import CallFrame, first_failure
from tracer.guards.guard_set import Guard
from tracer.reasons import TracerBug

__all__ = ["RETRY", "RUN_ORIGINAL", "CapturedFunction", "Entry", "FrameCache", "explain_misses", "frame_cache"]

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

    `on_miss(cache, function, values)` answers a call that no entry fits: with its result, with RETRY
    after adding an entry, or with RUN_ORIGINAL. `values` are those of the parameters in `co_varnames`
    order. `on_limit`, called alike, hears of the first miss after `recompile_limit` entries. With
    `strict`, a native verdict that the reference evaluator does not share raises TracerBug. Where an
    original function runs (RUN_ORIGINAL, an entry whose program is None, a full cache), `interceptor`
    is active for the frames that it calls.
    """
    check = _verdict_check(code) if strict else None
    cache = FrameCache(code, on_miss, recompile_limit, strict=check, on_limit=on_limit)
    cache.interceptor = interceptor
    return cache


def _verdict_check(code: CodeType) -> Callable[[Entry, Any, tuple[Any, ...], bool], None]:
    def check(entry: Entry, function: Any, values: tuple[Any, ...], holds: bool) -> None:
        failure = first_failure(entry.guards, CallFrame.bound(function, code, values))
        if holds and failure is not None:
            raise TracerBug(f"the native guards of {code.co_qualname} hold, yet {failure.words}")
        if not holds and failure is None:
            raise TracerBug(f"a native guard of {code.co_qualname} fails where the reference evaluator finds none")

    return check


def explain_misses(cache: FrameCache, function: Any, values: tuple[Any, ...]) -> list[tuple[Entry, Guard, str]]:
    """For each entry the guard that does not hold for this call, and why, in words."""
    frame = CallFrame.bound(function, cache.code, values)
    failures = ((entry, first_failure(entry.guards, frame)) for entry in cache.entries)
    return [(entry, failure.guard, failure.words) for entry, failure in failures if failure is not None]
