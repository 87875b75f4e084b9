"""What tensors offer beside operators: torch.Tensor(...), torch.FloatTensor(...), Tensor.new, Tensor.storage_offset.

Sizes make an uninitialised tensor, a list of numbers one that holds them; both live on the CPU, or where
the tensor is whose method `new` is called. An array of numpy gives its memory, if it is of the same dtype.
"""

from __future__ import annotations

from typing import Any

import torch

from tracer.interpret.call import call
from tracer.interpret.library.torch.arrays import tensor_of_array
from tracer.interpret.policy import lookaside
from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import realise
from tracer.values.item import Item
from tracer.values.lists import ListValue
from tracer.values.numpy_arrays import NumpyArray
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.truth import truth
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue

LEGACY_TENSORS: dict[Any, torch.dtype] = {
    torch.FloatTensor: torch.float32,
    torch.DoubleTensor: torch.float64,
    torch.HalfTensor: torch.float16,
    torch.LongTensor: torch.int64,
    torch.IntTensor: torch.int32,
    torch.ShortTensor: torch.int16,
    torch.CharTensor: torch.int8,
    torch.ByteTensor: torch.uint8,
    torch.BoolTensor: torch.bool,
}
"""By tensor class: the dtype of the tensors that a call creates, and that `isinstance` looks for."""

CPU = torch.device("cpu")


def _construct(trace: Trace, dtype: torch.dtype | None, args: tuple[Item, ...], device: torch.device = CPU) -> Item:
    items = [realise(trace, arg) for arg in args]
    kind = {"dtype": dtype or trace.modes.default_dtype, "device": device}
    if len(items) == 1 and (isinstance(items[0], (ListValue, TupleValue)) or type(items[0]) is tuple):
        return tensor_op(trace, torch.tensor, items, kind)
    if len(items) == 1 and dtype is None and isinstance(items[0], TensorValue):
        return tensor_op(trace, torch.ops.aten.alias.default, items)
    if len(items) == 1 and isinstance(items[0], NumpyArray):
        return tensor_of_array(trace, items[0], dtype or trace.modes.default_dtype)
    if len(items) == 1 and type(items[0]) is torch.Size:
        return tensor_op(trace, torch.empty, items, kind)
    if all(isinstance(item, (int, torch.SymInt)) and not isinstance(item, bool) for item in items):
        return tensor_op(trace, torch.empty, [tuple(items) or (0,)], kind)
    trace.stop(UNSUPPORTED_CALL, "a tensor class is called with these arguments")


@lookaside(torch.autograd.Variable)
def _variable(trace: Trace, data: Item, requires_grad: Item = False) -> Item:
    """A tensor of the same data, without history."""
    detached = tensor_op(trace, torch.Tensor.detach, [data])
    if truth(trace, requires_grad):
        return call(trace, get_attribute(trace, detached, "requires_grad_"), [True])
    return detached


def _register(cls: Any, dtype: torch.dtype | None) -> None:
    lookaside(cls)(lambda trace, *args: _construct(trace, dtype, args))


@lookaside(torch.Tensor.new)  # type: ignore[attr-defined]
def _new(trace: Trace, tensor: Item, *args: Item) -> Item:
    if not isinstance(tensor, TensorValue):
        trace.stop(UNSUPPORTED_CALL, "Tensor.new without a tensor")
    tensor.touch(trace)
    return _construct(trace, tensor.meta.dtype, args, tensor.meta.device)


_register(torch.Tensor, None)
for _cls, _dtype in LEGACY_TENSORS.items():
    _register(_cls, _dtype)


@lookaside(torch.Tensor.storage_offset)
def _storage_offset(trace: Trace, tensor: Item) -> Item:
    """The storage offset. That of an input is guarded only when the program reads it, from the input or a view."""
    if not isinstance(tensor, TensorValue):
        trace.stop(UNSUPPORTED_CALL, "Tensor.storage_offset without a tensor")
    base: Any = tensor.base
    if base.source is not None:
        base.touch(trace)
        trace.guard(base.source.child("storage offset", None), "equal", base.object.storage_offset())
    return tensor.meta.storage_offset
