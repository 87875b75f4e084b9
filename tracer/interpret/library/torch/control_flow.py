"""torch.cond, while_loop, scan and map: operators of torch that are given functions, each a graph of its own.

Predicates and sizes that are known while tracing need no operator: the branch is interpreted in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from passes.meta import TensorMeta
from tracer.graph.subgraph import SubGraphBuilder
from tracer.interpret.call import call
from tracer.interpret.policy import lookaside
from tracer.interpret.subtrace import (
    SubTrace,
    add_body,
    close,
    operands_of,
    parameter,
    result_tensor,
    same_structure,
    sub_trace,
    unflattened,
    without_dimension,
)
from tracer.interpret.tensor_ops import node_of
from tracer.interpret.trace import Trace
from tracer.reasons import HIGHER_ORDER
from tracer.values.base import Value, class_of, realise
from tracer.values.class_attributes import class_name
from tracer.values.item import Item
from tracer.values.protocols.iteration import unpack
from tracer.values.protocols.truth import truth
from tracer.values.tensors import TensorValue

OPERATORS: Any = torch.ops.higher_order


@lookaside(torch.cond, OPERATORS.cond)
def _cond(trace: Trace, pred: Item, true_fn: Item, false_fn: Item, operands: Item = ()) -> Item:
    """torch.cond: both branches become graphs, unless it is known now which one runs."""
    if not isinstance(pred, Value):
        if not issubclass(class_of(pred), (int, float)):
            trace.stop(HIGHER_ORDER, f"torch.cond with a {class_name(pred)} as predicate")  # which torch refuses
        return call(trace, true_fn if truth(trace, pred) else false_fn, unpack(trace, operands))
    if not isinstance(pred, TensorValue) or pred.meta.element_count != 1:
        trace.stop(HIGHER_ORDER, "torch.cond with a predicate that is no tensor of one element")
    args = unpack(trace, operands)
    branches = [sub_trace(trace, SubGraphBuilder(trace.graph), branch, args) for branch in (true_fn, false_fn)]
    yes, no = branches
    if not same_structure(trace, yes.structure, no.structure):
        trace.stop(HIGHER_ORDER, "the branches of torch.cond return different structures")
    for branch in branches:
        refuse_aliases(trace, branch)
    if [type(leaf) for leaf in yes.leaves] != [type(leaf) for leaf in no.leaves]:
        trace.stop(HIGHER_ORDER, "the branches of torch.cond return different types")
    for ours, theirs in zip(yes.leaves, no.leaves, strict=True):
        if not isinstance(ours, TensorValue) and (not isinstance(ours, int) or ours != theirs):
            trace.stop(HIGHER_ORDER, "the branches of torch.cond return something besides tensors and equal ints")
    graded = trace.modes.grad and any(_requires_gradient(branch) for branch in branches)
    metas = [common_meta(trace, pair, graded) for pair in zip(yes.tensors, no.tensors, strict=True)]
    for branch in branches:
        close(trace, branch, branch.tensors)
    lifted = operands_of(*branches)
    nodes = (node_of(trace, pred), *(add_body(trace, name, *pair) for name, pair in _named(branches, lifted)))
    tensors = call_body_operator(trace, OPERATORS.cond, (*nodes, tuple(lifted)), metas)
    by_leaf = dict(zip(map(id, yes.tensors), tensors, strict=True))
    return unflattened(trace, [by_leaf.get(id(leaf), leaf) for leaf in yes.leaves], yes.structure)


def _named(
    branches: Sequence[SubTrace], lifted: Sequence[torch.fx.Node]
) -> list[tuple[str, tuple[SubTrace, Sequence[torch.fx.Node]]]]:
    return [(name, (branch, lifted)) for name, branch in zip(("true_branch", "false_branch"), branches, strict=True)]


def _requires_gradient(traced: SubTrace) -> bool:
    return any(value is not None and value.meta.requires_grad for value in traced.builder.values.values())


def refuse_aliases(trace: Trace, traced: SubTrace) -> None:
    """Break unless each tensor that a function returns has memory of its own: an operator hands over new tensors."""
    bases = [leaf.base for leaf in traced.tensors]
    if not all(traced.builder.is_own(base.node) for base in bases):
        trace.stop(HIGHER_ORDER, "it returns a tensor from outside of it, or a view of one")
    if len({id(base) for base in bases}) < len(bases):
        trace.stop(HIGHER_ORDER, "it returns two tensors that share memory")


def common_meta(trace: Trace, values: Sequence[TensorValue], graded: bool) -> TensorMeta:
    """The meta of a result that is one of several tensors, which must agree in all but gradients."""
    metas = [new_meta(value.meta, graded) for value in values]
    if any(meta is not metas[0] for meta in metas):
        words = " and ".join(meta.words for meta in metas)
        trace.stop(HIGHER_ORDER, f"the results have to be alike: {words}")
    return metas[0]


def new_meta(meta: TensorMeta, graded: bool) -> TensorMeta:
    """The meta of what an operator makes as torch.autograd.Functions do: all of its numbers have gradients, or none."""
    requires_grad = graded and (meta.dtype.is_floating_point or meta.dtype.is_complex)
    return meta.replace(requires_grad=requires_grad, is_leaf=not requires_grad)


def call_body_operator(
    trace: Trace, target: Any, args: Sequence[Any], metas: Sequence[TensorMeta]
) -> list[TensorValue]:
    """The new tensors that an operator of bodies returns, in a tuple."""
    if not metas:
        return []
    node = trace.graph.call(target, args, None, tuple(metas), trace.location)
    return [result_tensor(trace, node, index, meta) for index, meta in enumerate(metas)]


# Loops -----------------------------------------------------------------------------------------------


@lookaside(OPERATORS.map_impl)
def _map(trace: Trace, f: Item, xs: Item, pos_args: Item) -> Item:
    """torch._higher_order_ops.map: the results for each row of `xs`, stacked."""
    rows = _tensors(trace, xs)
    builder = SubGraphBuilder(trace.graph)
    traced = sub_trace(trace, builder, f, [*(_row(builder, x) for x in rows), *unpack(trace, pos_args)])
    _require_tensors(trace, traced)
    refuse_aliases(trace, traced)
    close(trace, traced, traced.tensors)
    lifted = operands_of(traced)
    graded = _is_graded(trace, rows, traced)
    metas = [_stacked(leaf.meta, rows[0].meta.shape[0], graded) for leaf in traced.tensors]
    args = (add_body(trace, "map_body", traced, lifted), tuple(node_of(trace, x) for x in rows), tuple(lifted))
    return unflattened(trace, call_body_operator(trace, OPERATORS.map_impl, args, metas), traced.structure)


@lookaside(OPERATORS.scan)
def _scan(trace: Trace, combine_fn: Item, init: Item, xs: Item, additional_inputs: Item = ()) -> Item:
    """torch._higher_order_ops.scan: what is carried along the rows of `xs`, and the results for each row, stacked."""
    carried, rows = _tensors(trace, init), _tensors(trace, xs)
    builder = SubGraphBuilder(trace.graph)
    arguments = [*(_copy(builder, value) for value in carried), *(_row(builder, x) for x in rows)]
    traced = sub_trace(trace, builder, combine_fn, [*arguments, *unpack(trace, additional_inputs)])
    _require_tensors(trace, traced)
    refuse_aliases(trace, traced)
    close(trace, traced, traced.tensors)
    lifted, count = operands_of(traced), len(carried)
    graded = _is_graded(trace, (*carried, *rows), traced)
    _require_carried(trace, carried, traced.tensors[:count])
    metas = [new_meta(leaf.meta, graded) for leaf in traced.tensors[:count]]
    metas += [_stacked(leaf.meta, rows[0].meta.shape[0], graded) for leaf in traced.tensors[count:]]
    nodes = [tuple(node_of(trace, value) for value in values) for values in (carried, rows)]
    args = (add_body(trace, "scan_body", traced, lifted), *nodes, tuple(lifted))
    return unflattened(trace, call_body_operator(trace, OPERATORS.scan, args, metas), traced.structure)


@lookaside(OPERATORS.while_loop)
def _while_loop(trace: Trace, cond_fn: Item, body_fn: Item, carried_inputs: Item, additional_inputs: Item = ()) -> Item:
    """torch.while_loop: what `body_fn` makes of the carried tensors as long as `cond_fn` says so."""
    carried, more = _tensors(trace, carried_inputs), unpack(trace, additional_inputs)
    parts: list[SubTrace] = []
    for function in (cond_fn, body_fn):
        builder = SubGraphBuilder(trace.graph)
        parts.append(sub_trace(trace, builder, function, [*(_copy(builder, value) for value in carried), *more]))
        _require_tensors(trace, parts[-1])
        refuse_aliases(trace, parts[-1])
    condition, body = parts
    if not isinstance(condition.result, TensorValue) or condition.result.meta.shape or len(body.leaves) != len(carried):
        trace.stop(HIGHER_ORDER, "torch.while_loop with other results than a condition and what is carried")
    _require_carried(trace, carried, body.tensors)
    close(trace, condition, condition.result)
    close(trace, body, body.tensors)
    lifted = operands_of(condition, body)
    graded = _is_graded(trace, carried, *parts)
    metas = [new_meta(leaf.meta, graded) for leaf in body.tensors]
    bodies = [
        add_body(trace, name, part, lifted) for name, part in zip(("loop_condition", "loop_body"), parts, strict=True)
    ]
    args = (*bodies, tuple(node_of(trace, value) for value in carried), tuple(lifted))
    return unflattened(trace, call_body_operator(trace, OPERATORS.while_loop, args, metas), body.structure)


def _tensors(trace: Trace, items: Item) -> list[TensorValue]:
    """The tensors that a loop goes along, or carries."""
    values = [realise(trace, item) for item in unpack(trace, items)]
    tensors = [value for value in values if isinstance(value, TensorValue)]
    if not tensors or len(tensors) != len(values):
        trace.stop(HIGHER_ORDER, "a loop over something besides tensors")
    for value in tensors:
        value.touch(trace)
    return tensors


def _row(builder: SubGraphBuilder, value: TensorValue) -> TensorValue:
    row, graded = without_dimension(value.meta, 0), value.meta.requires_grad
    return parameter(builder, "row", row.replace(requires_grad=graded, is_leaf=not graded, storage_offset=0))


def _copy(builder: SubGraphBuilder, value: TensorValue) -> TensorValue:
    graded = value.meta.requires_grad
    return parameter(builder, "carried", value.meta.replace(is_leaf=not graded, storage_offset=0))


def _is_graded(trace: Trace, values: Sequence[TensorValue], *traced: SubTrace) -> bool:
    """Whether the results of an operator need gradients, as an operand does."""
    return trace.modes.grad and (
        any(value.meta.requires_grad for value in values) or any(map(_requires_gradient, traced))
    )


def _require_tensors(trace: Trace, traced: SubTrace) -> None:
    """Break unless a function returns tensors, each once."""
    if len(traced.tensors) != len(traced.leaves):
        trace.stop(HIGHER_ORDER, "it returns something besides tensors, or one of them twice")


def _require_carried(trace: Trace, before: Sequence[TensorValue], after: Sequence[TensorValue]) -> None:
    """Break unless what a turn of a loop carries on is like what it was given, and contiguous."""
    for one, other in zip(before, after, strict=True):
        expected = new_meta(one.meta, False).replace(storage_offset=0, stride=contiguous(one.meta.shape))
        if expected is not new_meta(other.meta, False):
            trace.stop(HIGHER_ORDER, f"a loop is given {one.meta.words} and carries {other.meta.words} on")


def _stacked(meta: TensorMeta, count: Any, graded: bool) -> TensorMeta:
    """The meta of `count` tensors stacked along a new first dimension."""
    shape = (count, *meta.shape)
    return new_meta(meta, graded).replace(shape=shape, stride=contiguous(shape), storage_offset=0)


def contiguous(shape: Sequence[Any]) -> tuple[Any, ...]:
    """The strides of a contiguous tensor."""
    strides: list[Any] = []
    step: Any = 1
    for size in reversed(shape):
        strides.insert(0, step)
        step = step * (size if size != 0 else 1)
    return tuple(strides)
