"""Data that is the same in each run: of tensors that the graph computes from numbers of the program alone.

What reads such a tensor is answered while tracing, by computing it.
"""

from __future__ import annotations

import operator
from typing import Final

import torch
from torch.fx import Node

from passes.meta import TensorMeta
from passes.node_meta import META, is_write, modes_of, prediction_of
from passes.operators.catalogue import CPU, name_of
from passes.operators.randomness import draws, is_known
from tracer.interpret.graph_values import nodes_before, result_of
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING
from tracer.values.from_host import from_host
from tracer.values.item import Item
from tracer.values.tensors import TensorValue

MAKERS: Final = frozenset(
    {torch.tensor, torch.as_tensor, torch.arange, torch.linspace, torch.logspace, torch.zeros, torch.ones, torch.full}
    | {torch.eye, torch.tril_indices, torch.triu_indices}
)
"""Functions that make a tensor of numbers; all else that needs no tensor may leave its memory as it finds it."""

UNWRITTEN: Final = ("empty", "new", "resize", "set_")
"""Parts of the names of operators that give memory as they find it, or that of others."""

MOST_NODES: Final = 64
MOST_ELEMENTS: Final = 4096
"""How much is computed for one read."""


def constant_data(trace: Trace, value: TensorValue) -> torch.Tensor | None:
    """The data of a tensor that is the same in each run; None for all others."""
    if value.node is None or trace.graph.is_inner or trace.function_modes:
        return None
    needed = nodes_before(value.node, MOST_NODES)
    if len(needed) > MOST_NODES or not all(map(_is_constant, needed)) or _is_written(trace, needed):
        return None
    trace.constant_reads += 1
    with torch.no_grad():
        return result_of(trace, value.node, needed, {})


def constant_number(trace: Trace, value: TensorValue, reader: str) -> Item:
    """What a method that reads numbers gives for a tensor whose data is the same in each run; MISSING for others."""
    data = constant_data(trace, value)
    if data is None or not (reader == "tolist" or data.numel() == 1):
        return MISSING
    return from_host(trace, getattr(data, reader)())


def _is_constant(node: Node) -> bool:
    """Whether a call gives the same for the same arguments, whenever it is made; tensors are not among those of all."""
    if node._erased or node.op not in ("call_function", "call_method") or is_write(node):
        return False
    if node.target is operator.getitem and prediction_of(node) is None:
        return True  # of the results of one call
    meta, modes, call = node.meta.get(META), modes_of(node), prediction_of(node)
    if call is None or modes is None or modes.autocast or modes.default_dtype != torch.get_default_dtype():
        return False
    if isinstance(meta, TensorMeta) and (meta.symbolic or meta.device != CPU or meta.element_count > MOST_ELEMENTS):
        return False
    if not node.all_input_nodes:
        return node.target in MAKERS
    if any(part in name_of(call.target) for part in UNWRITTEN):
        return False
    return is_known(call.target, call.args) and not draws(call.target, call.args, call.kwargs)


def _is_written(trace: Trace, needed: set[Node]) -> bool:
    """Whether a call writes to one of these, to a view of one, or to anything by means of one."""
    reached = set(needed)
    for node in trace.graph.graph.nodes:
        if not reached.isdisjoint(node.all_input_nodes):
            if is_write(node):
                return True
            reached.add(node)
    return False
