"""`stance` and `run`: whether calls are captured at all, anew, or answered by the captures that there are."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, TypeVar

from tracer.api import Captured, CapturedCallable
from tracer.dispatch.engine import engines
from tracer.dispatch.hook import never_capture
from tracer.dispatch.stances import DEFAULT, EAGER_ON_RECOMPILE, exchange_stance, stance_now
from tracer.interpret.policy import lookaside
from tracer.reasons import GLOBAL_STATE

Function = TypeVar("Function", bound=Callable[..., Any])


class stance:
    """What captured functions do from now on, as torch.compiler.set_stance: a call, a `with` block or a decorator.

    `"default"`: a call that no capture fits is captured. `"force_eager"`: all originals run.
    `"eager_on_recompile"`: the original runs where no capture fits. `"fail_on_recompile"`: that is a RuntimeError that
    says why. `"eager_then_compile"`: the first call of each function runs the original, and the second is captured.

    It holds for the process. Raises ValueError for another name.
    """

    def __init__(self, name: str = DEFAULT) -> None:
        self.name = name
        self.before = exchange_stance(name)

    def __enter__(self) -> None:
        exchange_stance(self.name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None
    ) -> None:
        exchange_stance(self.before)

    def __call__(self, fn: Function) -> Function:
        exchange_stance(self.before)

        @functools.wraps(fn)
        def in_stance(*args: Any, **kwargs: Any) -> Any:
            before = exchange_stance(self.name)
            try:
                return fn(*args, **kwargs)
            finally:
                exchange_stance(before)

        return _kept_native(in_stance)


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

    return _kept_native(used)


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


def _kept_native(function: Any) -> Any:
    """A function that sets the stance: the graph breaks where it is called, and its frames are never captured."""
    function._bytegraph_disabled = True
    never_capture(function.__code__)
    return function


@lookaside(stance)
def _stance(trace: Any, name: Any = DEFAULT) -> None:
    trace.stop(GLOBAL_STATE, "stance")
