"""Tensors that are given the memory of another tensor: `x.data = y` and `x.set_(y)`, calls of the graph.

The tensor is the same object with another meta, and from then on has the other's memory. To autograd its views stay
its views. Graphs for compilers end in front of such a call; if none may end, with `fullgraph`, the graph is replayed.
"""

from __future__ import annotations

from typing import Any

import torch

from passes.targets.memory_moves import move_data, move_memory
from tracer.interpret.policy import lookaside
from tracer.interpret.size_nodes import assert_assumptions
from tracer.interpret.tensor_ops import node_of, note_write, refuse_with_new_gradients
from tracer.interpret.trace import Trace
from tracer.reasons import TENSOR_STORAGE
from tracer.values.base import realise
from tracer.values.item import Item
from tracer.values.tensors import TensorValue


@lookaside(move_data)
def _set_data(trace: Trace, tensor: Item, other: Item) -> None:
    _move(trace, tensor, other, "Tensor.data is set", move_data)


@lookaside(torch.Tensor.set_)
def _set(trace: Trace, tensor: Item, source: Item = None, *places: Item) -> Item:
    source = realise(trace, source)
    differentiated = any(isinstance(one, TensorValue) and one.meta.requires_grad for one in (tensor, source))
    if places or (differentiated and trace.modes.grad):
        trace.stop(TENSOR_STORAGE, "Tensor.set_ of a storage, or between tensors that require gradients")
    _move(trace, tensor, source, "Tensor.set_ is called", move_memory)
    return tensor


def _move(trace: Trace, tensor: Item, other: Item, what: str, function: Any) -> None:
    other = realise(trace, other)
    if not isinstance(tensor, TensorValue) or not isinstance(other, TensorValue):
        trace.stop(TENSOR_STORAGE, what)
    nodes = node_of(trace, tensor), node_of(trace, other)
    if not _can_move(trace, tensor, other):
        trace.stop(TENSOR_STORAGE, what)
    refuse_with_new_gradients(trace, tensor.meta, other.meta)
    if trace.lasting is None and tensor.source is not None:
        assert_assumptions(trace)
    note_write(trace, tensor.base, redefines=True, differentiated=False)
    call = trace.graph.call(function, nodes, None, None, trace.location, True, trace.modes)
    trace.moves_memory = True
    if tensor.source is not None:
        trace.counts_writes = False
        if trace.lasting is None:
            trace.lasting, trace.lasting_node = what, call
    tensor.meta = other.meta.replace(requires_grad=tensor.meta.requires_grad, is_leaf=tensor.meta.is_leaf)
    tensor.viewed = None if other.base is tensor else other.base


def _can_move(trace: Trace, tensor: TensorValue, other: TensorValue) -> bool:
    """Whether torch takes the other's memory, and the trace knows all that has the memory of either."""
    if trace.graph.is_inner or (not trace.replays and not trace.options.fullgraph):
        return False
    if trace.options.donate is not None or trace.options.allocate is not None:
        return False
    if tensor.base.owner is not None or other.base.owner is not None or tensor is other:
        return False
    facts = ("dtype", "device", "layout", "is_conj", "is_neg", "is_inference")
    return all(getattr(tensor.meta, fact) == getattr(other.meta, fact) for fact in facts)
