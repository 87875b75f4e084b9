"""Which kernels of attention are switched on: settings of the process that decide what attention returns."""

from __future__ import annotations

from passes.operators.modes import KERNEL_GETTERS
from tracer.guards.source import constant
from tracer.interpret.trace import Trace


def guard_kernels(trace: Trace, count: int = len(KERNEL_GETTERS)) -> None:
    """Guard whether the first `count` kernels were switched on when the frame began: the program depends on them."""
    for index in range(trace.guarded_kernels, count):
        source = constant(KERNEL_GETTERS[index]).child("call", None)
        trace.guard(source, "equal", trace.first_modes.kernels[index])
    trace.guarded_kernels = max(trace.guarded_kernels, count)
