"""Questions about tensors whose answers the guards of their operators do not cover."""

from __future__ import annotations

from typing import Any

import torch

from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.item import Item
from tracer.values.tensors import TensorValue


@lookaside(torch.Tensor.storage_offset)
def _storage_offset(trace: Trace, tensor: Item) -> Item:
    """Where an input's storage begins is guarded only when the program asks, for the input or a view of it."""
    if not isinstance(tensor, TensorValue):
        trace.stop(UNSUPPORTED_CALL, "Tensor.storage_offset without a tensor")
    base: Any = tensor.base
    if base.source is not None:
        base.touch(trace)
        trace.guard(base.source.child("storage offset", None), "equal", base.object.storage_offset())
    return tensor.meta.storage_offset
