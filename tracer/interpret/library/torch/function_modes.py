"""The stack of TorchFunctionModes: what the captured function enters itself, which it must also leave."""

from __future__ import annotations

import torch
from torch.utils._device import DeviceContext

from tracer.interpret.call import call
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import EnteredMode, Trace
from tracer.reasons import TENSOR_SUBCLASS
from tracer.values.item import Item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.raising import throw


@lookaside(torch._C._push_on_torch_function_stack)
def _push(trace: Trace, mode: Item) -> None:
    if trace.graph.is_inner:
        trace.stop(TENSOR_SUBCLASS, "a mode is entered in a function that an operator is given")
    trace.function_modes = (*trace.function_modes, EnteredMode(mode, trace.step))


@lookaside(torch._C._pop_torch_function_stack)
def _pop(trace: Trace) -> Item:
    if not trace.function_modes:
        throw(trace, RuntimeError, "Trying to pop from empty mode stack")
    mode = trace.function_modes[-1]
    trace.function_modes = trace.function_modes[:-1]
    return mode.item


@lookaside(torch._C._len_torch_function_stack)
def _length(trace: Trace) -> int:
    return len(trace.function_modes)


@lookaside(torch._C._get_function_stack_at)
def _at(trace: Trace, index: Item) -> Item:
    if type(index) is not int or not 0 <= index < len(trace.function_modes):
        trace.stop(TENSOR_SUBCLASS, "a mode is asked for by an index that is none")
    return trace.function_modes[index].item


@lookaside(torch._C._is_torch_function_mode_enabled)
def _is_enabled(trace: Trace) -> bool:
    return bool(trace.function_modes)


@lookaside(torch.device.__enter__)
def _enter_device(trace: Trace, device: Item) -> Item:
    context = call(trace, DeviceContext, [device])
    call(trace, get_attribute(trace, context, "__enter__"), [])
    return device


@lookaside(torch.device.__exit__)
def _leave_device(trace: Trace, device: Item, *exception: Item) -> Item:
    """The mode of the device, which is always the outermost one."""
    if not trace.function_modes:
        throw(trace, RuntimeError, "Trying to pop from empty mode stack")
    return call(trace, get_attribute(trace, trace.function_modes[0].item, "__exit__"), exception)
