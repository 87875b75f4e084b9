"""Calls that a compiler would not repeat faithfully: with any backend but the replay they end the graph.

AOTAutograd, under every compiler, traces a graph to one function without side effects: the tensors it returns are new
ones, whose gradients are decided when it compiles. Leaves that a graph makes would lose theirs, and tensors of the
caller's cannot be resized. What nobody but the graph sees may be a leaf: a view of a parameter that is made without
gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from passes.constant_text import is_spelled
from passes.meta import TensorMeta
from passes.operators.outcome import New, Outcome
from tracer.interpret.trace import Trace
from tracer.reasons import GRADIENT_STATE, UNSUPPORTED_CALL
from tracer.values.item import Item
from tracer.values.tensors import TensorValue


def refuse_for_compilers(
    trace: Trace, name: str, args: Sequence[Item], has_out: bool, outcome: Outcome, tensors: Sequence[TensorValue]
) -> None:
    """Break the graph in front of a call of `name` whose outcome a compiler would not give."""
    for leaf in outcome.tensors:
        if type(leaf) is New and leaf.meta.requires_grad and leaf.meta.is_leaf:
            if trace.modes.grad or trace.graph.is_inner or leaf.alias_of is None:
                trace.stop(GRADIENT_STATE, f"{name} makes a leaf that requires gradients")
            if trace.first_modes.grad or trace.modes.inference:
                trace.leaf_views.append(tensors[leaf.alias_of].base)
    for index, after in outcome.mutated.items():
        before = tensors[index].meta
        if after.is_leaf and after.requires_grad != before.requires_grad:
            trace.stop(GRADIENT_STATE, f"{name} makes a tensor a leaf")
        if before.shape != after.shape and (has_out or _elements(before) != _elements(after)):
            trace.stop(UNSUPPORTED_CALL, f"{name} resizes a tensor")
    if name == "detach_" and (tensors[0].source is not None or tensors[0].base is not tensors[0]):
        trace.stop(GRADIENT_STATE, "detach_ of a tensor that may be a view")  # which torch refuses
    if name == "random_" and len(args) > 1:
        trace.stop(UNSUPPORTED_CALL, "random_ from a range")  # no compiler can write `aten.random.from`
    for arg in args:
        if type(arg) in (float, complex) and not is_spelled(arg):
            trace.stop(UNSUPPORTED_CALL, f"{name} with a number that does not read back: {arg!r}")


def _elements(meta: TensorMeta) -> Any:
    count: Any = 1
    for size in meta.shape:
        count = count * size
    return count
