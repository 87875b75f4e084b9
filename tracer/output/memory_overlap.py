"""The guard on aliasing: which tensors that a graph is given share memory with one that it writes to.

A compiler is right only for the aliasing that it was shown, and a meta read after a write (whether a tensor requires
gradients, what shape `t_()` leaves) holds only if the written tensor is not another one of the frame. Graphs that write
to none of their inputs have no such guard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from passes.node_meta import META
from passes.operators.wrapper_layouts import WrapperLayout
from tracer.guards.aliasing import Aliasing, any_written_overlap
from tracer.guards.source import Source
from tracer.values.tensors import TensorValue

if TYPE_CHECKING:
    from tracer.interpret.trace import Trace


def guard_overlaps(trace: Trace, used: set[Any]) -> bool:
    """Guard whether an input that the graph writes to shares memory with another tensor; returns whether one does.

    `used` are the placeholders of the graph. If a write changed what a tensor is (its shape, whether it requires
    gradients), every tensor that the trace looked at takes part, since its meta may have changed with that.
    """
    if not trace.written:
        return False
    tensors: dict[Source, Any] = {source: write.value.object for source, write in trace.written.items()}
    count = len(tensors)
    for source, node, example in trace.inputs:
        is_tensor = isinstance(example, torch.Tensor) and isinstance(source, Source)  # what is drawn is new
        if node in used and is_tensor and not isinstance(node.meta[META], WrapperLayout):
            tensors.setdefault(source, example)
    redefined = [(source, write.line) for source, write in trace.written.items() if write.redefines]
    if redefined:
        for value in trace.known.values():
            if isinstance(value, TensorValue) and value.touched and value.source is not None:
                tensors.setdefault(value.source, value.object)
    if len(tensors) == 1:
        return False
    overlapping = any_written_overlap(list(tensors.values()), count)
    line = next(iter(trace.written.values())).line
    trace.guards.add(None, "aliasing", Aliasing(tuple(tensors), count, overlapping), line)
    if overlapping:  # then one object may not be reached by two paths either, if a write changes what it is
        for source, place in redefined:
            for other in tensors:
                if other is not source:
                    trace.guards.add(source, "not same as", other, place)
    return overlapping
