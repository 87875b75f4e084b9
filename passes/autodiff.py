"""Derivatives of a graph as graphs: what is computed forwards, the linear map at that point, and its transpose.

`linearize` is JAX's partial evaluation of a JVP ("Decomposing reverse-mode automatic differentiation",
Frostig et al., 2021): the program with its tangents is traced once, and cut into what does not depend on
tangents and what does, which is linear in them. `transpose` turns the linear part round, which gives the
backward pass. `partition` gives the two graphs that AOTAutograd makes, to compare. Nothing is run on data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import torch
from torch.fx import Graph, GraphModule, Interpreter, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg
from torch.fx.traceback import preserve_node_meta
from torch.nn.attention import SDPBackend, sdpa_kernel

from passes.errors import expect
from passes.meta import TensorMeta
from passes.node_meta import FAKE_VALUE, META, TANGENT, is_write
from passes.operators.modes import modes_kept
from passes.operators.stand_ins import FakeStandIns

aten: Final = torch.ops.aten
ZEROS: Final = frozenset({aten.zeros.default, aten.zeros_like.default})
ZERO_IF_ANY: Final = frozenset({aten.mul.Tensor, aten.mm.default, aten.bmm.default})
ZERO_IF_FIRST: Final = frozenset(
    {
        *(aten.alias.default, aten.clone.default, aten.expand.default, aten.neg.default, aten.permute.default),
        *(aten.select.int, aten.slice.Tensor, aten.squeeze.dim, aten.sum.dim_IntList, aten.t.default),
        *(aten.transpose.int, aten.unsqueeze.default, aten.view.default, aten._unsafe_view.default),
        *(aten.div.Tensor, aten.mul.Scalar, aten.div.Scalar),
    }
)
SAME: Final = frozenset({aten.alias.default, aten.detach.default, aten.lift_fresh_copy.default})
COMMUTATIVE: Final = frozenset({aten.add.Tensor})
SUMS: Final = COMMUTATIVE | {aten.sub.Tensor}


class NotDifferentiable(ValueError):
    """A graph has nothing to differentiate, or an operator has no derivative; says which."""


@dataclass(frozen=True, slots=True)
class Linearization:
    """A graph at any point, and its derivative there.

    `forward` takes the graph's inputs and returns its outputs followed by residuals. `linear` takes the
    residuals followed by one tangent for each name in `inputs`, and returns the tangents of the outputs
    whose positions are in `outputs`.
    """

    forward: GraphModule
    linear: GraphModule
    inputs: tuple[str, ...]
    outputs: tuple[int, ...]
    residuals: int

    @property
    def output_count(self) -> int:
        """How many outputs the graph itself has."""
        return len(_outputs(self.forward.graph)) - self.residuals

    def jvp(self, inputs: Sequence[Any], tangents: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Tangents of the outputs for `tangents` of the inputs differentiated."""
        return self.linear(*self.forward(*inputs)[self.output_count :], *tangents)

    def vjp(self, inputs: Sequence[Any], cotangents: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Gradients of the inputs differentiated, for `cotangents` of the outputs."""
        return transpose(self.linear)(*self.forward(*inputs)[self.output_count :], *cotangents)


def linearize(module: GraphModule, wrt: Collection[str] | None = None) -> Linearization:
    """The forward part and the linear part of a captured graph.

    `wrt` names the inputs to differentiate; without it, those that require grad, or all floating ones where
    none does. Attention is decomposed: its fused kernels have no forward derivative. Raises
    NotDifferentiable, and ValueError for a name that no input has.
    """
    expect(module, GraphModule, "linearize", "captured.entries[0].graph_module")
    inputs, fakes, stand_ins = _stand_ins(module)
    names = _differentiated(inputs, wrt)
    chosen = [index for index, node in enumerate(inputs) if node.name in names]
    run = _Runner(module, [value.detach() for value in fakes], chosen)
    primals = [fakes[index].detach() for index in chosen]
    with _tracing(stand_ins):
        example = run(*primals)
        outputs = [index for index, value in enumerate(example) if _is_differentiable(value)]
        if not outputs:
            raise NotDifferentiable("no output of the graph is a floating tensor that depends on the inputs")
        traced = _traced_jvp(run, fakes, primals, outputs)
    return _cut(traced, [node.name for node in inputs], names, len(example), tuple(outputs))


def transpose(linear: GraphModule) -> GraphModule:
    """The transpose of a linear graph, by its vector-Jacobian product.

    It takes the inputs of `linear` that are no tangents (its residuals), then a cotangent for each output,
    and returns one for each tangent. Raises ValueError for a graph without tangents, and NotDifferentiable where an
    operator in it has no derivative: forward derivatives such as that of `glu` have none.
    """
    expect(linear, GraphModule, "transpose", "linearize(module).linear")
    inputs = list(linear.graph.find_nodes(op="placeholder"))
    if not any(TANGENT in node.meta for node in inputs):
        raise ValueError(f"the graph is linear in none of its inputs: no placeholder's meta has {TANGENT!r}")
    residuals = [node for node in inputs if TANGENT not in node.meta]
    tangents = [node for node in inputs if TANGENT in node.meta]
    results = _outputs(linear.graph)
    mode = next(node.meta[FAKE_VALUE].fake_mode for node in tangents)

    def backward(kept: list[Any], cotangents: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        def forward(*moved: torch.Tensor) -> Any:
            values = dict(zip([*residuals, *tangents], [*kept, *moved], strict=True))
            return Interpreter(linear).run(*(values[node] for node in inputs))

        pulled: Any = torch.func.vjp(forward, *(_zeros(node.meta[FAKE_VALUE]) for node in tangents))
        return pulled[1](tuple(cotangents))

    with _tracing_with(mode):
        examples = [node.meta[FAKE_VALUE] for node in residuals], [node.meta[FAKE_VALUE] for node in results]
        try:
            traced = _make_fx(backward)(*examples)
        except (NotImplementedError, RuntimeError) as error:
            raise NotDifferentiable(f"an operator has no derivative that can be traced: {error}") from error
    names = [*(node.name for node in residuals), *(f"gradient_{node.name}" for node in results)]
    return _tidied(traced, names)


def partition(module: GraphModule) -> tuple[GraphModule, GraphModule]:
    """The forward and backward graph that AOTAutograd makes, by its default partitioner.

    The forward one returns the outputs and what is saved, the backward one takes that and a gradient for
    each output that requires grad. An output that is a view is returned as a copy: the exporter takes no others.
    Raises NotDifferentiable when no input requires grad.
    """
    expect(module, GraphModule, "partition", "captured.entries[0].graph_module")
    from torch._functorch.aot_autograd import aot_export_joint_simple
    from torch._functorch.partitioners import default_partition

    _, fakes, stand_ins = _stand_ins(module)
    if not any(isinstance(value, torch.Tensor) and value.requires_grad for value in fakes):
        raise NotDifferentiable("no input of the graph requires grad")
    with modes_kept(), stand_ins.active(), torch.enable_grad():
        shared = _views(module, fakes)

        def run(*values: Any) -> tuple[Any, ...]:
            outputs = Interpreter(module).run(*values)
            return tuple(value.clone() if index in shared else value for index, value in enumerate(outputs))

        joint = aot_export_joint_simple(run, tuple(fakes), trace_joint=True)
    count = len(_outputs(module.graph))
    return default_partition(cast(GraphModule, joint), fakes, num_fwd_outputs=count)


def _views(module: GraphModule, fakes: list[Any]) -> set[int]:
    """The positions of the outputs that are inputs, or share memory with what they were made of."""
    argument_ids = set(map(id, fakes))
    with torch.no_grad():
        outputs = Interpreter(module).run(*fakes)
    tensors = [(index, value) for index, value in enumerate(outputs) if isinstance(value, torch.Tensor)]
    return {index for index, value in tensors if value._is_view() or id(value) in argument_ids}


# Tracing -----------------------------------------------------------------------------------------------


def _zeros(like: torch.Tensor) -> torch.Tensor:
    return torch.zeros(like.shape, dtype=like.dtype, device=like.device)


class _Runner:
    """The graph as a function of the inputs differentiated."""

    def __init__(self, module: GraphModule, inputs: list[Any], chosen: list[int]) -> None:
        self.module, self.inputs, self.chosen = module, inputs, chosen
        placeholders = module.graph.find_nodes(op="placeholder")
        self.written = [index for index, node in enumerate(placeholders) if any(is_write(u) for u in node.users)]

    def __call__(self, *primals: torch.Tensor) -> tuple[Any, ...]:
        inputs = list(self.inputs)
        for index, value in zip(self.chosen, primals, strict=True):
            inputs[index] = value
        for index in self.written:  # running statistics, say: derivatives are of a function, which writes to copies
            inputs[index] = inputs[index].clone()
        return tuple(Interpreter(self.module).run(*inputs))


def _traced_jvp(run: _Runner, fakes: list[Any], primals: list[Any], outputs: list[int]) -> GraphModule:
    """The graph of (inputs, tangents) to (outputs, tangents of outputs): by forward mode, or by reverse mode twice."""

    def split(*values: torch.Tensor) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        results = run(*values)
        return tuple(results[index] for index in outputs), results

    def forwards(inputs: list[Any], tangents: list[Any]) -> Any:
        run.inputs = inputs
        primals = tuple(inputs[index] for index in run.chosen)
        parts: Any = torch.func.jvp(split, primals, tuple(tangents), has_aux=True)
        return parts[2], parts[1]

    def backwards_twice(inputs: list[Any], tangents: list[Any]) -> Any:
        run.inputs = inputs
        parts: Any = torch.func.vjp(split, *(inputs[index] for index in run.chosen), has_aux=True)
        pulled: Any = torch.func.vjp(parts[1], tuple(torch.zeros_like(value) for value in parts[0]))
        return parts[2], pulled[1](tuple(tangents))[0]

    inputs = [value.detach() if isinstance(value, torch.Tensor) else value for value in fakes]
    try:
        return _make_fx(forwards)(inputs, primals)
    except NotImplementedError:
        pass
    try:
        return _make_fx(backwards_twice)(inputs, primals)
    except (NotImplementedError, RuntimeError) as error:
        raise NotDifferentiable(f"an operator has no derivative that can be traced: {error}") from error


def _make_fx(function: Callable[..., Any]) -> Callable[..., GraphModule]:
    return make_fx(torch.func.functionalize(function, remove="mutations"), _allow_non_fake_inputs=True)


@contextmanager
def _tracing(stand_ins: FakeStandIns) -> Iterator[None]:
    with stand_ins.active(), _decomposed():
        yield


@contextmanager
def _tracing_with(mode: Any) -> Iterator[None]:
    with mode, _decomposed():
        yield


@contextmanager
def _decomposed() -> Iterator[None]:
    """Nodes keep the user's lines, and attention is made of operators that have every derivative."""
    with modes_kept(), preserve_node_meta(), sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        yield


def _stand_ins(module: GraphModule) -> tuple[list[Node], list[Any], FakeStandIns]:
    """The graph's inputs, with a fake tensor for each, made from the metas of the capture."""
    inputs = list(module.graph.find_nodes(op="placeholder"))
    missing = [node.name for node in inputs if META not in node.meta]
    if missing:
        raise ValueError(f"inputs without a meta, as a captured graph has: {', '.join(missing)}")
    metas = [node.meta[META] for node in inputs]
    stand_ins = FakeStandIns()
    return inputs, [stand_ins.make(meta) if isinstance(meta, TensorMeta) else meta for meta in metas], stand_ins


def _differentiated(inputs: list[Node], wrt: Collection[str] | None) -> tuple[str, ...]:
    """Names of the inputs to differentiate."""
    metas = {node.name: node.meta[META] for node in inputs if isinstance(node.meta[META], TensorMeta)}
    floating = [name for name, meta in metas.items() if meta.dtype.is_floating_point]
    if wrt is None:
        chosen = [name for name in floating if metas[name].requires_grad] or floating
        if not chosen:
            raise NotDifferentiable("no input of the graph is a floating tensor")
        return tuple(chosen)
    if unknown := [name for name in wrt if name not in metas]:
        raise ValueError(f"no inputs of the graph: {', '.join(unknown)}; it has {', '.join(metas)}")
    if constant := [name for name in wrt if name not in floating]:
        raise NotDifferentiable(f"not floating: {', '.join(constant)}")
    return tuple(name for name in metas if name in wrt)


def _is_differentiable(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype.is_floating_point


# Cutting -----------------------------------------------------------------------------------------------


def _cut(
    traced: GraphModule, names: list[str], differentiated: tuple[str, ...], count: int, outputs: tuple[int, ...]
) -> Linearization:
    """Cut a traced JVP into what depends on tangents and what does not."""
    _simplify(traced.graph)
    inputs = list(traced.graph.find_nodes(op="placeholder"))
    tangents = inputs[len(names) :]
    moved = _reached(traced.graph, tangents)
    results = _outputs(traced.graph)
    plain, derived = results[:count], results[count:]
    kept = _needed(traced.graph, derived, moved)
    forward, places = Graph(), dict[Node, Node]()
    for node, name in zip(inputs, names, strict=False):
        places[node] = _placeholder(forward, node, name)
    for node in traced.graph.nodes:
        if node.op not in ("placeholder", "output") and node not in moved:
            places[node] = forward.node_copy(node, places.__getitem__)
    forward.output(tuple(map_arg([*plain, *kept], places.__getitem__)))
    linear, places = Graph(), dict[Node, Node]()
    for node in kept:
        places[node] = _placeholder(linear, node, f"residual_{node.name}")
    for node, name in zip(tangents, differentiated, strict=True):
        places[node] = _placeholder(linear, node, f"tangent_{name}")
        places[node].meta[TANGENT] = True
    for node in traced.graph.nodes:
        if node.op not in ("placeholder", "output") and node in moved:
            places[node] = linear.node_copy(node, places.__getitem__)
    last = linear.output(tuple(map_arg([_or_zero(linear, node, moved, places) for node in derived], _itself)))
    last.meta = {}
    return Linearization(
        _module(traced, forward), _module(traced, linear), differentiated, outputs, residuals=len(kept)
    )


def _reached(graph: Graph, starts: Iterable[Node]) -> set[Node]:
    """The nodes that depend on `starts`, these included."""
    reached = set(starts)
    for node in graph.nodes:
        if node.op != "output" and any(used in reached for used in node.all_input_nodes):
            reached.add(node)
    return reached


def _needed(graph: Graph, derived: list[Any], moved: set[Node]) -> list[Node]:
    """What the dependent part takes from the other: its residuals, in the graph's order."""
    used = {used for node in moved for used in node.all_input_nodes if used not in moved}
    return [node for node in graph.nodes if node in used]


def _or_zero(graph: Graph, node: Any, moved: set[Node], places: dict[Node, Node]) -> Node:
    """The tangent of an output; zeros for one that depends on no tangent."""
    if isinstance(node, Node) and node in moved:
        return places[node]
    value = node.meta[FAKE_VALUE]
    zeros = graph.call_function(
        aten.zeros.default, (list(value.shape),), {"dtype": value.dtype, "device": value.device}
    )
    zeros.meta[FAKE_VALUE] = value
    return zeros


def _simplify(graph: Graph) -> None:
    """Drop dead calls, aliases, and terms that are zero because their input is not differentiated."""
    zeros: set[Node] = set()
    for node in graph.nodes:
        used = [argument for argument in node.args if isinstance(argument, Node)]
        if node.target in ZEROS or (
            (node.target in ZERO_IF_FIRST and used[0] in zeros)
            or (node.target in ZERO_IF_ANY and any(argument in zeros for argument in used))
        ):
            zeros.add(node)
        elif node.target in SAME or (node.target is aten.copy.default and _is_like(used[1], node)):
            node.replace_all_uses_with(used[-1])
        elif node.target is aten.copy.default:
            _copy_plainly(graph, node, used[1])
        elif node.target in SUMS and len(used) == 2:
            kept = [term for term in (used if node.target in COMMUTATIVE else used[:1]) if _is_like(term, node)]
            rest = [term for term in kept if all(other is term or other in zeros for other in used)]
            if rest and used[0] is not used[1]:
                node.replace_all_uses_with(rest[0])
    graph.eliminate_dead_code(_is_impure)


def _copy_plainly(graph: Graph, node: Node, value: Node) -> None:
    """Write `copy`, which has no derivative, as operators that have one."""
    wanted = node.meta[FAKE_VALUE]
    with graph.inserting_before(node):
        moved = graph.call_function(aten._to_copy.default, (value,), {"dtype": wanted.dtype})
        shaped = graph.call_function(aten.expand.default, (moved, list(wanted.shape)))
        for copied in (moved, shaped):
            copied.meta = dict(node.meta)
    node.target, node.args, node.kwargs = aten.clone.default, (shaped,), {"memory_format": torch.contiguous_format}


def _is_like(term: Node, node: Node) -> bool:
    left, right = term.meta[FAKE_VALUE], node.meta[FAKE_VALUE]
    return (left.shape, left.dtype, left.stride()) == (right.shape, right.dtype, right.stride())


def _placeholder(graph: Graph, node: Node, name: str) -> Node:
    placed = graph.placeholder(name)
    placed.meta = {key: value for key, value in node.meta.items() if key != TANGENT}
    return placed


def _tidied(traced: GraphModule, names: list[str]) -> GraphModule:
    """The traced graph without dead calls, its inputs named."""
    _simplify(traced.graph)
    graph, places = Graph(), dict[Node, Node]()
    for node, name in zip(traced.graph.find_nodes(op="placeholder"), names, strict=True):
        places[node] = _placeholder(graph, node, name)
    for node in traced.graph.nodes:
        if node.op not in ("placeholder", "output"):
            places[node] = graph.node_copy(node, places.__getitem__)
    graph.output(tuple(map_arg(_outputs(traced.graph), places.__getitem__)))
    return _module(traced, graph)


def _module(owner: GraphModule, graph: Graph) -> GraphModule:
    graph.eliminate_dead_code(_is_impure)
    graph.lint()
    return GraphModule(owner, graph)


def _is_impure(node: Node) -> bool:
    """Whether a call stays although nobody uses what it gives: inputs, outputs, and what writes or draws."""
    if node.op in ("placeholder", "output"):
        return True
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _outputs(graph: Graph) -> list[Any]:
    """What a graph returns, flat."""
    flat: list[Any] = []

    def add(value: Any) -> None:
        if isinstance(value, tuple | list):
            for part in value:
                add(part)
        else:
            flat.append(value)

    add(graph.output_node().args[0])
    return flat


def _itself(node: Node) -> Node:
    return node
