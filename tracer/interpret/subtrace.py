"""Tracing a function that an operator is given, such as a branch of torch.cond, into a graph of its own.

The function is interpreted like any other, while `trace.graph` is a SubGraphBuilder: tensors and sizes from outside of
it are lifted to operands of the call. What it may not do is change anything outside: the operator decides whether, and
how often, it runs. An operator that runs it exactly once in any case `merges` what it does to other objects than
tensors.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch.utils import _pytree

from passes.meta import TensorMeta
from passes.node_meta import SYMBOL, result_meta
from passes.operators.outcome import DataDependent, New, OpError, Outcome, Unsupported
from tracer.graph.subgraph import SubGraphBuilder
from tracer.interpret.call import call
from tracer.interpret.evaluator import EVALUATOR
from tracer.interpret.tensor_ops import new_tensor, node_of
from tracer.interpret.trace import Trace
from tracer.reasons import DATA_DEPENDENT_OPERATOR, HIGHER_ORDER, OPERATOR_ERROR, UNSUPPORTED_CALL
from tracer.values.base import Lazy, Value, realise
from tracer.values.cells import CellValue
from tracer.values.functions import FunctionValue
from tracer.values.item import Item
from tracer.values.iterators import IteratorValue
from tracer.values.kinds import kind_of
from tracer.values.lists import ListValue
from tracer.values.protocols.iteration import unpack
from tracer.values.protocols.truth import truth
from tracer.values.raising import Raised
from tracer.values.tensors import TensorValue

NO_KEYWORDS: Final[Mapping[str, Item]] = {}


class SubTrace(NamedTuple):
    """A function that became a graph of its own. `leaves` are the items in its `result`, and `structure` the item that
    `_pytree.tree_unflatten` makes a result of from such leaves; `draws` says that it draws random numbers.
    """

    builder: SubGraphBuilder
    result: Item
    leaves: list[Item]
    structure: Item
    draws: bool

    @property
    def tensors(self) -> list[TensorValue]:
        """The tensors among the leaves, each once."""
        return list({id(leaf): leaf for leaf in self.leaves if isinstance(leaf, TensorValue)}.values())


def parameter(builder: SubGraphBuilder, name: str, meta: TensorMeta) -> TensorValue:
    """A tensor that the operator passes to the function."""
    return TensorValue(torch.Tensor, builder.parameter(name, meta), meta)


def sub_trace(
    trace: Trace,
    builder: SubGraphBuilder,
    function: Item,
    args: Sequence[Item],
    kwargs: Mapping[str, Item] = NO_KEYWORDS,
    merges: bool = False,
    leaves: Sequence[Item] | None = None,
) -> SubTrace:
    """Interpret `function(*args, **kwargs)` into `builder`. Breaks the graph where that cannot be.

    Containers among the arguments are the function's own if the operator made them anew around these `leaves`.
    """
    arguments = (*args, *kwargs.values()) if leaves is None else leaves
    boundary = _Boundary(trace, (function, *arguments), builder, merges)
    graph, modes, drew, watch = trace.graph, trace.modes, trace.draws, trace.effects.watch
    answers, printed = len(trace.cached.results), len(trace.effects.output_calls)
    trace.graph, trace.draws, trace.effects.watch = builder, False, boundary
    try:
        result = realise(trace, call(trace, function, args, kwargs))
        results, structure = flattened(trace, result)
        draws = trace.draws
    except Raised as raised:
        if not merges:
            trace.stop(HIGHER_ORDER, f"it raises {raised.value.cls.__name__}")
        raise
    finally:
        trace.graph, trace.draws, trace.effects.watch = graph, drew or trace.draws, watch
    boundary.check()
    if trace.modes != modes:
        trace.stop(HIGHER_ORDER, "it leaves a mode of torch set")
    if len(trace.effects.output_calls) != printed:
        trace.stop(HIGHER_ORDER, "it prints, logs or warns")
    if len(trace.cached.results) != answers:
        trace.stop(HIGHER_ORDER, "a function that it calls keeps its results")
    return SubTrace(builder, result, results, structure, draws)


def flattened(trace: Trace, item: Item) -> tuple[list[Item], Item]:
    """The leaves of an item as torch's pytrees see it, realised, and the item that describes its structure."""
    leaves, structure = unpack(trace, call(trace, _pytree.tree_flatten, [item]))
    return [realise(trace, leaf) for leaf in unpack(trace, leaves)], structure


def unflattened(trace: Trace, leaves: Iterable[Item], structure: Item) -> Item:
    """What `flattened` took apart, with other leaves."""
    return call(trace, _pytree.tree_unflatten, [ListValue(list, list(leaves)), structure])


def same_structure(trace: Trace, left: Item, right: Item) -> bool:
    """Whether two items that describe structures are equal."""
    return truth(trace, call(trace, _pytree.TreeSpec.__eq__, [left, right]))


def close(trace: Trace, traced: SubTrace, results: Sequence[TensorValue] | TensorValue) -> None:
    """End the graph of a function: it returns this tensor, or a tuple of these. Its `lifted` are known then."""
    builder = traced.builder

    def node(value: TensorValue) -> torch.fx.Node:
        return builder.reached(node_of(trace, value) if value.node is None else value.node, value)

    builder.close(node(results) if isinstance(results, TensorValue) else tuple(map(node, results)))


def operands_of(*traced: SubTrace) -> list[torch.fx.Node]:
    """What functions lifted from the graph around them, each once, in the order of first use."""
    return list(dict.fromkeys(node for one in traced for node in one.builder.lifted))


def add_body(trace: Trace, name: str, traced: SubTrace, operands: Sequence[torch.fx.Node]) -> torch.fx.Node:
    """The node for a closed function as a module of the graph, which takes its parameters, then `operands`."""
    return trace.graph.attribute(name, traced.builder.sub_module(operands))


def operand_key(value: TensorValue | None, node: torch.fx.Node) -> Any:
    """An operand as the evaluator is asked about it: the meta of a tensor, or a size."""
    return value.meta if value is not None else node.meta.get(SYMBOL, result_meta(node))


def tried(trace: Trace, run: Callable[..., Any], keys: Sequence[Any]) -> Outcome:
    """What a call of bodies gives for operands of these metas, by a trial on stand-ins."""
    try:
        return EVALUATOR.tried(run, tuple(keys), (), trace.modes)[0]
    except OpError as error:
        trace.stop(OPERATOR_ERROR, str(error))
    except DataDependent as error:
        trace.stop(DATA_DEPENDENT_OPERATOR, str(error))
    except Unsupported as error:
        trace.stop(UNSUPPORTED_CALL, str(error))


def without_dimension(meta: TensorMeta, dim: int) -> TensorMeta:
    """The meta of what a tensor is along a dimension."""
    if meta.stride is None:
        return meta
    rest = [(size, step) for d, (size, step) in enumerate(zip(meta.shape, meta.stride, strict=True)) if d != dim]
    shape, stride = tuple(size for size, _ in rest), tuple(step for _, step in rest)
    return meta.replace(shape=shape, stride=stride, requires_grad=False, is_leaf=True)


def result_tensor(trace: Trace, call_node: torch.fx.Node, index: int, meta: TensorMeta) -> TensorValue:
    """Result number `index` of a call that returns a tuple of new tensors."""
    node = trace.graph.call(operator.getitem, (call_node, index), None, meta, trace.location)
    return new_tensor(trace, node, New(meta), [])


class _Boundary:
    """Asked about each change: whether it is one of something outside of the function that is traced.

    Objects from outside of the frame have a path; those that the frame has made are reached from what the function
    is given and closes over, and from what the trace has changed.
    """

    def __init__(self, trace: Trace, roots: Iterable[Item], builder: SubGraphBuilder, merges: bool) -> None:
        self.trace = trace
        self.builder = builder
        self.merges = merges
        self.below = trace.effects.watch
        self.changed: dict[int, Any] = {}
        self.outside = _reachable(trace, (*roots, *trace.effects.contents()))
        if any(isinstance(item, IteratorValue) for item in self.outside.values()):
            trace.stop(HIGHER_ORDER, "it uses an iterator that exists outside of it")

    def __call__(self, changed: Any) -> None:
        if getattr(changed, "source", None) is None and isinstance(changed, Value) and id(changed) not in self.outside:
            return
        if not self.merges:
            self.trace.stop(HIGHER_ORDER, "it changes something outside of it")
        self.changed[id(changed)] = changed
        if self.below is not None:
            self.below(changed)

    def check(self) -> None:
        """Break if a tensor of the function was left in something outside."""
        if not self.changed:
            return
        for item in _reachable(self.trace, (*self.changed.values(), *self.trace.effects.contents())).values():
            if isinstance(item, TensorValue) and item.node is not None and item.node.graph is self.builder.graph:
                self.trace.stop(HIGHER_ORDER, "it stores a tensor outside of it")


def _reachable(trace: Trace, roots: Iterable[Item]) -> dict[int, Any]:
    """Everything that the trace knows to hang on some items, by identity."""
    seen: dict[int, Any] = {}
    waiting = list(roots)
    while waiting:
        item = waiting.pop()
        if type(item) is Lazy:
            item = item.known
        if type(item) is tuple:
            waiting += item
        if not isinstance(item, Value) or id(item) in seen:
            continue
        seen[id(item)] = item
        waiting += item.closure if isinstance(item, FunctionValue) else ()
        waiting += item.tail if isinstance(item, ListValue) else ()
        waiting += (item.content,) if isinstance(item, CellValue) else kind_of(item).parts(item)
    return seen
