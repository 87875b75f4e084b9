"""Accelerators: what the machine has is read, the current device is guarded, and all else that belongs to the process
(streams, events, memory, the choice of a device, generators) runs natively.
"""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Any

import torch

from passes.accelerator import type_in_use
from tracer.interpret.device_guards import guard_current_device
from tracer.interpret.policy import interpret, interpret_modules, lookaside, pure, refuse, refuse_modules
from tracer.interpret.trace import Trace
from tracer.reasons import DEVICE_STATE, RANDOM_STATE

KINDS = ("cuda", "xpu", "mtia", "mps")
MODULES: tuple[ModuleType, ...] = (torch.cuda, torch.xpu, torch.mtia, torch.mps, torch.accelerator)
FACTS = ("is_available", "device_count", "is_initialized", "current_accelerator", "is_bf16_supported", "_is_compiled")
"""Functions of these modules that tell what the machine has."""

refuse_modules(DEVICE_STATE, "torch.accelerator", *(f"torch.{kind}" for kind in KINDS))
refuse_modules(RANDOM_STATE, *(f"torch.{kind}.random" for kind in KINDS if hasattr(getattr(torch, kind), "random")))
interpret_modules("torch.cuda.amp")
interpret(*{vars(module)[name] for module in MODULES for name in FACTS if name in vars(module)})
interpret(torch.cuda._nvml_based_avail)  # pyright: ignore[reportPrivateUsage]
_is_in_bad_fork: Any = torch.cuda._is_in_bad_fork  # pyright: ignore[reportPrivateUsage]
(interpret if isinstance(_is_in_bad_fork, FunctionType) else pure)(_is_in_bad_fork)  # a build for CUDA has it in C

refuse(DEVICE_STATE, torch.Tensor.pin_memory, torch.Tensor.is_pinned, torch.Tensor.record_stream)
for _class in (torch.Stream, torch.Event):
    refuse(
        DEVICE_STATE,
        _class,
        *(each for each in vars(_class).values() if callable(each) and hasattr(each, "__objclass__")),
    )


@lookaside(torch.accelerator.current_device_index, torch._C._accelerator_getDeviceIndex)
def _current_index(trace: Trace) -> Any:
    return _index(trace, None)


@lookaside(torch.cuda.current_device)
def _current_cuda_device(trace: Trace) -> Any:
    return _index(trace, "cuda")


@lookaside(torch.xpu.current_device)
def _current_xpu_device(trace: Trace) -> Any:
    return _index(trace, "xpu")


def _index(trace: Trace, kind: str | None) -> Any:
    """The current device of an accelerator, of this type if one is named. It does not change inside of a graph."""
    used = type_in_use()
    if used is None or kind not in (None, used):
        trace.stop(DEVICE_STATE, f"the current device of {kind or 'an accelerator'}, which was not used yet")
    guard_current_device(trace)
    return trace.first_modes.device_index
