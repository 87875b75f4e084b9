"""`run`: calls that use the captures that there are, and make no new ones."""

from __future__ import annotations

import functools
import types
from typing import Any

from tracer.captured import Captured, CapturedCallable
from tracer.dispatch.engine import engines
from tracer.dispatch.stances import DEFAULT, EAGER_ON_RECOMPILE, exchange_stance, stance_now
from tracer.stances import kept_native


def run(fn: Any) -> Any:
    """A function like `fn`, captured or with captures that another captured form of it has made: a call uses what is
    captured, and captures nothing new. Where no capture fits, the original runs.
    """
    called = _with_captures(fn)

    @functools.wraps(fn, updated=()) if hasattr(fn, "__name__") else _unnamed
    def used(*args: Any, **kwargs: Any) -> Any:
        before = exchange_stance(EAGER_ON_RECOMPILE) if stance_now() == DEFAULT else None
        try:
            return called(*args, **kwargs)
        finally:
            if before is not None:
                exchange_stance(before)

    return kept_native(used)


def _unnamed(function: Any) -> Any:
    return function


def _with_captures(fn: Any) -> Any:
    """The captured form of a plain function, by the captures that an engine has of its code."""
    if isinstance(fn, types.MethodType):
        return types.MethodType(_with_captures(fn.__func__), fn.__self__)
    if not callable(fn):
        raise TypeError(f"run takes a callable, not {fn!r}")
    if isinstance(fn, (Captured, CapturedCallable)) or not isinstance(fn, types.FunctionType):
        return fn
    caches = (engine.caches.get(id(fn.__code__)) for engine in engines())
    return next((Captured(fn, cache) for cache in caches if cache is not None and cache.entries), fn)
