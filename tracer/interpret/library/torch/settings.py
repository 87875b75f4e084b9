"""Modes and settings of torch: a read is answered from the trace, a change becomes a node of the graph.

A setter becomes a node, so that what runs after it (in the graph or behind a break) sees the mode.
"""

from __future__ import annotations

from typing import Any

import torch

from passes.operators.modes import DEVICE, KERNEL_GETTERS, KERNEL_SETTERS, enter_inference, leave_inference
from tracer.interpret.assertions import assumed
from tracer.interpret.attention_kernels import guard_kernels
from tracer.interpret.device_guards import guard_autocast_dtype
from tracer.interpret.policy import lookaside, named_lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import CONTEXT_MANAGER, UNSUPPORTED_CALL
from tracer.values.base import Value, class_of, realise
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, no_parts, no_rebuild, register
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.truth import truth

ALWAYS: tuple[tuple[bool, tuple[Any, ...]], ...] = (
    (
        False,
        (
            torch.compiler.is_exporting,
            torch.jit.is_scripting,  # pyright: ignore[reportPrivateImportUsage]
            torch.jit.is_tracing,  # pyright: ignore[reportPrivateImportUsage]
        ),
    ),
)
"""Functions with a fixed answer while a frame is captured."""

for _answer, _functions in ALWAYS:
    for _function in _functions:
        lookaside(_function)(lambda trace, *args, answer=_answer: answer)


def says_compiling(trace: Trace) -> bool:
    """Tell the program that it is being compiled, which is noted: a frame that then raises an error runs natively."""
    trace.answers_compiling = True
    return True


named_lookaside("torch._dynamo.external_utils", "is_compiling")(says_compiling)
named_lookaside("torch._dynamo", "is_compiling")(says_compiling)
named_lookaside("torch.onnx", "is_in_onnx_export")(lambda trace: False)

SIZE_QUESTIONS = ("guard_or_false", "guard_or_true", "guard_size_oblivious", "statically_known_true")
for _name in SIZE_QUESTIONS:
    named_lookaside("torch.fx.experimental.symbolic_shapes", _name)(lambda trace, fact, *rest: truth(trace, fact))
named_lookaside("torch.fx.experimental.symbolic_shapes", "_advise_is_size")(lambda trace, size: None)
named_lookaside("torch.fx.experimental.symbolic_shapes", "_advise_is_bounded")(lambda trace, size, bound: None)
named_lookaside("torch.fx.experimental.symbolic_shapes", "is_nested_int")(lambda trace, size: False)


@named_lookaside("torch.fx.experimental.symbolic_shapes", "expect_true")
def _expect_true(trace: Trace, fact: Item, skip: Item = 0) -> bool:
    """What torch._check asks. A condition on data is taken to hold from here on, and asserted by the graph."""
    return assumed(trace, fact)


@named_lookaside("torch.distributed.distributed_c10d", "is_initialized")
def _is_distributed(trace: Trace) -> bool:
    world = get_attribute(trace, torch.distributed.distributed_c10d, "_world")
    return realise(trace, get_attribute(trace, world, "_default_pg")) is not None


@lookaside(torch._C._get_tracing_state)
def _tracing_state(trace: Trace) -> None:
    return None


def switch(trace: Trace, item: Item) -> bool:
    """What a mode is set to: C takes bools only, not numpy's."""
    if class_of(realise(trace, item)) is not bool:
        trace.stop(UNSUPPORTED_CALL, "a mode is set by something besides a bool")
    return truth(trace, item)


def _read_kernel(index: int) -> Any:
    def read(trace: Trace) -> bool:
        guard_kernels(trace)
        return trace.modes.kernels[index]

    return read


def _choose_kernel(index: int) -> Any:
    def choose(trace: Trace, enabled: Item) -> None:
        enabled = switch(trace, enabled)
        guard_kernels(trace)
        kernels = trace.modes.kernels
        if enabled != kernels[index]:
            trace.modes = trace.modes._replace(kernels=(*kernels[:index], enabled, *kernels[index + 1 :]))
            trace.graph.call(KERNEL_SETTERS[index], (enabled,), None, None, trace.location, writes=True)

    return choose


for _index, (_getter, _setter) in enumerate(zip(KERNEL_GETTERS, KERNEL_SETTERS, strict=True)):
    lookaside(_getter)(_read_kernel(_index))
    lookaside(_setter)(_choose_kernel(_index))


# Gradients and inference -----------------------------------------------------------------------------


@lookaside(torch.is_grad_enabled)
def _is_grad_enabled(trace: Trace) -> bool:
    return trace.modes.grad


@lookaside(torch.is_inference_mode_enabled)
def _is_inference(trace: Trace) -> bool:
    return trace.modes.inference


@lookaside(torch._C._set_grad_enabled)
def _set_grad_enabled(trace: Trace, enabled: Item) -> None:
    enabled = switch(trace, enabled)
    if trace.modes.grad != enabled:
        trace.modes = trace.modes._replace(grad=enabled)
        trace.graph.call(torch._C._set_grad_enabled, (enabled,), None, None, trace.location, writes=True)


class InferenceGuard(Value):
    """The state of a traced `torch.inference_mode` between its entry and its exit."""

    __slots__ = ("before", "birth", "enabled")

    def __init__(self, trace: Trace, enabled: bool) -> None:
        super().__init__(torch._C._InferenceMode)
        self.birth = trace.step
        self.enabled = enabled
        self.before = trace.modes


register(Kind(BORN, no_parts, no_constant, no_graph_argument, no_rebuild), InferenceGuard)


@lookaside(torch._C._InferenceMode)
def _inference_guard(trace: Trace, enabled: Item) -> Item:
    return InferenceGuard(trace, switch(trace, enabled))


@lookaside(torch._C._InferenceMode.__enter__.__func__)  # type: ignore[attr-defined]
def _enter_inference(trace: Trace, guard: Item) -> None:
    if not isinstance(guard, InferenceGuard):
        trace.stop(CONTEXT_MANAGER, "an inference mode from outside")
    guard.before = trace.modes
    trace.modes = trace.modes._replace(inference=guard.enabled, grad=not guard.enabled)
    trace.graph.call(enter_inference, (guard.enabled,), None, None, trace.location, writes=True)


@lookaside(torch._C._InferenceMode.__exit__.__func__)  # type: ignore[attr-defined]
def _leave_inference(trace: Trace, guard: Item, *exception: Item) -> None:
    if not isinstance(guard, InferenceGuard):
        trace.stop(CONTEXT_MANAGER, "an inference mode from outside")
    trace.modes = trace.modes._replace(inference=guard.before.inference, grad=guard.before.grad)
    trace.graph.call(leave_inference, (), None, None, trace.location, writes=True)


# Autocast --------------------------------------------------------------------------------------------


def _autocast_of(trace: Trace, device: Item) -> tuple[str, bool, torch.dtype]:
    """Autocast of a type of devices where the trace is: its name, whether autocast is on, and the dtype."""
    kind = realise(trace, device)
    if type(kind) is not str:
        trace.stop(UNSUPPORTED_CALL, "autocast is asked about something besides a type of devices")
    guard_autocast_dtype(trace, kind)
    modes = trace.modes
    if kind == DEVICE:
        return kind, modes.autocast, modes.autocast_dtype
    if modes.elsewhere is not None and modes.elsewhere[0] == kind:
        return modes.elsewhere
    return kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)


def _set_autocast(trace: Trace, kind: str, enabled: bool, dtype: torch.dtype) -> None:
    """Note what autocast is set to, which a call of the graph does."""
    if kind == DEVICE:
        trace.modes = trace.modes._replace(autocast=enabled, autocast_dtype=dtype)
    elif trace.modes.elsewhere is not None and trace.modes.elsewhere[0] == kind:
        trace.modes = trace.modes._replace(elsewhere=(kind, enabled, dtype))
    elif (enabled, dtype) != (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)):
        trace.stop(CONTEXT_MANAGER, f"autocast on {kind}, which was not used yet")


@lookaside(torch.is_autocast_enabled)
def _is_autocast_enabled(trace: Trace, device: Item = "cuda") -> bool:
    return _autocast_of(trace, device)[1]


@lookaside(torch.is_autocast_cpu_enabled)
def _is_autocast_cpu_enabled(trace: Trace) -> bool:
    return trace.modes.autocast


@lookaside(torch._C._is_any_autocast_enabled)
def _is_any_autocast_enabled(trace: Trace) -> bool:
    elsewhere = trace.modes.elsewhere
    return trace.modes.autocast or (elsewhere is not None and elsewhere[1])


@lookaside(torch.get_autocast_dtype)
def _get_autocast_dtype(trace: Trace, device: Item) -> torch.dtype:
    return _autocast_of(trace, device)[2]


@lookaside(torch.is_autocast_cache_enabled)
def _is_cache_enabled(trace: Trace) -> bool:
    return torch.is_autocast_cache_enabled()


@lookaside(torch.set_autocast_enabled)
def _set_autocast_enabled(trace: Trace, device: Item, enabled: Item) -> None:
    kind, _, dtype = _autocast_of(trace, device)
    enabled = switch(trace, enabled)
    _set_autocast(trace, kind, enabled, dtype)
    trace.graph.call(torch.set_autocast_enabled, (kind, enabled), None, None, trace.location, writes=True)


@lookaside(torch.set_autocast_dtype)
def _set_autocast_dtype(trace: Trace, device: Item, dtype: Item) -> None:
    kind, enabled, _ = _autocast_of(trace, device)
    dtype = realise(trace, dtype)
    _set_autocast(trace, kind, enabled, dtype)
    trace.graph.call(torch.set_autocast_dtype, (kind, dtype), None, None, trace.location, writes=True)


@lookaside(torch.set_autocast_cache_enabled)
def _set_cache_enabled(trace: Trace, enabled: Item) -> None:
    trace.graph.call(
        torch.set_autocast_cache_enabled, (switch(trace, enabled),), None, None, trace.location, writes=True
    )


@lookaside(torch.autocast_increment_nesting)
def _increment_nesting(trace: Trace) -> int:
    trace.autocast_depth += 1
    trace.graph.call(torch.autocast_increment_nesting, (), None, None, trace.location, writes=True)
    return trace.autocast_depth


@lookaside(torch.autocast_decrement_nesting)
def _decrement_nesting(trace: Trace) -> int:
    trace.autocast_depth -= 1
    trace.graph.call(torch.autocast_decrement_nesting, (), None, None, trace.location, writes=True)
    return trace.autocast_depth


@lookaside(torch.clear_autocast_cache)
def _clear_cache(trace: Trace) -> None:
    trace.graph.call(torch.clear_autocast_cache, (), None, None, trace.location, writes=True)
