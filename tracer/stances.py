"""`stance`: whether calls are captured at all, anew, or answered by the captures that there are."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, TypeVar

from tracer.dispatch.hook import never_capture
from tracer.dispatch.stances import DEFAULT, exchange_stance

Function = TypeVar("Function", bound=Callable[..., Any])


class stance:
    """What captured functions do from now on, as torch.compiler.set_stance: a call, a `with` block or a decorator.

    `"default"` or `"capture"`: a call that no capture fits is captured. `"force_eager"` or `"native"`: all originals
    run. `"eager_on_recompile"`: the original runs where no capture fits. `"fail_on_recompile"` or `"fail on
    recapture"`: that is a RuntimeError that says why. `"eager_then_compile"`: the first call of each function runs the
    original, and the second is captured.

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

        return kept_native(in_stance)


def kept_native(function: Any) -> Any:
    """A function that sets the stance: the graph breaks where it is called, and its frames are never captured."""
    function._bytegraph_disabled = True
    never_capture(function.__code__)
    return function
