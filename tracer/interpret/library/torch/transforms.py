"""torch.func: vmap, grad, vjp, jvp, and what torch writes with them (jacrev, jacfwd, hessian, functional_call).

torch's own code is interpreted down to the places where functorch's levels would begin. There the function that is
transformed becomes a graph of its own, and the transform is a call of that: functorch computes it, and a trial on
stand-ins tells what it gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from passes.targets import transforms
from tracer.graph.subgraph import SubGraphBuilder
from tracer.interpret.call import call
from tracer.interpret.policy import interpret_modules, lookaside, named_lookaside
from tracer.interpret.subtrace import (
    SubTrace,
    add_body,
    close,
    flattened,
    operand_key,
    operands_of,
    parameter,
    same_structure,
    sub_trace,
    tried,
    unflattened,
    without_dimension,
)
from tracer.interpret.tensor_ops import node_of, unfold
from tracer.interpret.trace import Trace
from tracer.reasons import HIGHER_ORDER
from tracer.values.base import Value, realise
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, no_parts, no_rebuild, register
from tracer.values.protocols.iteration import unpack
from tracer.values.protocols.truth import truth
from tracer.values.tensors import TensorValue
from tracer.values.tuples import make_tuple

VMAP, EAGER = "torch._functorch.vmap", "torch._functorch.eager_transforms"

interpret_modules("torch.func", "torch._functorch.apis", "torch._functorch.utils", VMAP, EAGER)


@named_lookaside("torch._functorch.predispatch", "lazy_load_decompositions")
def _load_decompositions(trace: Trace) -> None:
    return None  # functorch loads them when the graph runs


def transformed(
    trace: Trace, target: Any, options: Sequence[Any], traced: SubTrace, leading: Sequence[TensorValue]
) -> list[Item]:
    """A call of a transform of `passes.targets` with a closed function as its body: the tensors it returns.

    Its operands are `leading`, then what the body lifted.
    """
    lifted = operands_of(traced)
    body = add_body(trace, f"{target.__name__}_body", traced, lifted)
    module = trace.graph.attributes[body.name]
    operands = [traced.builder.values[node] for node in lifted]
    values = [*leading, *operands]
    nodes = [node_of(trace, value) for value in leading]
    nodes += [trace.graph.reached(node, value) for node, value in zip(lifted, operands, strict=True)]
    keys = [operand_key(value, node) for value, node in zip(values, nodes, strict=True)]

    def run(*operands: Any) -> Any:
        return target(module, *options, *operands)

    outcome = tried(trace, run, keys)
    if outcome.mutated:
        trace.stop(HIGHER_ORDER, f"{target.__name__} writes to its operands")
    tensors = [value for value in values if value is not None]
    metas = [value.meta for value in tensors]
    node = trace.graph.call(target, (body, *options, *nodes), None, outcome.metas(metas), trace.location)
    return list(unpack(trace, unfold(trace, outcome.result, node, tensors)))


def _close(trace: Trace, traced: SubTrace) -> None:
    """End the graph of a function whose results must be tensors, as functorch wants them."""
    if not all(isinstance(leaf, TensorValue) for leaf in traced.leaves):
        trace.stop(HIGHER_ORDER, "a transformed function returns something besides tensors")
    close(trace, traced, traced.leaves)  # type: ignore[arg-type]


# vmap ------------------------------------------------------------------------------------------------


@named_lookaside(VMAP, "_flat_vmap")
def _flat_vmap(
    trace: Trace,
    func: Item,
    batch_size: Item,
    flat_in_dims: Item,
    flat_args: Item,
    args_spec: Item,
    out_dims: Item,
    randomness: Item,
    **kwargs: Item,
) -> Item:
    builder = SubGraphBuilder(trace.graph)
    batched: list[TensorValue] = []
    args: list[Item] = []
    in_dims: list[int | None] = []
    for pair in zip(unpack(trace, flat_args), unpack(trace, flat_in_dims), strict=True):
        arg, dim = (realise(trace, item) for item in pair)
        if dim is None:
            args.append(arg)
            continue
        assert isinstance(arg, TensorValue) and isinstance(dim, int)
        arg.touch(trace)
        args.append(parameter(builder, "batched", without_dimension(arg.meta, dim)))
        batched.append(arg)
        in_dims.append(dim)
    items = unpack(trace, unflattened(trace, args, args_spec))
    outside = [*args, *kwargs.values()]
    traced = sub_trace(trace, builder, func, items, kwargs, merges=True, leaves=outside)
    wanted = _out_dims(trace, out_dims, traced)
    _close(trace, traced)
    in_dims += [None] * len(operands_of(traced))
    options = (tuple(in_dims), tuple(wanted), randomness)
    return unflattened(trace, transformed(trace, transforms.vmapped, options, traced, batched), traced.structure)


def _out_dims(trace: Trace, out_dims: Item, traced: SubTrace) -> Sequence[Item]:
    """The dimension along which each tensor is stacked, as `torch._functorch.vmap._unwrap_batched` says."""
    if isinstance(traced.result, TensorValue):
        if out_dims is None or isinstance(out_dims, int):
            return [out_dims]
        if isinstance(out_dims, tuple) and len(out_dims) == 1:
            return out_dims
        trace.stop(HIGHER_ORDER, "out_dims of vmap do not fit the result")
    vmap: Any = torch._functorch.vmap  # type: ignore[attr-defined]
    flat = call(trace, vmap._broadcast_to_and_flatten, [out_dims, traced.structure])
    if flat is None:
        trace.stop(HIGHER_ORDER, "out_dims of vmap do not fit the results")
    return [realise(trace, dim) for dim in unpack(trace, flat)]


# grad, vjp, jvp --------------------------------------------------------------------------------------


def _differentiated(
    trace: Trace, func: Item, args: Item, argnums: Item, kwargs: Mapping[str, Item], graded: bool
) -> tuple[SubTrace, list[TensorValue], Item]:
    """Trace a function with parameters in the place of the arguments that `argnums` names (None: all).

    Also gives the tensors in those arguments, and their structure.
    """
    functions: Any = torch._functorch.eager_transforms  # type: ignore[attr-defined]
    if trace.modes.inference:
        trace.stop(HIGHER_ORDER, "gradients in inference mode")
    wanted = args if argnums is None else call(trace, functions._slice_argnums, [args, argnums])
    leaves, structure = flattened(trace, wanted)
    builder = SubGraphBuilder(trace.graph)
    inner: list[Item] = []
    for leaf in leaves:
        if not isinstance(leaf, TensorValue):
            trace.stop(HIGHER_ORDER, "gradients by something besides tensors")
        leaf.touch(trace)
        meta = leaf.meta.replace(requires_grad=True, is_leaf=True) if graded else leaf.meta
        inner.append(parameter(builder, "primal", meta))
    arguments = unflattened(trace, inner, structure)
    outside: list[Item] = []
    if argnums is not None:
        arguments = call(trace, functions._replace_args, [_anew(trace, args, outside), arguments, argnums])
    keywords = {name: _anew(trace, item, outside) for name, item in kwargs.items()}
    modes = trace.modes
    trace.modes = modes._replace(grad=modes.grad or graded)
    try:
        items = unpack(trace, arguments)
        traced = sub_trace(trace, builder, func, items, keywords, merges=True, leaves=outside)
    finally:
        trace.modes = modes
    _close(trace, traced)
    return traced, leaves, structure  # type: ignore[return-value]


def _anew(trace: Trace, item: Item, leaves: list[Item]) -> Item:
    """An argument in containers of its own, as functorch passes it on; `leaves` grows by what they hold."""
    parts, structure = flattened(trace, item)
    leaves += parts
    return unflattened(trace, parts, structure)


def _parted(trace: Trace, traced: SubTrace, has_aux: bool) -> tuple[int, Item, Item | None]:
    """How many leaves the differentiated result has, its structure, and that of what comes beside it, if any."""
    if not has_aux:
        return len(traced.leaves), traced.structure, None
    whole = unflattened(trace, traced.leaves, traced.structure)
    pair = unpack(trace, whole) if getattr(whole, "cls", None) is tuple else []
    if len(pair) != 2:
        trace.stop(HIGHER_ORDER, "has_aux without a pair of results")
    (results, structure), (_, beside) = flattened(trace, pair[0]), flattened(trace, pair[1])
    return len(results), structure, beside


@named_lookaside(EAGER, "grad_and_value_impl")
def _grad_and_value(trace: Trace, func: Item, argnums: Item, has_aux: Item, args: Item, kwargs: Item) -> Item:
    keywords: dict[str, Item] = kwargs.all(trace) if isinstance(kwargs, DictValue) else {}  # type: ignore[assignment]
    traced, leaves, structure = _differentiated(trace, func, args, argnums, keywords, graded=True)
    aux = truth(trace, has_aux)
    count, output, beside = _parted(trace, traced, aux)
    value = traced.leaves[0] if traced.leaves else None
    if count != 1 or not isinstance(value, TensorValue) or value.meta.shape:
        trace.stop(HIGHER_ORDER, "a gradient of something besides a scalar")
    results = transformed(trace, transforms.gradients, (len(leaves),), traced, leaves)
    slopes = unflattened(trace, results[: len(leaves)], structure)
    if isinstance(argnums, int):
        (slopes,) = unpack(trace, slopes)
    result = unflattened(trace, results[len(leaves) : len(leaves) + 1], output)
    if beside is None:
        return make_tuple([slopes, result])
    rest = unflattened(trace, results[len(leaves) + 1 :], beside)
    return make_tuple([slopes, make_tuple([result, rest])])


class PullBack:
    """The class, to the program, of what torch.func.vjp returns to compute cotangents with."""

    def __call__(self, cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        """Replaced by `_pull_back`."""
        raise AssertionError("a lookaside runs instead")


class PullBackValue(Value):
    """A function that torch.func.vjp returned: computes cotangents from the body and its operands."""

    __slots__ = ("args_structure", "birth", "outputs", "primals", "results_structure", "traced")

    def __init__(
        self,
        trace: Trace,
        traced: SubTrace,
        primals: list[TensorValue],
        structures: tuple[Item, Item],
        outputs: int,
    ) -> None:
        super().__init__(PullBack)
        self.birth = trace.step
        self.traced = traced
        self.primals = primals
        self.args_structure, self.results_structure = structures
        self.outputs = outputs


register(Kind(BORN, no_parts, no_constant, no_graph_argument, no_rebuild), PullBackValue)


@named_lookaside(EAGER, "_vjp_with_argnums")
def _vjp(trace: Trace, func: Item, *primals: Item, argnums: Item = None, has_aux: Item = False) -> Item:
    args = make_tuple(primals)
    traced, leaves, structure = _differentiated(trace, func, args, argnums, {}, graded=True)
    if traced.draws:
        trace.stop(HIGHER_ORDER, "torch.func.vjp of a function that draws random numbers")
    outputs, output, beside = _parted(trace, traced, truth(trace, has_aux))
    if not outputs:
        trace.stop(HIGHER_ORDER, "torch.func.vjp of a function without results")
    results = transformed(trace, transforms.pull_back_results, (len(leaves), outputs), traced, leaves)
    if isinstance(argnums, int):
        structure = _only(trace, leaves, structure)
    pull = PullBackValue(trace, traced, leaves, (structure, output), outputs)
    parts = [unflattened(trace, results[:outputs], output), pull]
    if beside is not None:
        parts.append(unflattened(trace, results[outputs:], beside))
    return make_tuple(parts)


def _only(trace: Trace, leaves: list[TensorValue], structure: Item) -> Item:
    """The structure of the only item of a tuple."""
    (item,) = unpack(trace, unflattened(trace, leaves, structure))
    return flattened(trace, item)[1]


@lookaside(PullBack.__call__)
def _pull_back(
    trace: Trace, pull: PullBackValue, cotangents: Item, retain_graph: Item = True, create_graph: Item = None
) -> Item:
    leaves, structure = flattened(trace, cotangents)
    if not same_structure(trace, pull.results_structure, structure):
        trace.stop(HIGHER_ORDER, "cotangents of another structure than the results")
    if create_graph is not None or not all(isinstance(leaf, TensorValue) for leaf in leaves):
        trace.stop(HIGHER_ORDER, "a vjp with options")
    options = (len(pull.primals), pull.outputs)
    results = transformed(trace, transforms.pulled_back, options, pull.traced, [*leaves, *pull.primals])  # type: ignore[list-item]
    return unflattened(trace, results, pull.args_structure)


@named_lookaside(EAGER, "_jvp_with_argnums")
def _jvp(
    trace: Trace,
    func: Item,
    primals: Item,
    tangents: Item,
    argnums: Item,
    strict: Item = False,
    has_aux: Item = False,
) -> Item:
    traced, leaves, structure = _differentiated(trace, func, primals, argnums, {}, graded=False)
    slopes, other = flattened(trace, tangents)
    if not same_structure(trace, structure, other):
        trace.stop(HIGHER_ORDER, "tangents of another structure than the primals")
    if not all(isinstance(slope, TensorValue) for slope in slopes):
        trace.stop(HIGHER_ORDER, "tangents that are no tensors")
    outputs, output, beside = _parted(trace, traced, truth(trace, has_aux))
    if not outputs:
        trace.stop(HIGHER_ORDER, "torch.func.jvp of a function without results")
    options = (len(leaves), outputs, truth(trace, strict))
    results = transformed(trace, transforms.pushed_forward, options, traced, [*slopes, *leaves])  # type: ignore[list-item]
    parts = [unflattened(trace, results[:outputs], output), unflattened(trace, results[outputs : 2 * outputs], output)]
    if beside is not None:
        parts.append(unflattened(trace, results[2 * outputs :], beside))
    return make_tuple(parts)
