"""Settings of the process: a read is guarded, a change is a call of the graph, which is then replayed.

A compiler would compute under the settings with which it compiles, wherever the graph changes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from passes.operators.modes import SETTINGS
from tracer.guards.source import constant
from tracer.interpret.actions import compute
from tracer.interpret.call import call
from tracer.interpret.library.torch.settings import switch
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import ChangedSetting, Trace
from tracer.reasons import GLOBAL_STATE
from tracer.values.base import realise
from tracer.values.item import Item
from tracer.values.protocols.truth import truth

GETTERS: Final[tuple[Callable[[], Any], ...]] = (
    *(torch._C._get_cublas_allow_tf32, torch._C._get_cudnn_allow_tf32, torch._C._get_float32_matmul_precision),
    *(torch._C._get_cudnn_enabled, torch._C._get_cudnn_benchmark),
    *(torch._C._get_cudnn_deterministic, torch._C._get_deterministic_fill_uninitialized_memory),
    *(torch._C._are_functorch_transforms_active, torch.get_num_threads, torch.get_num_interop_threads),
    *(torch._C._get_math_sdp_allow_fp16_bf16_reduction, torch.is_anomaly_enabled, torch.is_anomaly_check_nan_enabled),
)
"""C functions without arguments that return a setting of the process. A guard calls them again."""

PRECISIONS: Final = (
    torch._C._get_float32_matmul_precision,
    torch._C._get_cublas_allow_tf32,
    torch._C._get_cudnn_allow_tf32,
)
"""Getters of settings of which torch changes several when one is set."""

SWITCHES: Final = tuple(
    setter
    for setter, getter in SETTINGS.items()
    if getter in GETTERS and getter is not torch._C._get_float32_matmul_precision
)
"""Functions that are given whether a setting is on."""

FLOATS: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""What the default dtype may be."""


def _get(function: Any) -> Any:
    def read(trace: Trace) -> Item:
        changed = trace.settings.get(function)
        if function in PRECISIONS and any(other in trace.settings for other in PRECISIONS if other is not function):
            trace.stop(GLOBAL_STATE, "one setting of precision is read after another was set")
        if changed is not None:
            return changed.now
        setting = function()
        trace.guard(constant(function).child("call", None), "equal", setting)
        return setting

    return read


for _function in GETTERS:
    lookaside(_function)(_get(_function))


@lookaside(torch.get_default_dtype)
def _get_default_dtype(trace: Trace) -> torch.dtype:
    return trace.modes.default_dtype


@lookaside(torch._C._get_deterministic_algorithms)
def _get_determinism(trace: Trace) -> bool:
    return trace.modes.deterministic


@lookaside(torch.finfo)
def _finfo(trace: Trace, *dtypes: Item) -> Item:
    """Facts of a dtype, the default one if none is given."""
    return compute(trace, torch.finfo, dtypes or (trace.modes.default_dtype,), {})


def _change(trace: Trace, setter: Any, first: Any, now: Any) -> None:
    """Set a setting that was `first` when the frame began."""
    if trace.graph.is_inner:
        trace.stop(GLOBAL_STATE, f"{setter.__name__} in a function that an operator is given")
    if any(output.node is not None for output in trace.effects.output_calls):
        trace.stop(GLOBAL_STATE, f"{setter.__name__} behind a tensor that is printed")
    getter = SETTINGS[setter]
    before = trace.settings.get(getter)
    trace.settings[getter] = ChangedSetting(setter, first if before is None else before.first, now)
    trace.graph.call(setter, (now,), None, None, trace.location, writes=True)


def _change_to(trace: Trace, setter: Any, now: Any) -> None:
    """Set a setting that no mode of the trace is about: what it was is what it is while tracing, which is guarded."""
    getter = SETTINGS[setter]
    first = None if getter in trace.settings else call(trace, getter, [])
    _change(trace, setter, first, now)


for _function in SWITCHES:
    lookaside(_function)(lambda trace, enabled, setter=_function: _change_to(trace, setter, switch(trace, enabled)))


@lookaside(torch._C._set_float32_matmul_precision)
def _set_precision(trace: Trace, precision: Item) -> None:
    precision = realise(trace, precision)
    if type(precision) is not str or precision not in ("highest", "high", "medium"):
        trace.stop(GLOBAL_STATE, "a precision that torch refuses, or no constant")
    _change_to(trace, torch._C._set_float32_matmul_precision, precision)


@lookaside(torch._C._set_default_dtype)
def _set_default_dtype(trace: Trace, dtype: Item) -> None:
    dtype = realise(trace, dtype)
    if type(dtype) is not torch.dtype or dtype not in FLOATS:
        trace.stop(GLOBAL_STATE, "a default dtype that torch refuses")
    trace.modes = trace.modes._replace(default_dtype=dtype)
    _change(trace, torch._C._set_default_dtype, trace.first_modes.default_dtype, dtype)


def _set_determinism(setter: Any) -> Callable[..., None]:
    def change(trace: Trace, mode: Item, warn_only: Item = False) -> None:
        enabled = switch(trace, mode)
        if truth(trace, warn_only) or torch._C._get_deterministic_algorithms_warn_only():
            trace.stop(GLOBAL_STATE, "warnings of operators that are not deterministic")
        trace.modes = trace.modes._replace(deterministic=enabled)
        _change(trace, setter, trace.first_modes.deterministic, enabled)

    return change


for _function in (torch.use_deterministic_algorithms, torch._C._set_deterministic_algorithms):
    lookaside(_function)(_set_determinism(_function))


@lookaside(torch.set_anomaly_enabled)
def _set_anomaly(trace: Trace, enabled: Item, check_nan: Item = True) -> None:
    """Whether autograd looks for anomalies: what is set already may be set."""
    wanted = switch(trace, enabled), truth(trace, check_nan)
    if wanted != (call(trace, torch.is_anomaly_enabled, []), call(trace, torch.is_anomaly_check_nan_enabled, [])):
        trace.stop(GLOBAL_STATE, "torch.set_anomaly_enabled")


@lookaside(torch.set_num_threads)
def _set_threads(trace: Trace, count: Item) -> None:
    """How many threads compute: what is set already may be set."""
    if realise(trace, count) != call(trace, torch.get_num_threads, []):
        trace.stop(GLOBAL_STATE, "torch.set_num_threads")
