"""The public functions: `capture` and its companions.

This layer is thin: it turns arguments into Options, and `tracer/captured.py` does the rest. That is imported when
something is captured first, as are the engine and the interpreter: `import tracer` takes little time.
"""

from __future__ import annotations

import functools
import os
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

import torch

from passes.importing import import_apart
from passes.meta import TensorMeta
from tracer._native import hit_count
from tracer.compiled_by_torch import warn_of_compiled
from tracer.dispatch import builtins_at_start as builtins_at_start  # before the program replaces one
from tracer.dispatch.hook import exchange_interceptor, never_capture
from tracer.events import LOG, Counters
from tracer.options import Options, refuse_others

if TYPE_CHECKING:
    from passes.rewrite.pipeline import Pass
    from tracer.dispatch.engine import Engine
    from tracer.report import Explanation

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def capture(
    fn: Function,
    *,
    backend: str | Callable[..., Any] = ...,
    fullgraph: bool = ...,
    dynamic: bool | None = ...,
    recompile_limit: int = ...,
    strict: bool = ...,
    mode: str | None = ...,
    options: Mapping[str, Any] | None = ...,
    donate: Iterable[str] | None = ...,
    allocate: Callable[[TensorMeta], torch.Tensor] | None = ...,
    passes: Iterable[Pass] | None = ...,
    cache: str | os.PathLike[str] | None = ...,
) -> Function: ...
@overload
def capture(
    fn: None = None,
    *,
    backend: str | Callable[..., Any] = ...,
    fullgraph: bool = ...,
    dynamic: bool | None = ...,
    recompile_limit: int = ...,
    strict: bool = ...,
    mode: str | None = ...,
    options: Mapping[str, Any] | None = ...,
    donate: Iterable[str] | None = ...,
    allocate: Callable[[TensorMeta], torch.Tensor] | None = ...,
    passes: Iterable[Pass] | None = ...,
    cache: str | os.PathLike[str] | None = ...,
) -> Callable[[Function], Function]: ...


def capture(
    fn: Any = None,
    *,
    backend: str | Callable[..., Any] = "eager",
    fullgraph: bool = False,
    dynamic: bool | None = None,
    recompile_limit: int = 8,
    strict: bool = False,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
    donate: Iterable[str] | None = None,
    allocate: Callable[[TensorMeta], torch.Tensor] | None = None,
    passes: Iterable[Pass] | None = None,
    cache: str | os.PathLike[str] | None = None,
    **others: Any,
) -> Any:
    """Capture `fn` when it is called: its tensor code runs as graphs, its behaviour stays the same.

    `fn` is a function, method, staticmethod, classmethod, nn.Module or any callable; without it a
    decorator is returned. `backend` is a name or `backend(graph_module, example_inputs) -> callable`,
    torch.compile's contract. With `fullgraph` a graph break raises GraphBreakError. `dynamic` says
    whether sizes are symbols (None: from the second capture on that sees a size change). Beyond `recompile_limit`
    entries the original runs. `strict` checks every guard verdict twice, and every rule against its operator.

    `options` go to the backend: a callable gets them as keyword arguments, or as one mapping if it has a parameter
    `options`. `mode` is shorthand for the option of that name, as in torch.compile.

    `donate` names parameters whose tensors `fn` may overwrite: operators then run in place where no result depends
    on it (`donate=()`: on dead intermediates only), and in strict mode donated tensors hold NaN after the call.
    `allocate(meta) -> tensor` gives memory for each output of a graph; the TensorMeta says what the tensor must be.
    `passes` rewrite each graph before the backend compiles it (passes.rewrite.rules has STANDARD and FROZEN).
    `cache` is a folder in which captures outlive the process (docs/cache.md); without it, BYTEGRAPH_CACHE may name one.

    Raises TypeError or ValueError for arguments it does not take, an unknown backend among them; those of torch.compile
    that it has not may have the value that asks for nothing (`disable=False`).
    """
    refuse_others(others)
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"options must be a mapping, not {options!r}")
    if passes is not None:
        from tracer.rewriting import rewriting  # with all rules

        backend = rewriting(backend, passes, options)
    names: Any = tuple(donate) if isinstance(donate, Iterable) and not isinstance(donate, str) else donate
    chosen = Options(
        backend,
        fullgraph,
        dynamic,
        recompile_limit,
        strict,
        {**(options or {}), **({} if mode is None else {"mode": mode})},
        donate=names,
        allocate=allocate,
        cache=os.fspath(cache) if isinstance(cache, os.PathLike) else cache,
    )
    import_apart("tracer.captured")  # with the interpreter; the modes of this thread are none of its business
    from tracer.captured import engine_for

    engine = engine_for(chosen)
    return functools.partial(_captured, engine) if fn is None else _captured(engine, fn, stacklevel=3)


def _captured(engine: Engine, fn: Any, stacklevel: int = 2) -> Any:
    """The captured form of `fn`. A warning is issued at the frame that `stacklevel` says, 1 for this one."""
    from tracer.captured import captured_form

    warn_of_compiled(fn, stacklevel)
    return captured_form(engine, fn)


def disable(fn: Any) -> Any:
    """`fn` as a function that is never captured, and neither is what it calls. Also a decorator."""
    if isinstance(fn, types.MethodType):
        return types.MethodType(disable(fn.__func__), fn.__self__)
    if not callable(fn):
        raise TypeError(f"disable takes a callable, not {fn!r}")

    @functools.wraps(fn)
    def native(*args: Any, **kwargs: Any) -> Any:
        before = exchange_interceptor(None)
        try:
            return fn(*args, **kwargs)
        finally:
            exchange_interceptor(before)

    native._bytegraph_disabled = True  # type: ignore[attr-defined]
    never_capture(native.__code__)  # pyright: ignore[reportAttributeAccessIssue]
    return native


_hits_before_reset = 0


def reset() -> None:
    """Forget every capture, counter and event."""
    global _hits_before_reset
    _hits_before_reset = hit_count()
    if "tracer.captured" in sys.modules:  # or nothing was captured
        from tracer.captured import forget_captures

        forget_captures()
    LOG.clear()


def counters() -> Counters:
    """Totals since the last reset: graphs, ops, breaks by reason, captures, hits, misses, bugs."""
    totals = LOG.counters()
    totals.hits = hit_count() - _hits_before_reset
    return totals


def explain(fn: Any, *args: Any, **kwargs: Any) -> Explanation:
    """Capture `fn`, call it once with these arguments, and explain what was captured and why.

    `fn` itself is not changed; its side effects happen once. For a function that is captured already, the explanation
    covers its earlier captures as well.
    """
    import_apart("tracer.captured")
    from tracer.captured import explanation

    return explanation(fn, args, kwargs)
