"""What guards cost: the time of each, measured natively on the objects of a call that they hold for.

Nothing here runs when a call hits the cache, unless a report is being made.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType
from typing import Any, NamedTuple

from tracer._native import guard_seconds
from tracer.guards.guard_set import Guard
from tracer.guards.source import Source


class GuardCosts(NamedTuple):
    """Seconds: of all guards of an entry at a call, and of each guard alone, in their order.

    The guards together take less than the sum of the single ones: paths that several of them read are read once.
    """

    together: float
    alone: tuple[float, ...]


def guard_costs(
    guards: Sequence[Guard], inputs: Sequence[Source], code: CodeType, function: Any, values: tuple[Any, ...]
) -> GuardCosts:
    """The costs of `guards`, for the call of `function`, with this code, whose parameters have these values."""
    parameters = code.co_varnames[: len(values)]
    nothing = guard_seconds((), (), parameters, function, values)
    alone = (guard_seconds((guard,), (), parameters, function, values) for guard in guards)
    return GuardCosts(
        guard_seconds(guards, inputs, parameters, function, values),
        tuple(max(0.0, seconds - nothing) for seconds in alone),
    )


def seconds_in_words(seconds: float) -> str:
    """A short time: `14 ns`, `1.3 µs`."""
    nanoseconds = seconds * 1e9
    return f"{nanoseconds:.0f} ns" if nanoseconds < 1000 else f"{nanoseconds / 1000:.1f} µs"
