"""Profiler ranges of torch: they wrap a computation without changing its result."""

from __future__ import annotations

from torch.autograd.profiler import record_function

from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.values.item import Item


@lookaside(record_function.__enter__)
def _enter_range(trace: Trace, region: Item) -> Item:
    return region


@lookaside(record_function.__exit__)
def _exit_range(trace: Trace, region: Item, *error: Item) -> None:
    return None
