"""Calls of functions behind functools.lru_cache, made by residual programs so that the cache counts and keeps them.

A program begins with the calls whose results are literals, and runs the original if one gives another result than the
trace had. Calls whose results the guards have found in the cache are made among the writes, except, in the first run,
those that were made while tracing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracer.guards.checks import equal_constants
from tracer.values.rebuilding import Emitter, Fragment, fragment, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracer.effects.log import CacheCall


def agrees(function: Callable[..., Any], expected: Any, *args: Any, **kwargs: Any) -> bool:
    """Whether a cached function gives the expected result."""
    return equal_constants(function(*args, **kwargs), expected)


def agreement(emitter: Emitter, calls: list[CacheCall]) -> Fragment | None:
    """The condition that all calls with literal results agree with the trace; None if there are none."""
    checked = [call for call in calls if not call.guarded]
    if not checked:
        return None
    test = emitter.constant(agrees, "agrees")
    conditions = [
        fragment(
            "{}({})", test, listed([_function(emitter, call), emitter.constant(call.result), *_given(emitter, call)])
        )
        for call in checked
    ]
    return fragment(" and ".join(["{}"] * len(conditions)), *conditions)


def emit_cached_calls(emitter: Emitter, calls: list[CacheCall]) -> None:
    """Make the calls whose results the guards have found in the cache."""
    for call in calls:
        if call.guarded:
            emitter.say(fragment("{}({})", _function(emitter, call), listed(_given(emitter, call))))


def _function(emitter: Emitter, call: CacheCall) -> Fragment:
    return emitter.constant(_FromSecondCall(call.function) if call.is_made else call.function)


class _FromSecondCall:
    """A function whose first call was made already."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.is_first = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.is_first:
            return self.function(*args, **kwargs)
        self.is_first = False


def _given(emitter: Emitter, call: CacheCall) -> list[Fragment]:
    named = [fragment(f"{name}={{}}", emitter.expression(item)) for name, item in call.kwargs.items()]
    return [*(emitter.expression(item) for item in call.args), *named]
