"""Slopes: the difference quotients of a call in random directions, compared with its gradients.

The error of a difference quotient falls with the step as long as the curvature dominates it, and rises again when
rounding does (Press et al., "Numerical Recipes", 5.7). The best step is not known in advance, so all are tried, and two
neighbouring steps must agree with the gradient: a single one might agree by chance. Calls are evaluated in float64
where that is possible, whatever dtype is checked. Where a function has a kink exactly at the given point (a ReLU of
zeros), no gradient is the slope, and a point nearby decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.utils._pytree import tree_leaves

from backends.crosscheck.calls import REFUSALS, ConcreteCall, Widening, distinct, random_state, wider
from backends.crosscheck.tolerance import perturbed, unit_roundoff

# Per dtype that is evaluated: the steps, relative to the size of each input, and the relative error allowed.
STEPS: Final[dict[torch.dtype, tuple[tuple[float, ...], float]]] = {
    torch.float64: (tuple(10.0**-power for power in range(1, 11)), 1e-4),
    torch.float32: (tuple(10.0 ** (-power / 2) for power in range(2, 8)), 3e-2),
    torch.bfloat16: ((0.5, 0.25, 0.125, 0.0625), 0.3),
    torch.float16: ((0.25, 0.125, 0.0625, 0.03125), 0.1),
}
SPARSE: Final = 256  # elements that a sparse direction moves, as long as there are not too many directions
MOST_PARTS: Final = 16  # sparse directions
MANY: Final = 1 << 16  # elements of all inputs together from which on there are fewer directions,
FEW_PARTS: Final = 4  # namely so many
SPARSE_STEPS: Final = (1e-3, 1e-4, 1e-5, 1e-6)  # tried first in sparse directions
NEARBY: Final = 1e-3  # how far off another point is, relative to the size of each input
NARROW: Final = 1e-2  # the relative error allowed of gradients in a dtype that is not float64
TRIALS: Final = 2  # how many other roundings of the inputs tell how much gradients hang on them
MARGIN: Final = 8.0

Move = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Slope:
    """The result for one direction: <g, h>, the difference quotient nearest to it, and the relative error at each step.

    If the call was evaluated in another dtype than the one given, `own` is <g, h> of the gradient in the given dtype;
    it may be off by `own_allowed`.
    """

    gradient: float
    slope: float
    errors: dict[float, float]
    allowed: float
    own: float | None = None
    own_allowed: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the gradient is the slope, in the dtype of the evaluation and in the one given."""
        return self._agrees and (self.own is None or abs(self.own - self.gradient) <= self.own_allowed)

    @property
    def _agrees(self) -> bool:
        """Whether two neighbouring steps agree with the gradient."""
        good = [error <= self.allowed for error in self.errors.values()]
        return any(left and right for left, right in pairwise(good))

    @property
    def words(self) -> str:
        """The numbers that differ, for people."""
        if self._agrees and not self.ok:
            return f"<g, h> is {self.own:.6g} in the dtype given, and {self.gradient:.6g} in float64"
        step, error = min(self.errors.items(), key=lambda item: item[1])
        return f"<g, h> is {self.gradient:.6g}, the slope {self.slope:.6g} (step {step:.0e}, off by {error:.1e})"


def slopes_of(call: ConcreteCall, directions: int, seed: int, state: Tensor) -> tuple[list[Slope], torch.dtype]:
    """The slopes of a call in random directions, and the dtype they were evaluated in; none if nothing depends on the
    inputs.
    """
    slopes, dtype = _slopes(call, directions, seed, state, _stay)
    if all(slope.ok for slope in slopes):
        return slopes, dtype
    try:
        nearby, _ = _slopes(call, directions, seed, state, _away)
    except REFUSALS:
        return slopes, dtype
    if len(nearby) < len(slopes):  # nothing depends there
        return slopes, dtype
    return [near if near.ok else here for here, near in zip(slopes, nearby, strict=True)], dtype


def _slopes(
    call: ConcreteCall, directions: int, seed: int, state: Tensor, move: Move
) -> tuple[list[Slope], torch.dtype]:
    """The slopes at the point to which `move` brings the leaves."""
    subject = _Subject(call, state, True, move)
    try:
        subject.gradients()
    except REFUSALS:
        subject = _Subject(call, state, False, move)
    if subject.gradients() is None:
        return [], subject.dtype
    candidate, others = None, list[_Subject]()
    if subject.dtype is torch.float64 and any(tensor.dtype is not torch.float64 for tensor in subject.original):
        candidate = _Subject(call, state, False, move)
        others = [
            _Subject(call, state, True, partial(_rounded, move, candidate.unit, index)) for index in range(TRIALS)
        ]
    slopes = []
    for index in range(directions):
        generator = torch.Generator().manual_seed(seed + index)
        direction = [_direction(leaf, generator) for leaf in subject.leaves]
        slopes.append(_slope(subject, candidate, others, direction))
    if all(slope.ok for slope in slopes):
        slopes += [_slope(subject, candidate, others, direction, SPARSE_STEPS) for direction in _sparse(subject, seed)]
    return slopes, subject.dtype


def _sparse(subject: _Subject, seed: int) -> Iterator[list[Tensor]]:
    """Directions that move a part of the elements each, and each element once: in a dense one, an error of a percent in
    one element of thousands would be lost among the others.
    """
    count = sum(leaf.numel() for leaf in subject.leaves)
    if count <= SPARSE or subject.dtype is not torch.float64:
        return
    parts = FEW_PARTS if count > MANY else min(-(-count // SPARSE), MOST_PARTS)
    generator = torch.Generator().manual_seed(seed)
    signs = [torch.randint(0, 2, leaf.shape, generator=generator).to(leaf.device) * 2 - 1 for leaf in subject.leaves]
    for part in range(parts):
        direction = []
        for leaf, sign in zip(subject.leaves, signs, strict=True):
            chosen = torch.arange(leaf.numel(), device=leaf.device).reshape(leaf.shape) % parts == part
            direction.append((chosen * sign * _typical(leaf)).to(leaf.dtype))
        yield direction


def _stay(leaf: Tensor) -> Tensor:
    return leaf


def _away(leaf: Tensor) -> Tensor:
    return leaf + NEARBY * _direction(leaf, torch.Generator().manual_seed(leaf.numel()))


def _rounded(move: Move, unit: float, seed: int, leaf: Tensor) -> Tensor:
    return perturbed(move(leaf), unit, torch.Generator().manual_seed(seed))


class _Subject:
    """A call on copies of its arguments, as a function from its leaves to a fixed random combination of its outputs.

    Evaluated in the reference's dtype if `wide`, at the point to which `move` brings the leaves.
    """

    def __init__(self, call: ConcreteCall, state: Tensor, wide: bool, move: Move) -> None:
        self.call = call.copied(wider if wide else lambda dtype: dtype)
        self.state = state
        self.wide = wide
        varied = [i for i, tensor in enumerate(call.tensors) if tensor.requires_grad and tensor.is_floating_point()]
        parameters = self._parameters()
        if not varied and not parameters:
            varied = [i for i, one in enumerate(call.tensors) if one.is_floating_point() or one.is_complex()]
        self.inputs = [self.call.tensors[index] for index in varied]
        self.original = [call.tensors[index] for index in varied]
        if parameters:
            self.original += list(call.target.parameters())
        self.names = list(parameters)
        self.leaves = [*self.inputs, *parameters.values()]
        self.places = [move(leaf.detach()) for leaf in self.leaves]
        self.unit = max((unit_roundoff(leaf.dtype) for leaf in self.leaves), default=0.0)
        self.dtype = max(
            (leaf.real.dtype if leaf.is_complex() else leaf.dtype for leaf in self.leaves),
            key=lambda dtype: torch.finfo(dtype).eps,
            default=torch.float64,
        )
        self._found: list[Tensor] | None = None
        self._done = False

    def _parameters(self) -> dict[str, Tensor]:
        target = self.call.target
        if not isinstance(target, torch.nn.Module) or isinstance(target, GraphModule):
            return {}
        return {name: parameter for name, parameter in target.named_parameters() if parameter.requires_grad}

    def value(
        self, moves: Sequence[Tensor] | None = None, gradients: bool = False
    ) -> tuple[Tensor | None, list[Tensor]]:
        """The value after each leaf has moved, as a float64 sum over all outputs that depend on a leaf; and the leaves
        used.
        """
        moved = [place + (0 if moves is None else moves[index]) for index, place in enumerate(self.places)]
        used = [leaf.requires_grad_(gradients) for leaf in moved]
        # Clones: the call may write to what it is given.
        clones = {id(leaf): value.clone() for leaf, value in zip(self.inputs, used, strict=False)}
        parameters = {name: leaf.clone() for name, leaf in zip(self.names, used[len(self.inputs) :], strict=True)}
        call = self.call.mapped(lambda tensor: clones[id(tensor)] if id(tensor) in clones else tensor.clone())
        casts = Widening() if self.wide else nullcontext()
        with random_state(self.state), torch.set_grad_enabled(gradients), casts:
            result = torch.func.functional_call(call.target, parameters, call.args) if parameters else call.run()
        terms = [
            _combined(part, index)
            for index, part in enumerate(distinct(tree_leaves(result)))
            if (part.is_floating_point() or part.is_complex()) and part.layout is torch.strided and not part.is_nested
        ]
        return (torch.stack(terms).sum() if terms else None), used

    def gradients(self) -> list[Tensor] | None:
        """The gradients of the value by leaf; None if it depends on no leaf."""
        if not self._done:
            with torch.enable_grad():
                value, leaves = self.value(gradients=True)
                if leaves and value is not None and value.requires_grad:
                    gradients: Any = torch.autograd.grad(value, leaves, allow_unused=True)
                    zipped = zip(leaves, gradients, strict=True)
                    self._found = [torch.zeros_like(leaf) if part is None else part.detach() for leaf, part in zipped]
            self._done = True
        return self._found


def _combined(part: Tensor, index: int) -> Tensor:
    """A sum of all elements, with random weights of either sign, none of which is small."""
    generator = torch.Generator().manual_seed(index)
    weights = torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part.device)
    weights = weights + torch.where(weights < 0, -0.5, 0.5)
    wide = part.real.to(torch.float64) + part.imag.to(torch.float64) if part.is_complex() else part.to(torch.float64)
    return (wide * weights).sum()


def _slope(
    subject: _Subject,
    second: _Subject | None,
    others: Sequence[_Subject],
    direction: Sequence[Tensor],
    few_steps: Sequence[float] = (),
) -> Slope:
    """The slope in a direction; with `few_steps`, by those alone if they agree with the gradient."""
    gradients = subject.gradients()
    assert gradients is not None
    expected, size = _along(gradients, direction)
    sizes, allowed = STEPS.get(subject.dtype, STEPS[torch.float64])
    quotients = {}
    with torch.no_grad():
        for step in few_steps or sizes:
            ahead, _ = subject.value([step * part for part in direction])
            behind, _ = subject.value([-step * part for part in direction])
            assert ahead is not None and behind is not None
            quotients[step] = float(ahead - behind) / (2 * step)
    errors = {step: _relative(quotient, expected, size) for step, quotient in quotients.items()}
    best = min(errors, key=lambda step: errors[step])
    slope = Slope(expected, quotients[best], errors, allowed)
    if few_steps and not slope.ok:
        return _slope(subject, second, others, direction)
    derivatives = None if second is None else second.gradients()
    if second is None or derivatives is None:
        return slope
    lowered = [part.to(leaf.dtype) for part, leaf in zip(direction, second.leaves, strict=True)]
    narrow, _ = _along(derivatives, lowered)
    rounding = max(64 * second.unit, NARROW) * max(abs(expected), size)
    return replace(slope, own=narrow, own_allowed=rounding + MARGIN * _spread(others, direction, expected))


def _spread(others: Sequence[_Subject], direction: Sequence[Tensor], expected: float) -> float:
    """How far <g, h> moves when the inputs are rounded in other ways."""
    gradients = [other.gradients() for other in others]
    return max(
        (abs(_along(each, direction)[0] - expected) for each in gradients if each is not None),
        default=0.0,
    )


def _direction(leaf: Tensor, generator: torch.Generator) -> Tensor:
    """A random direction as large as the leaf, so that a step is relative."""
    noise = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
    if leaf.is_complex():
        noise = torch.complex(noise, torch.randn(leaf.shape, generator=generator, dtype=torch.float64))
    return (noise * _typical(leaf)).to(device=leaf.device, dtype=leaf.dtype)


def _typical(leaf: Tensor) -> float:
    """The root mean square of a leaf; 1 for one without elements, or of zeros."""
    typical = float(leaf.detach().abs().to(torch.float64).square().mean().sqrt()) if leaf.numel() else 1.0
    return typical or 1.0


def _along(gradients: Sequence[Tensor], direction: Sequence[Tensor]) -> tuple[float, float]:
    """<g, h>, and its size if its terms did not cancel: the root of the sum of their squares."""
    pairs = zip(gradients, direction, strict=True)
    terms = [(part.conj() * along).real.to(torch.float64).flatten().cpu() for part, along in pairs]
    flat = torch.cat(terms) if terms else torch.zeros(1, dtype=torch.float64)
    return float(flat.sum()), float(flat.square().sum().sqrt())


def _relative(quotient: float, expected: float, size: float) -> float:
    scale = max(abs(quotient), abs(expected), size)
    return abs(quotient - expected) / scale if scale else 0.0
