"""Other contents: a call whose tensors hold values that operators treat in a way of their own, or are one another.

Each is a call like the one that was made, in sizes, dtypes and strides. Nothing here compares.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node
from torch.utils._pytree import tree_leaves

from backends.crosscheck.calls import ConcreteCall, attempt, is_plain
from backends.crosscheck.operators import (
    PIECEWISE,
    SUMS,
    any_of,
    computed_by_element,
    is_registered,
    mixes_elements,
    splits_ties,
)
from backends.crosscheck.reference import shares_memory
from backends.crosscheck.tolerance import is_pointwise

Change = Callable[[Tensor], Tensor]
FEW: Final = 3  # different numbers, where many are to be equal
LARGE: Final = 1000.0  # more than an exponential in float32 can take
EDGES: Final = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 6.0)
"""Where functions change: halves that are rounded, the ends of intervals."""
RANGE: Final = 0.8
"""Of the exponents of a dtype: the part that huge and tiny numbers use, so that their squares are out of its range."""
MANTISSA: Final = 0.7
"""Of the digits of a dtype: the part that a large mean takes, so that its square takes more than all."""
APART: Final = frozenset({"a NaN", "infinities"})
"""Contents of which several tensors have theirs at other elements: NaN in one of two is another case than in both."""
APART_STEPS: Final = 7
ONLY_IF_TORCH_IS_RIGHT: Final = frozenset({"huge numbers", "tiny numbers"})
"""Contents for which an operator that leaves the range of its dtype on the way is as right as torch is."""


def other_contents(call: ConcreteCall) -> Iterator[tuple[str, ConcreteCall]]:
    """The calls with other values, which the graph of `call` may reject, and words for each."""
    if any(is_registered(node.target) for node in call.target.graph.nodes) or shares_memory(call.tensors):
        return
    for words, (chosen, change) in CONTENTS.items():
        places = chosen(call)
        if places:
            change = _apart(change, call) if words in APART else change
            other = call.mapped(lambda tensor, places=places, change=change: _changed(tensor, places, change))
            if words not in ONLY_IF_TORCH_IS_RIGHT or _stays_finite(other):
                yield words, other


def differentiated_contents(call: ConcreteCall) -> Iterator[tuple[str, ConcreteCall]]:
    """The calls with values at which slopes jump, zeros and equal elements, and words for each; none where the graph
    has no slope to say which it is: it mixes zeros with other elements, or takes any of several that are equal.
    """
    if any(is_registered(node.target) for node in call.target.graph.nodes) or shares_memory(call.tensors):
        return
    if not torch.is_grad_enabled():
        return
    places = frozenset(id(one) for one in call.tensors if one.is_floating_point() and _is_filled(one))
    if not any(one.requires_grad and id(one) in places for one in call.tensors):
        return
    for words, change, is_determined in SLOPES:
        if is_determined(call.target):
            yield words, call.mapped(lambda tensor, change=change: _changed(tensor, places, change))


class _Finite(Interpreter):
    """Notes whether every number of a run is finite."""

    finite = True

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and is_plain(leaf) and (leaf.is_floating_point() or leaf.is_complex()):
                self.finite = self.finite and bool(leaf.detach().isfinite().all())
        return result


def _stays_finite(call: ConcreteCall) -> bool:
    copy = call.copied()
    run = _Finite(copy.target, garbage_collect_values=False)
    return attempt(copy, lambda copy: run.run(*copy.args)).error is None and run.finite


def joined_inputs(call: ConcreteCall) -> Iterator[tuple[str, ConcreteCall]]:
    """The call with one tensor in two places, and with two tensors in one memory; None where no two are alike."""
    if shares_memory(call.tensors):
        return
    for first, second in itertools.combinations(filter(is_plain, call.tensors), 2):
        facts = ("shape", "dtype", "device", "requires_grad")
        if all(getattr(first, fact) == getattr(second, fact) for fact in facts) and first.stride() == second.stride():
            view = first.detach().view_as(first).requires_grad_(first.requires_grad)
            for words, one in (("one tensor for two", first), ("two tensors in one memory", view)):
                yield words, call.mapped(lambda tensor, second=second, one=one: one if tensor is second else tensor)
            return


def _apart(change: Change, call: ConcreteCall) -> Change:
    """The change, at other elements of each of the call's tensors."""
    numbers = {tensor.data_ptr(): number for number, tensor in enumerate(call.tensors)}

    def elsewhere(tensor: Tensor) -> Tensor:
        steps = 1 + tensor.numel() // APART_STEPS
        shift = numbers[tensor.data_ptr()] * steps
        return change(tensor.flatten().roll(-shift)).roll(shift).reshape(tensor.shape)

    return elsewhere


def _changed(tensor: Tensor, places: frozenset[int], change: Change) -> Tensor:
    if id(tensor) not in places:
        return tensor
    other = torch.empty_like(tensor.detach())
    return other.copy_(change(tensor.detach())).requires_grad_(tensor.requires_grad)


# Which tensors -----------------------------------------------------------------------------------------


def _floating(call: ConcreteCall) -> frozenset[int]:
    """Those that are given rather than trained, if there are any."""
    tensors = [one for one in call.tensors if one.is_floating_point() and _is_filled(one)]
    data = [one for one in tensors if not one.requires_grad]
    return frozenset(map(id, data or tensors))


def _inexact(call: ConcreteCall) -> frozenset[int]:
    """Those of _floating, and complex ones."""
    return _floating(call) | {id(one) for one in call.tensors if one.is_complex() and _is_filled(one)}


def _integers(call: ConcreteCall) -> frozenset[int]:
    """Those that are computed with, or index a tensor by Python's brackets: other kernels may believe an index."""
    places = zip(call.target.graph.find_nodes(op="placeholder"), call.args, strict=True)
    return frozenset(
        id(value)
        for node, value in places
        if isinstance(value, Tensor) and value.dtype in SIGNED and _is_filled(value) and all(map(_is_safe, node.users))
    )


def _bytes(call: ConcreteCall) -> frozenset[int]:
    """Bytes that are computed with and nothing else."""
    places = zip(call.target.graph.find_nodes(op="placeholder"), call.args, strict=True)
    return frozenset(
        id(value)
        for node, value in places
        if isinstance(value, Tensor) and value.dtype is torch.uint8 and _is_filled(value)
        if all(is_pointwise(user.target) for user in node.users)
    )


def _numbers(call: ConcreteCall) -> frozenset[int]:
    """Integers of which numbers are computed, and never an index, a length or a size."""
    computed = computed_by_element(call.target.graph, SUMS)
    places = zip(call.target.graph.find_nodes(op="placeholder"), call.args, strict=True)
    return frozenset(
        id(value)
        for node, value in places
        if isinstance(value, Tensor) and value.dtype in SIGNED and _is_filled(value) and node in computed
    )


def _is_safe(node: Node) -> bool:
    return node.target is operator.getitem or is_pointwise(node.target)


def _booleans(call: ConcreteCall) -> frozenset[int]:
    return frozenset(id(one) for one in call.tensors if one.dtype is torch.bool and _is_filled(one))


def _is_filled(tensor: Tensor) -> bool:
    return is_plain(tensor) and tensor.numel() > 0 and 0 not in tensor.stride()


SIGNED: Final = (torch.int8, torch.int16, torch.int32, torch.int64)

# What they hold ----------------------------------------------------------------------------------------


def _few(tensor: Tensor) -> Tensor:
    index = torch.arange(tensor.numel(), device=tensor.device) % FEW % tensor.numel()
    return tensor.flatten()[index].reshape(tensor.shape)


def _with(*numbers: float) -> Change:
    """Put these numbers where a tensor is divided in equal parts."""

    def change(tensor: Tensor) -> Tensor:
        flat = tensor.flatten().clone()
        for place, number in enumerate(numbers, 1):
            flat[flat.numel() * place // (len(numbers) + 1)] = number
        return flat.reshape(tensor.shape)

    return change


def _zeros(tensor: Tensor) -> Tensor:
    """Zeros of both signs in the place of half of the elements."""
    flat = tensor.flatten().clone()
    flat[::4], flat[1::4] = 0.0, -0.0
    return flat.reshape(tensor.shape)


def _large(tensor: Tensor) -> Tensor:
    most = float(tensor.abs().nan_to_num(0.0, 0.0).amax())
    return tensor * (LARGE / most) if most else tensor


def _signed(tensor: Tensor) -> Tensor:
    """The signs of about half of the elements turned around, by digits that nothing else hangs on."""
    digits = (tensor.double().nan_to_num().sin() * 12345.678).frac()
    return torch.where(digits > 0, -tensor, tensor)


def _edges(tensor: Tensor) -> Tensor:
    numbers = torch.tensor([*EDGES, *(-edge for edge in EDGES)], dtype=tensor.dtype, device=tensor.device)
    return numbers[torch.arange(tensor.numel(), device=tensor.device) % len(numbers)].reshape(tensor.shape)


def _shifted(tensor: Tensor) -> Tensor:
    """Numbers whose mean is large beside their deviation."""
    scale = float(tensor.nan_to_num(0.0, 0.0, 0.0).abs().amax()) or 1.0
    return tensor + scale * torch.finfo(tensor.dtype).eps ** -MANTISSA


def _scaled_by(exponent: Callable[[torch.finfo], float]) -> Change:
    """Scale the greatest element to this number, which depends on the dtype."""

    def change(tensor: Tensor) -> Tensor:
        magnitudes = tensor.abs()
        most = float(magnitudes[magnitudes.isfinite()].amax()) if bool(magnitudes.isfinite().any()) else 0.0
        return tensor / most * exponent(torch.finfo(tensor.dtype)) if most else tensor

    return change


def _large_integers(tensor: Tensor) -> Tensor:
    """Integers that floating numbers of half or all their bits cannot hold, of both signs, among others."""
    flat, most = tensor.flatten().clone(), torch.iinfo(tensor.dtype).max
    flat[::4], flat[1::4], flat[2::4] = most, -most, most // 3
    return flat.reshape(tensor.shape)


def _extremes(tensor: Tensor) -> Tensor:
    flat = torch.zeros_like(tensor.flatten())
    flat[::2] = 255
    return flat.reshape(tensor.shape)


CONTENTS: Final[dict[str, tuple[Callable[[ConcreteCall], frozenset[int]], Change]]] = {
    "equal elements": (_floating, _few),
    "zeros of both signs": (_floating, _zeros),
    "large numbers": (_floating, _large),
    "numbers of other signs": (_floating, _signed),
    "whole and half numbers": (_floating, _edges),
    "a large mean": (_floating, _shifted),
    "huge numbers": (_inexact, _scaled_by(lambda info: info.max**RANGE)),
    "tiny numbers": (_inexact, _scaled_by(lambda info: info.tiny**RANGE)),
    "a NaN": (_floating, _with(float("nan"))),
    "infinities": (_floating, _with(float("inf"), float("-inf"))),
    "negative integers": (_integers, lambda tensor: -1 - tensor),
    "large integers": (_numbers, _large_integers),
    "the least and the greatest bytes": (_bytes, _extremes),
    "masks that are True": (_booleans, torch.ones_like),
    "masks that are False": (_booleans, torch.zeros_like),
}

SLOPES: Final[tuple[tuple[str, Change, Callable[[GraphModule], bool]], ...]] = (
    ("zeros of both signs", _zeros, lambda module: not mixes_elements(module)),
    ("equal elements", _few, splits_ties),
    ("whole and half numbers", _edges, lambda module: any_of(module, PIECEWISE)),
)
