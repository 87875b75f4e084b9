"""Jagged nested tensors: what makes them, and their methods, are calls of the graph."""

from __future__ import annotations

import types
from typing import Any

import torch
from torch.nested._internal.nested_tensor import NestedTensor

from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.interpret.wrapper_ops import wrapper_op
from tracer.values.item import Item

FUNCTIONS = (
    *(torch.nested.nested_tensor, torch.nested.as_nested_tensor, torch.nested.nested_tensor_from_jagged),
    *(torch.nested.narrow, torch.nested.masked_select),
)
METHODS = (NestedTensor.values, NestedTensor.offsets, NestedTensor.lengths)


def _register(function: types.FunctionType) -> None:
    @lookaside(function)
    def _call(trace: Trace, *args: Item, **kwargs: Item) -> Item:
        return wrapper_op(trace, function, args, kwargs)


for _function in (*FUNCTIONS, *METHODS):
    _target: Any = _function
    _register(_target)
