"""What the checks know about operators by name: whose result is not determined, and which part of it is.

There are few rows, because conditioning, ties and random numbers are measured. Every row is here because torch's own
operator, on torch's own samples, would otherwise be reported (tests/test_crosscheck_operators.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.utils._pytree import tree_leaves

from backends.crosscheck.calls import ConcreteCall
from backends.crosscheck.tolerance import is_pointwise


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


# What gives memory as it finds it.
UNINITIALISED: Final = _set(
    """
    empty empty_like empty_strided empty_permuted empty_quantized new_empty new_empty_strided resize_ resize
    resize_as_ resize_as
    """
)
FRESH: Final = UNINITIALISED - _set("resize_ resize resize_as_ resize_as")  # all of it
# What reads the memory that a tensor is in, not the tensor: its meaning changes with the layout.
READS_STORAGE: Final = _set(
    """
    as_strided as_strided_ as_strided_scatter as_strided_copy set_ data_ptr untyped_storage storage stride
    is_contiguous storage_offset view view_as is_set_to dim_order
    """
)
# What gives numbers that belong to the dtype, such as the largest one: in float64 it is another function.
OF_DTYPE: Final = _set("nan_to_num nan_to_num_ nextafter nextafter_")
# What orders elements. Among equal ones, any is as good as another, except for what torch's documentation says to take
# the first, or if it is asked to keep their order.
ORDERS: Final = _set("sort argsort topk kthvalue median nanmedian mode min max argmin argmax cummax cummin")
FIRST: Final = _set("argmax argmin max min")
KEEPING: Final = _set("sort argsort")
# Whose gradient torch documents for equal elements.
SPLITS: Final = FIRST | _set("amax amin aminmax maximum minimum")
# What gives an exact result of exact elements, and another one as soon as those move.
EXACT: Final = _set(
    """
    round floor ceil trunc fix sign sgn heaviside eq ne lt le gt ge equal greater greater_equal less less_equal
    not_equal signbit isnan isinf isfinite logical_not logical_and logical_or logical_xor
    """
)
# What is piecewise of functions that agree at the ends of the pieces: only the slopes jump there.
PIECEWISE: Final = _set(
    """
    abs relu relu6 leaky_relu clamp clamp_min clamp_max clip hardtanh threshold hardshrink softshrink hardswish
    hardsigmoid maximum minimum
    """
)
# What adds and multiplies elements.
SUMS: Final = _set("sum cumsum prod cumprod dot mv mm bmm matmul addmm addmv baddbmm")
# What chooses the greater or the lesser of two numbers: of two zeros, either.
CHOOSES: Final = ORDERS | _set(
    """
    maximum minimum fmax fmin amax amin aminmax clamp clamp_ clamp_min clamp_max clip relu relu_ relu6 hardtanh
    hardswish hardsigmoid leaky_relu max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d nextafter
    """
)


def chooses_zeros(target: Any) -> bool:
    """Whether an operator, or one of a graph's, chooses one of two equal zeros."""
    if isinstance(target, GraphModule):
        return any_of(target, CHOOSES)
    return name_of(ConcreteCall(target, ())) in CHOOSES


def decides_ties(target: Any, kwargs: Any = None) -> bool:
    """Whether what orders elements takes the first of equal ones; in a graph, of inputs and what is computed of their
    elements one by one: sums may be equal by chance.
    """
    if not isinstance(target, GraphModule):
        name = name_of(ConcreteCall(target, ()))
        return name in FIRST or (name in KEEPING and bool((kwargs or {}).get("stable")))
    by_element: set[Node] = set()
    decided: list[bool] = []
    for node in target.graph.nodes:
        of_elements = all(used in by_element for used in node.all_input_nodes)
        if name_of(ConcreteCall(node.target, ())) in ORDERS:  # first, as the maximum of two tensors is by element
            decided.append(of_elements and decides_ties(node.target, node.kwargs))
        elif node.op == "placeholder" or (of_elements and is_pointwise(node.target)):
            by_element.add(node)
    return bool(decided) and all(decided)


def splits_ties(module: GraphModule) -> bool:
    """Whether a graph takes the greatest or least of elements of its inputs, and torch documents which of equal ones
    get the gradient, wherever it orders any: the first, or all of them alike.
    """
    by_element: set[Node] = set()
    takes_one = False
    for node in module.graph.nodes:
        of_elements = all(used in by_element for used in node.all_input_nodes)
        name = name_of(ConcreteCall(node.target, ()))
        if name in ORDERS | SPLITS:
            if name not in SPLITS or not of_elements:
                return False
            takes_one = True
        if node.op == "placeholder" or (of_elements and is_pointwise(node.target)):
            by_element.add(node)
    return takes_one


def any_of(module: GraphModule, names: frozenset[str]) -> bool:
    """Whether a graph has an operator of one of these names."""
    return any(name_of(ConcreteCall(node.target, ())) in names for node in module.graph.nodes)


def mixes_elements(module: GraphModule) -> bool:
    """Whether a graph has an operator that may compute zero with a rounding error, as transforms do."""
    nodes = module.graph.nodes
    names = [name_of(ConcreteCall(node.target, ())) for node in nodes]
    return any("conv" in name or "fft" in name for name in names) or any(node.op == "call_module" for node in nodes)


def computed_by_element(graph: Graph, others: frozenset[str] = frozenset()) -> set[Node]:
    """The nodes of which all that is computed is computed element by element, or by operators of these other names."""
    nodes = set[Node]()
    for node in reversed(graph.nodes):
        here = node.op in ("placeholder", "output") or (
            node.op != "call_module" and (is_pointwise(node.target) or _is_one_of(node, others))
        )
        if here and nodes.issuperset(node.users):
            nodes.add(node)
    return nodes


def exact_inputs(module: Any, call: ConcreteCall, exact_names: frozenset[str]) -> list[bool]:
    """For each tensor of a call of a graph: whether it is given to the operators of these names and no others, and all
    that is computed of their results is computed by element.
    """
    if not isinstance(module, GraphModule):
        return [False] * len(call.tensors)
    elementwise = computed_by_element(module.graph)
    others = set[int]()
    for node, value in zip(module.graph.find_nodes(op="placeholder"), call.args, strict=True):
        exact = node in elementwise and all(_is_one_of(user, exact_names) for user in node.users)
        others |= set() if exact else {id(leaf) for leaf in tree_leaves(value)}
    return [id(tensor) not in others for tensor in call.tensors]


def _is_one_of(node: Node, names: frozenset[str]) -> bool:
    return name_of(ConcreteCall(node.target, ())) in names and "decimals" not in node.kwargs


def zeros_matter_by_element(call: ConcreteCall) -> list[bool]:
    """For each of the call's tensors: whether all that is computed of it is by element, and chooses none of two zeros.

    What depends on such a zero, or on its sign, is determined; elsewhere an algorithm may put one zero for another.
    """
    if not isinstance(call.target, GraphModule):
        return [_by_element(call.target)] * len(call.tensors)
    decided: dict[Node, bool] = {}
    for node in reversed(call.target.graph.nodes):
        here = node.op in ("placeholder", "output") or (node.op != "call_module" and _by_element(node.target))
        decided[node] = here and all(decided[user] for user in node.users)
    others = set[int]()
    for node, value in zip(call.target.graph.find_nodes(op="placeholder"), call.args, strict=True):
        others |= set() if decided[node] else {id(leaf) for leaf in tree_leaves(value)}
    return [id(tensor) not in others for tensor in call.tensors]


def _by_element(target: Any) -> bool:
    return is_pointwise(target) and not chooses_zeros(target)


def name_of(call: ConcreteCall) -> str:
    """The bare name of what is called: `svd` for torch.linalg.svd, Tensor.svd and aten::linalg_svd."""
    name = call.target if isinstance(call.target, str) else getattr(call.target, "__name__", "")
    name = name.split(".")[0]
    return name.removeprefix("linalg_")


def is_torchs(call: ConcreteCall) -> bool:
    """Whether the operator is torch's own, not one that was registered or written by others."""
    if isinstance(call.target, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        return str(call.target).split(".")[0] in ("aten", "prims", "prim")
    if isinstance(call.target, str):
        return True
    kind = type(call.target) if isinstance(call.target, torch.nn.Module) else call.target
    return (getattr(kind, "__module__", None) or "torch").split(".")[0] in ("torch", "_operator", "builtins")


def is_registered(target: Any) -> bool:
    """Whether a target is an operator that was registered with torch by others."""
    registered = isinstance(target, torch._ops.OpOverload | torch._ops.OpOverloadPacket)
    return registered and not is_torchs(ConcreteCall(target, ()))


class Declaration(NamedTuple):
    """What the schema of an operator says: the numbers of the call's tensors that it writes to, and for each part of
    the result, of those in whose memory it may be.
    """

    written: frozenset[int]
    returned: tuple[frozenset[int], ...]


def declaration_of(call: ConcreteCall) -> Declaration | None:
    """What a registered operator declares of a call; None for what has no schema, several, or is torch's own."""
    if not is_registered(call.target):
        return None
    overloads = [call.target] if isinstance(call.target, torch._ops.OpOverload) else _overloads(call.target)
    if len(overloads) != 1:
        return None
    schema = overloads[0]._schema
    arguments = [
        (argument, call.args[index] if index < len(call.args) else call.kwargs.get(argument.name))
        for index, argument in enumerate(schema.arguments)
    ]
    written = [value for argument, value in arguments if argument.is_write]
    returned = [[value for argument, value in arguments if _may_share(argument, part)] for part in schema.returns]
    return Declaration(_numbers_of(call, written), tuple(_numbers_of(call, values) for values in returned))


def _may_share(argument: Any, part: Any) -> bool:
    """Whether an argument and a part of the result, as a schema names them, may be in one memory."""
    sets = [one.alias_info and one.alias_info.before_set | one.alias_info.after_set for one in (argument, part)]
    return all(sets) and (bool(sets[0] & sets[1]) or any("*" in name for one in sets for name in one))


def _numbers_of(call: ConcreteCall, values: Any) -> frozenset[int]:
    """The numbers of the call's tensors that are among `values`."""
    leaves = {id(leaf) for leaf in tree_leaves(values)}
    return frozenset(index for index, tensor in enumerate(call.tensors) if id(tensor) in leaves)


def _overloads(packet: Any) -> list[Any]:
    return [getattr(packet, name) for name in packet.overloads()]


Reading = Callable[[ConcreteCall, list[Any]], Sequence[Any]]


def _product(*factors: Tensor) -> Tensor:
    result = factors[0]
    for factor in factors[1:]:
        result = result @ factor
    return result


def _scaled(vectors: Tensor, values: Tensor) -> Tensor:
    return vectors * values.unsqueeze(-2).to(vectors.dtype)


def _svd(call: ConcreteCall, parts: list[Any]) -> Sequence[Any]:
    """Singular values, and the product of the three factors."""
    if len(parts) != 3:
        return parts
    u, values, v = parts
    k = values.shape[-1]
    right = v[..., :k, :] if _gives_adjoint(call) else v[..., :k].mH
    return values, _product(_scaled(u[..., :k], values), right)


def _gives_adjoint(call: ConcreteCall) -> bool:
    """Whether the operator returns V^H, as linalg.svd does, or V, as torch.svd does."""
    name = getattr(call.target, "__name__", call.target)
    return str(name).startswith("linalg_svd")


def _eigh(call: ConcreteCall, parts: list[Any]) -> Sequence[Any]:
    """Eigenvalues, and the product that the vectors and they form."""
    if len(parts) != 2:
        return parts
    values, vectors = parts
    return values, _product(_scaled(vectors, values), vectors.mH)


def _eig(call: ConcreteCall, parts: list[Any]) -> Sequence[Any]:
    """The values, in an order of their own; and A + (A V - V diag(values)), which is A, and has its rounding errors."""
    values = parts[0]
    order = torch.view_as_real(values.resolve_conj()).round(decimals=3) if values.is_complex() else values
    key = order[..., 0] * 1e3 + order[..., 1] if values.is_complex() else order
    ordered = values.gather(-1, key.argsort(dim=-1))
    if len(parts) != 2:
        return (ordered,)
    vectors = parts[1]
    matrix = call.args[0].to(vectors.dtype)
    return ordered, matrix + _product(matrix, vectors) - _scaled(vectors, values)


def _qr(call: ConcreteCall, parts: list[Any]) -> Sequence[Any]:
    """The product of the factors; the size of R's elements when only R is returned."""
    q, r = parts
    return (q @ r,) if q.numel() else (r.abs(),)


# Results that are fixed up to a sign, a phase or an order: compared is what does not depend on it.
UP_TO_A_CHOICE: Final[dict[str, Reading]] = {
    "svd": _svd,
    "_svd": _svd,
    "eigh": _eigh,
    "_eigh": _eigh,
    "eig": _eig,
    "eigvals": _eig,
    "qr": _qr,
}


def readings(call: ConcreteCall, outputs: list[Any]) -> list[Any]:
    """The parts of a call's outputs that can be compared."""
    reading = UP_TO_A_CHOICE.get(name_of(call))
    return list(reading(call, outputs)) if reading and outputs else outputs
