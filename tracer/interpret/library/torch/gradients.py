"""`backward()` and `torch.autograd.grad` inside a graph: a call of the graph, for which autograd runs in its replay.

Which tensors get a gradient, and of which strides, is found by running the graph so far, and backward, on stand-ins.
What autograd would do to objects, set `grad` of leaves, is written back by the program, as any other change. Graphs for
compilers end in front of such a call; if no graph may end, with `fullgraph`, the graph is replayed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx.node import map_arg

from passes.node_meta import META
from passes.operators.outcome import DataDependent, New, OpError, Unsupported
from passes.targets.accumulation import accumulated
from tracer.interpret.evaluator import EVALUATOR
from tracer.interpret.policy import lookaside
from tracer.interpret.tensor_ops import new_tensor, node_of, note_write
from tracer.interpret.trace import Trace
from tracer.reasons import BACKWARD
from tracer.values.base import realise
from tracer.values.item import Item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.iteration import unpack
from tracer.values.protocols.truth import truth
from tracer.values.tensors import TensorValue
from tracer.values.tuples import make_tuple

HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")


@lookaside(torch.autograd.backward)
def _backward(
    trace: Trace,
    tensors: Item,
    grad_tensors: Item = None,
    retain_graph: Item = None,
    create_graph: Item = False,
    grad_variables: Item = None,
    inputs: Item = None,
) -> None:
    if truth(trace, create_graph) or grad_variables is not None:
        trace.stop(BACKWARD, "with create_graph or grad_variables")
    _check(trace)
    roots = _tensors(trace, tensors)
    seeds = None if grad_tensors is None else _tensors(trace, grad_tensors, optional=True)
    keeps = truth(trace, retain_graph)
    leaves = _leaves(trace) if inputs is None else _tensors(trace, inputs)
    if any(leaf is None or not leaf.meta.is_leaf for leaf in leaves):
        trace.stop(BACKWARD, "for something besides leaves")
    nodes, seed_nodes = _nodes(trace, roots), None if seeds is None else _nodes(trace, seeds)
    leaf_nodes = _nodes(trace, leaves)

    def run(value: Callable[[Any], Any]) -> tuple[Any, ...]:
        torch.autograd.backward(value(nodes), value(seed_nodes), keeps, inputs=value(leaf_nodes) if inputs else None)
        return tuple(value(node).grad for node in leaf_nodes)

    gradients = _tried(trace, run)
    reached = [(leaf, new) for leaf, new in zip(leaves, gradients, strict=True) if new is not None]
    _accumulate(trace, (nodes, seed_nodes), reached, keeps)


def _accumulate(trace: Trace, roots: tuple[Any, Any], reached: Sequence[tuple[Any, New]], keeps: bool) -> None:
    """Call autograd, and set or change `grad` of the leaves that it reaches, for which it gives new tensors."""
    before: list[Any] = []
    for leaf, _ in reached:
        _refuse_hooks(trace, leaf)
        before.append(realise(trace, get_attribute(trace, leaf, "grad")))
    if not all(isinstance(gradient, TensorValue | None) for gradient in before):
        trace.stop(BACKWARD, "where a gradient is no tensor")
    leaves = [leaf for leaf, _ in reached]
    args = (*roots, _nodes(trace, leaves), _nodes(trace, before), keeps)
    metas = tuple(new.meta for _, new in reached)
    call = trace.graph.call(accumulated, args, None, metas, trace.location, True, trace.modes)
    trace.runs_backward = True
    for index, ((leaf, new), gradient) in enumerate(zip(reached, before, strict=True)):
        if gradient is None:
            part = trace.graph.call(operator.getitem, (call, index), None, new.meta, trace.location)
            leaf.write(trace, "grad", new_tensor(trace, part, New(new.meta), []))
            continue
        note_write(trace, gradient.base, False, False)
        if gradient.base.source is not None and trace.lasting is None:
            trace.lasting, trace.lasting_node = "backward", call


@lookaside(torch.autograd.grad)
def _grad(
    trace: Trace,
    outputs: Item,
    inputs: Item,
    grad_outputs: Item = None,
    retain_graph: Item = None,
    create_graph: Item = False,
    only_inputs: Item = True,
    allow_unused: Item = None,
    is_grads_batched: Item = False,
    materialize_grads: Item = False,
) -> Item:
    if truth(trace, is_grads_batched) or not truth(trace, only_inputs):
        trace.stop(BACKWARD, "of batched gradients")
    roots = _tensors(trace, outputs)
    wanted = _tensors(trace, inputs)
    _check(trace, stays=any(value.source is None for value in wanted))
    seeds = None if grad_outputs is None else _tensors(trace, grad_outputs, optional=True)
    options = {
        "retain_graph": None if retain_graph is None else truth(trace, retain_graph),
        "create_graph": truth(trace, create_graph),
        "allow_unused": None if allow_unused is None else truth(trace, allow_unused),
        "materialize_grads": truth(trace, materialize_grads),
    }
    args = (_nodes(trace, roots), _nodes(trace, wanted), None if seeds is None else _nodes(trace, seeds))
    for value in wanted:
        _refuse_hooks(trace, value)
    results = _tried(trace, lambda value: torch.autograd.grad(*map(value, args), **options))
    metas = tuple(None if result is None else result.meta for result in results)
    call = trace.graph.call(torch.autograd.grad, args, options, metas, trace.location, True, trace.modes)
    trace.runs_backward = True
    items: list[Item] = []
    for index, meta in enumerate(metas):
        if meta is None:
            items.append(None)
            continue
        part = trace.graph.call(operator.getitem, (call, index), None, meta, trace.location)
        items.append(new_tensor(trace, part, New(meta), []))
    return make_tuple(items)


def _check(trace: Trace, stays: bool = False) -> None:
    """Break where a graph cannot hold a call of autograd.

    It `stays` in the graph, which is replayed, if it is about tensors of the graph: between what a compiled graph
    returns, autograd knows no path.
    """
    frame = trace.frame
    if not trace.replays and not trace.options.fullgraph and not stays:
        trace.stop(BACKWARD, "in a graph for a compiler")
    if trace.settings:
        trace.stop(BACKWARD, "in a graph that changes settings of the process")
    if trace.applies_functions:
        trace.stop(BACKWARD, "through a torch.autograd.Function, whose backward may do anything")
    if trace.graph.is_inner or (frame is not None and (frame.protected or frame.handled_here)):
        trace.stop(BACKWARD, "in a function that an operator is given, or within the reach of a handler")


def _tensors(trace: Trace, item: Item, optional: bool = False) -> list[Any]:
    """The tensors that a program hands to autograd: one, or several."""
    items: Sequence[Item] = [item] if isinstance(item, TensorValue) or item is None else unpack(trace, item)
    values = [realise(trace, one) for one in items]
    if any(not isinstance(value, TensorValue) and not (optional and value is None) for value in values):
        trace.stop(BACKWARD, "of something besides tensors")
    return values


def _nodes(trace: Trace, values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(None if value is None else node_of(trace, value) for value in values)


def _leaves(trace: Trace) -> list[TensorValue]:
    """The leaves of the graph that may get a gradient: inputs, and tensors that the graph makes."""
    inputs = [trace.known.get(id(real)) for _, _, real in trace.inputs]
    values = [value for value in (*inputs, *trace.leaves) if isinstance(value, TensorValue)]
    return [value for value in values if value.meta.is_leaf and value.meta.requires_grad]


def _refuse_hooks(trace: Trace, value: TensorValue) -> None:
    """Break for an input with hooks, which run when it gets a gradient; that it has none is guarded."""
    if value.source is None:
        return
    real: Any = value.object
    for name in HOOKS:
        if getattr(real, name) is not None:
            trace.stop(BACKWARD, f"with hooks on {value.source.text}")
        trace.guard(value.source.child("getattr", name), "same object", None)


def _tried(trace: Trace, differentiate: Callable[[Callable[[Any], Any]], tuple[Any, ...]]) -> tuple[Any, ...]:
    """What `differentiate` gives for the graph so far, run on stand-ins: metas of new tensors, or None.

    It is given a function that says what a node, or a structure of them, is in this run. Breaks where that cannot be.
    """
    if trace.wrappers is not None:
        trace.stop(BACKWARD, "through tensors of a subclass")
    for source, _, real in trace.inputs:
        if isinstance(real, torch.Tensor) and real.requires_grad:
            trace.guard(source.child("getattr", "is_leaf"), "equal", real.is_leaf)
            if not real.is_leaf:
                trace.stop(BACKWARD, f"into the graph that {source.text} comes from")
    nodes = list(trace.graph.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"]

    def run(*values: Any) -> tuple[Any, ...]:
        results = dict(zip(inputs, values, strict=True))

        def value(argument: Any) -> Any:
            return map_arg(argument, results.__getitem__)

        for node in nodes:
            if node.op == "get_attr":
                results[node] = trace.graph.attributes[node.target]
            elif node.op != "placeholder":
                args, kwargs = value(node.args), value(node.kwargs)
                method = node.op == "call_method"
                function: Any = getattr(args[0], node.target) if method else node.target
                results[node] = function(*args[method:], **kwargs)
        return differentiate(value)

    try:
        keys = tuple(node.meta[META] for node in inputs)
        return EVALUATOR.tried(run, keys, (), trace.first_modes)[0].result
    except (OpError, DataDependent, Unsupported) as error:
        trace.stop(BACKWARD, str(error))
