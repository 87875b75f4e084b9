"""A cache with one entry for a function, to see whether calls fit its guards. Always strict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from passes.meta import meta_of
from tracer.dispatch.cache import RUN_ORIGINAL, CapturedFunction, Entry, FrameCache, frame_cache
from tracer.guards.checks import tensor_facts
from tracer.guards.guard_set import GuardSet
from tracer.guards.source import Source, argument


class Point:
    kind = "plane"

    def __init__(self, x: Any = 1, y: Any = 2) -> None:
        self.x, self.y = x, y


class Other:
    pass


class Probe:
    """`probe.fits(*args)` calls `function` through its cache: True if the entry's program ran."""

    def __init__(self, function: Callable[..., Any], guards: GuardSet, inputs: Iterable[Source] = ()) -> None:
        self.function = function
        self.given: list[tuple[Any, ...]] = []
        self.entry = Entry(guards, list(inputs), self._program)
        self.cache: FrameCache = frame_cache(function.__code__, lambda *_: RUN_ORIGINAL, strict=True)
        self.cache.add(self.entry)
        self.captured = CapturedFunction(function, self.cache)

    def _program(self, *values: Any) -> None:
        self.given.append(values)

    def fits(self, *args: Any, **kwargs: Any) -> bool:
        """Two calls, as the second goes by what the first left behind; both must agree."""
        verdicts = set()
        for _ in range(2):
            before = self.entry.hits
            self.captured(*args, **kwargs)
            verdicts.add(self.entry.hits > before)
        assert len(verdicts) == 1, "the second call of the same arguments found another verdict"
        return verdicts.pop()


def probe(function: Callable[..., Any], *rows: tuple[Any, ...], inputs: Iterable[Source] = ()) -> Probe:
    """A probe whose guards are `rows` of (source, check, expected)."""
    guards = GuardSet()
    for row in rows:
        guards.add(*row)
    return Probe(function, guards, inputs)


def tensor_row(tensor: torch.Tensor, source: Source | None = None, **options: Any) -> tuple[Any, ...]:
    return source or argument("x"), "tensor", tensor_facts(tensor, meta_of(tensor), **options)


def identity(x: Any) -> Any:
    return x
