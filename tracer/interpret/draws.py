"""Numbers that each run draws for itself, from a clock or a generator of random numbers, and arrays of them.

The trace knows no number, only that there is one: it can be computed with, kept and given to operators. What needs it
to go on, such as a branch, breaks. An array is an input of the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from passes.meta import meta_of
from tracer.effects.log import Draw
from tracer.interpret.input_names import input_name
from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.trace import Trace
from tracer.reasons import CLOCK, Reason
from tracer.values.item import Item
from tracer.values.number_symbols import FloatSymbol, IntSymbol
from tracer.values.tensors import TensorValue


def drawn(
    trace: Trace,
    function: Any,
    args: Sequence[Item],
    reason: Reason,
    kind: type[FloatSymbol | IntSymbol],
    owner: Item = None,
) -> Item:
    """The symbol for what `function(*args)` gives in each run; `owner` is the generator that this changes."""
    return kind(None, draw=_draw(trace, function, args, reason, owner))


def drawn_tensor(
    trace: Trace, function: Any, args: Sequence[Item], reason: Reason, example: torch.Tensor, owner: Item
) -> TensorValue:
    """The tensor that `function(*args)` gives in each run, all like `example` but for the data.

    The graph is given it, and copies it: what writes to the copy writes to no input.
    """
    draw: Any = _draw(trace, function, args, reason, owner)
    meta = meta_of(example)
    node = trace.graph.placeholder(input_name(draw.name), meta, draw.name)
    trace.inputs.append((draw, node, example))
    return tensor_op(trace, torch.clone, (TensorValue(torch.Tensor, node, meta),))


def _draw(trace: Trace, function: Any, args: Sequence[Item], reason: Reason, owner: Item) -> Draw:
    """The entry in the effect log. A break where numbers cannot be drawn."""
    name = f"{'time' if reason is CLOCK else 'random'}.{function.__name__}"
    if trace.shapes is None or not trace.shapes.draws or trace.graph.is_inner:
        trace.stop(reason, name)
    draw = Draw(function, args, name, reason, owner, trace.graph.call_count == 0)
    trace.effects.draws.append(draw)
    return draw
