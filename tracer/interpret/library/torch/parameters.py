"""Parameters and buffers that a program makes: a parameter is made by a call of the graph, which autograd takes for a
leaf; a buffer is a tensor with marks.
"""

from __future__ import annotations

from typing import Any

import torch

from tracer.interpret.call import call
from tracer.interpret.policy import lookaside
from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.trace import Trace
from tracer.reasons import GRADIENT_STATE, UNSUPPORTED_CALL
from tracer.values.base import realise
from tracer.values.item import Item
from tracer.values.protocols.truth import truth
from tracer.values.tensors import PLAIN, TensorValue

NEW_BUFFER: Any = vars(torch.nn.Buffer)["__new__"].__func__


@lookaside(torch.nn.Parameter)
def _parameter(trace: Trace, data: Item = None, requires_grad: Item = True) -> Item:
    """A parameter with the memory of a tensor. No compiler returns one."""
    data = call(trace, torch.empty, [0]) if data is None else realise(trace, data)
    if not isinstance(data, TensorValue) or data.cls not in PLAIN:
        trace.stop(UNSUPPORTED_CALL, "a parameter of something besides a plain tensor")
    if not trace.replays or trace.graph.is_inner:
        trace.stop(GRADIENT_STATE, "a parameter is made in a graph that is compiled")
    parameter = tensor_op(trace, torch.nn.Parameter, [data, truth(trace, requires_grad)])
    assert isinstance(parameter, TensorValue)
    parameter.cls = torch.nn.Parameter
    return parameter


@lookaside(torch.nn.Buffer)
def _buffer(trace: Trace, data: Item = None, *, persistent: Item = True) -> Item:
    return trace.machine.call(trace, NEW_BUFFER, [torch.nn.Buffer, data], {"persistent": persistent})
