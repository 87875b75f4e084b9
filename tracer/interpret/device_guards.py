"""Settings of devices that a program depends on: the dtypes of autocast, and the current device of the accelerator."""

from __future__ import annotations

from tracer.guards.state import read_state
from tracer.interpret.trace import Trace

CURRENT = "the current device"


def guard_autocast_dtype(trace: Trace, kind: str) -> None:
    """Guard the dtype that autocast has for a type of devices. Whether it is on is guarded in any case."""
    if kind not in trace.guarded_devices:
        trace.guarded_devices += (kind,)
        trace.guard(None, "state", read_state(kinds=(kind,)))


def guard_current_device(trace: Trace) -> None:
    """Guard the device on which tensors are made where no index says another."""
    if CURRENT not in trace.guarded_devices:
        trace.guarded_devices += (CURRENT,)
        trace.guard(None, "state", read_state(device_index=True))
