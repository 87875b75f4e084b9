"""Other contents: a call whose tensors hold values that operators treat in a way of their own, or are one another.

Each is a call like the one that was made, in sizes, dtypes and strides. Nothing here compares.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Final

import torch
from torch import Tensor
from torch.fx import Node

from backends.crosscheck.calls import ConcreteCall, attempt, is_plain
from backends.crosscheck.operators import is_registered
from backends.crosscheck.reference import shares_memory
from backends.crosscheck.tolerance import is_pointwise

Change = Callable[[Tensor], Tensor]
FEW: Final = 3  # different numbers, where many are to be equal
LARGE: Final = 1000.0  # more than an exponential in float32 can take


def other_contents(call: ConcreteCall) -> Iterator[tuple[str, ConcreteCall]]:
    """The calls with other values that the graph of `call` accepts, and words for each."""
    if any(is_registered(node.target) for node in call.target.graph.nodes) or shares_memory(call.tensors):
        return
    for words, (chosen, change) in CONTENTS.items():
        places = chosen(call)
        if places:
            other = call.mapped(lambda tensor, places=places, change=change: _changed(tensor, places, change))
            if attempt(other.copied()).error is None:
                yield words, other


def joined_inputs(call: ConcreteCall) -> Iterator[tuple[str, ConcreteCall]]:
    """The call with one tensor in two places, and with two tensors in one memory; None where no two are alike."""
    if shares_memory(call.tensors):
        return
    for first, second in itertools.combinations(filter(is_plain, call.tensors), 2):
        facts = ("shape", "dtype", "device", "requires_grad")
        if all(getattr(first, fact) == getattr(second, fact) for fact in facts) and first.stride() == second.stride():
            view = first.detach().view_as(first).requires_grad_(first.requires_grad)
            for words, other in (("one tensor for two", first), ("two tensors in one memory", view)):
                joined = call.mapped(lambda tensor, second=second, other=other: other if tensor is second else tensor)
                if attempt(joined.copied()).error is None:
                    yield words, joined
            return


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


def _extremes(tensor: Tensor) -> Tensor:
    flat = torch.zeros_like(tensor.flatten())
    flat[::2] = 255
    return flat.reshape(tensor.shape)


CONTENTS: Final[dict[str, tuple[Callable[[ConcreteCall], frozenset[int]], Change]]] = {
    "equal elements": (_floating, _few),
    "zeros of both signs": (_floating, _zeros),
    "large numbers": (_floating, _large),
    "a NaN": (_floating, _with(float("nan"))),
    "infinities": (_floating, _with(float("inf"), float("-inf"))),
    "negative integers": (_integers, lambda tensor: -1 - tensor),
    "the least and the greatest bytes": (_bytes, _extremes),
    "masks that are True": (_booleans, torch.ones_like),
    "masks that are False": (_booleans, torch.zeros_like),
}
