"""How far a result may be from the exact one: per dtype, per length of the reduction, per condition of the operator.

    |found - exact| <= 16 u |exact| + 16 sqrt(n) max(spread, rms(spread)) + n tiny

u is the unit roundoff of the output's dtype, 16 how many roundings may follow each other, n how many terms
a reduction may add up: rounding errors of n additions grow like sqrt(n) u, not n u, with high probability
(Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM J. Sci. Comput. 41, 2019).
`spread` is by how much the exact result moves when every input moves by at most u, relatively: what a
backward stable algorithm may do to it (Higham, "Accuracy and Stability of Numerical Algorithms", chapter 1).
It is measured, not derived, so nothing need be known of the operator: it is large where a sum cancels, and
where an argmax is a tie.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import GraphModule

from backends.crosscheck.calls import ConcreteCall, distinct

ROUNDINGS: Final = 16  # how many roundings an operator may make one after the other
SMALLEST: Final = 2.0**-100  # moves zeros, so that equal ones are told apart
PYTHONS: Final = {"truediv": "div", "floordiv": "floor_divide", "mod": "remainder"}  # Python's operators by element


def unit_roundoff(dtype: torch.dtype) -> float:
    """Half the distance from 1 to the next number; 0 for exact dtypes."""
    return torch.finfo(dtype).eps / 2 if dtype.is_floating_point or dtype.is_complex else 0.0


def reduction_length(call: ConcreteCall, outputs: list[Any]) -> int:
    """The largest number of terms that one element of the result may be made from (for graphs, in any of its
    operators).

    1 for what torch tags as pointwise; else the longest dimension, or the ratio of input to output elements if that is
    larger.
    """
    if is_pointwise(call.target):
        return 1
    inputs = call.tensors
    counts = [tensor.numel() for tensor in distinct(outputs)]
    longest = max((size for tensor in inputs for size in tensor.shape), default=1)
    lost = max((tensor.numel() for tensor in inputs), default=1) // max(1, min(counts, default=1))
    depth = len(call.target.graph.nodes) if isinstance(call.target, GraphModule) else 1
    return max(longest, lost, 1) * depth


def is_pointwise(target: Any) -> bool:
    """Whether torch says that each element of the result depends on one element of each input."""
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    name = PYTHONS.get(name, name)
    packet = getattr(torch.ops.aten, name, None) if name.isidentifier() and not name.startswith("__") else None
    if isinstance(target, torch._ops.OpOverload):
        return torch.Tag.pointwise in target.tags
    if packet is None or isinstance(target, torch.nn.Module):
        return False
    overloads = [getattr(packet, overload) for overload in packet.overloads()]
    return any(torch.Tag.pointwise in overload.tags for overload in overloads)


def bound(exact: Tensor, spread: Tensor, dtype: torch.dtype, length: int) -> Tensor:
    """How far `found`, of this dtype, may be from `exact`, element by element; infinite where the value is not
    determined, and 0 where it is NaN or an infinity: those have to be the same ones at the same places.
    """
    unit = unit_roundoff(dtype)
    finite = spread.isfinite()
    typical = spread[finite].square().mean().sqrt() if bool(finite.any()) else spread.new_zeros(())
    size = exact.abs().nan_to_num(0.0, 0.0)
    allowed = ROUNDINGS * unit * size + ROUNDINGS * math.sqrt(length) * torch.maximum(spread, typical)
    allowed = torch.where(exact.isfinite(), allowed + length * torch.finfo(dtype).tiny, 0.0)
    return torch.where(finite, allowed, torch.inf)


def perturbed(
    tensor: Tensor, unit: float, generator: torch.Generator, smallest: float = SMALLEST, alike: bool = False
) -> Tensor:
    """A tensor of the reference's precision with each element moved by a relative error of at most `unit`, and by at
    most `smallest` of that besides; if `alike`, equal elements stay equal. Zeros that do not move keep their signs.
    """
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.layout is not torch.strided or not unit:
        return tensor
    noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64).mul_(2).sub_(1).mul_(unit)
    noise = noise.to(device=tensor.device, dtype=tensor.dtype)
    if alike and not tensor.is_complex():  # which nothing orders
        _, numbers = torch.unique(tensor, return_inverse=True)
        noise = noise.flatten()[numbers]
    moved = tensor * (noise + 1) + noise * smallest
    return torch.where(tensor.isfinite() & (moved != 0), moved, tensor)
