"""The right result: the call in float64 on contiguous copies, and how far a result may be from it.

For a call that does not accept float64, gives numbers that belong to its dtype, or draws random numbers (which differ
by dtype), the reference is the call itself on contiguous copies. Nothing here knows of candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.utils._pytree import tree_leaves

from backends.crosscheck.calls import ConcreteCall, ConcreteOutcome, attempt, is_plain, wider
from backends.crosscheck.gradients import CallAndBackward
from backends.crosscheck.operators import (
    EXACT,
    FRESH,
    OF_DTYPE,
    ORDERS,
    PIECEWISE,
    READS_STORAGE,
    UNINITIALISED,
    decides_ties,
    exact_inputs,
    mixes_elements,
    name_of,
    readings,
    splits_ties,
    zeros_matter_by_element,
)
from backends.crosscheck.tolerance import SMALLEST, bound, perturbed, reduction_length, unit_roundoff
from backends.crosscheck.walk import FillingInterpreter

TRIALS: Final = 8  # perturbations before a difference is believed
NUDGE: Final = 2.0**-40  # relative; tells equal integers apart and no others


@dataclass
class ReferenceRun:
    """The exact values of each observed tensor, and how far they move under as many perturbations as are asked for.

    `plain` is a copy of the call, in its own dtype and layout, and `outcome` what that gave. `exact` holds None for
    observations that are not tensors.
    """

    call: ConcreteCall
    seed: Tensor
    plain: ConcreteCall
    outcome: ConcreteOutcome
    exact: list[Tensor | None]
    wide: bool
    length: int
    undefined: list[Tensor | None]
    _generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    _spreads: list[Tensor | None] = field(default_factory=list[Any])
    _steady: list[Tensor | None] = field(default_factory=list[Any])
    _tied: list[Tensor | None] = field(default_factory=list[Any])
    _trials: int = 0

    def tolerance(self, index: int, dtype: torch.dtype, trials: int) -> Tensor:
        """The allowed error of observation `index` in `dtype`; for integers, infinite where the value is not
        determined.

        Zeros of what is computed with only by element stay zeros, with their signs. Moving another exact zero may leave
        the domain of a function (sqrt), or the pole that it stands at (1 / x): where the result is then anything, what
        counts is how far it moves while all zeros stay zeros. Where the first of equal elements is chosen, equal
        elements of an input stay equal.
        """
        self._perturb(trials)
        exact, spread, steady = self.exact[index], self._spreads[index], self._steady[index]
        assert exact is not None and spread is not None and steady is not None
        if not (dtype.is_floating_point or dtype.is_complex):
            spread = self._tied[index] if self._tied else spread
            assert spread is not None
            return torch.where(spread > 0, torch.inf, 0.0)
        return bound(exact, torch.where(spread.isinf(), steady, spread), dtype, self.length)

    @cached_property
    def _by_element(self) -> list[bool]:
        if isinstance(self.call.target, CallAndBackward):  # torch documents the slopes at zeros
            still = isinstance(self.call.target.target, GraphModule) and not mixes_elements(self.call.target.target)
            return [still] * len(self.call.tensors)
        return zeros_matter_by_element(self.call)

    @cached_property
    def _exact(self) -> list[bool]:
        """Whether nothing is nearly right for an element that is nearly the same."""
        if isinstance(self.call.target, CallAndBackward):
            return exact_inputs(self.call.target.target, self.call, PIECEWISE)
        return exact_inputs(self.call.target, self.call, EXACT)

    @cached_property
    def _keeps_ties(self) -> bool:
        """Whether equal elements stay equal, as torch documents the slopes at them."""
        target = self.call.target.target if isinstance(self.call.target, CallAndBackward) else None
        return isinstance(target, GraphModule) and splits_ties(target)

    def _perturb(self, trials: int) -> None:
        if not self._spreads:
            self._spreads, self._steady = self._zeros(), self._zeros()
            self._tied = self._zeros() if decides_ties(self.call.target, self.call.kwargs) else []
        while self._trials < trials:
            self._trials += 1
            self._move(self._spreads, SMALLEST, self._keeps_ties)
            if any(spread is not None and bool(spread.isinf().any()) for spread in self._spreads):
                self._move(self._steady, 0.0, self._keeps_ties)
            if self._tied:
                self._move(self._tied, SMALLEST, alike=True)

    def _zeros(self) -> list[Tensor | None]:
        return [
            None if exact is None else torch.zeros(exact.shape, dtype=torch.float64, device=exact.device)
            for exact in self.exact
        ]

    def _move(self, spreads: list[Tensor | None], smallest: float, alike: bool = False) -> None:
        """Run the call on inputs that are moved by a rounding, and note in `spreads` how far its results move."""
        units = [unit_roundoff(part.dtype) for part in observations(self.call, self.outcome) if part is not None]
        inputs = [unit_roundoff(tensor.dtype) for tensor in self.call.tensors]
        unit = max(units, default=0.0) or max(inputs, default=0.0)
        base = canonical(self.call.copied(wider if self.wide else _same))
        if (
            name_of(self.call) in ORDERS and not self.wide and not alike
        ):  # of integers: what is equal is told apart at random
            base, unit = base.mapped(lambda tensor: tensor.to(torch.float64)), NUDGE
        still = {id(one) for one, by_element in zip(base.tensors, self._by_element, strict=True) if by_element}
        fixed = {id(one) for one, is_exact in zip(base.tensors, self._exact, strict=True) if is_exact}

        def move(tensor: Tensor) -> Tensor:
            if id(tensor) in fixed:
                return tensor
            least = 0.0 if id(tensor) in still else smallest
            return perturbed(tensor, unit, self._generator, least, alike)

        moved = base.mapped(move)
        outcome = attempt(moved, seed=self.seed)
        if outcome.error is not None:
            return
        for index, (exact, value) in enumerate(zip(self.exact, observations(moved, outcome), strict=False)):
            spread = spreads[index]
            if exact is not None and value is not None and spread is not None:
                spreads[index] = torch.maximum(spread, distance(exact, value))


def reference(call: ConcreteCall, seed: Tensor) -> ReferenceRun:
    """The reference of `call`. Its `outcome` has an error when the call itself raises."""
    copy = call.copied()
    outcome = attempt(copy, seed=seed)
    if outcome.error is not None:
        return ReferenceRun(call, seed, copy, outcome, [], False, 1, [])
    wide = not outcome.drew and any(wider(tensor.dtype) is not tensor.dtype for tensor in call.tensors)
    wide = wide and name_of(call) not in OF_DTYPE
    best, exact = call, outcome
    if wide:
        best = canonical(call.copied(wider))
        exact = attempt(best, seed=seed)
        wide = exact.error is None
    if not wide and not outcome.drew:
        best = canonical(call.copied())
        exact = attempt(best, seed=seed)
    if exact.error is not None or outcome.drew:
        best, exact = copy, outcome
    length = reduction_length(call, outcome.outputs)
    values = observations(best, exact)
    return ReferenceRun(call, seed, copy, outcome, values, wide, length, _undefined(call, seed))


def _same(dtype: torch.dtype) -> torch.dtype:
    return dtype


def canonical(call: ConcreteCall) -> ConcreteCall:
    """The call with each tensor contiguous in its own memory, unless its meaning depends on the memory."""
    if name_of(call) in READS_STORAGE or shares_memory(call.tensors):
        return call
    return call.mapped(lambda tensor: tensor.contiguous().clone() if is_plain(tensor) else tensor)


def shares_memory(tensors: list[Tensor]) -> bool:
    """Whether two of the tensors are in one storage."""
    storages = [tensor.untyped_storage()._cdata for tensor in tensors if is_plain(tensor)]
    return len(set(storages)) < len(storages)


def observations(call: ConcreteCall, outcome: ConcreteOutcome) -> list[Tensor | None]:
    """What can be compared of a call: its outputs, then its tensor arguments as they are afterwards.

    Numbers among the outputs count as tensors; None stands for other objects, and for undefined values.
    """
    outputs = [_tensor(leaf) for leaf in tree_leaves(readings(call, outcome.outputs))]
    if name_of(call) in UNINITIALISED:
        return [None] * (len(outputs) + len(outcome.arguments))
    return outputs + [_tensor(argument) for argument in outcome.arguments]


def _tensor(leaf: Any) -> Tensor | None:
    if isinstance(leaf, Tensor):
        leaf = leaf.detach()
        if leaf.layout is not torch.strided and leaf.layout is not torch._mkldnn:  # type: ignore[attr-defined]
            return None if leaf.is_nested else leaf.to_dense()
        if leaf.is_quantized or leaf.device.type == "meta" or leaf.is_nested:
            return None
        return leaf.to_dense() if leaf.is_mkldnn else leaf.resolve_conj().resolve_neg()
    return torch.tensor(leaf) if isinstance(leaf, bool | float | complex) else None


def distance(left: Tensor, right: Tensor) -> Tensor:
    """|left - right| in float64; 0 where both are the same infinity or both NaN, infinite where only one is."""
    if left.shape != right.shape:
        return torch.full(left.shape, torch.inf, dtype=torch.float64, device=left.device)
    if left.is_complex() or right.is_complex():
        return torch.linalg.vector_norm(
            torch.stack((distance(left.real, right.real), distance(_imaginary(left), _imaginary(right)))), dim=0
        )
    if not left.is_floating_point() and not right.is_floating_point():
        return (left != right).to(torch.float64)
    wide, other = left.to(torch.float64), right.to(torch.float64)
    difference = (wide - other).abs()
    same = (wide == other) | (wide.isnan() & other.isnan())
    return torch.where(same, 0.0, torch.where(difference.isnan(), torch.inf, difference))


def _imaginary(tensor: Tensor) -> Tensor:
    return tensor.imag if tensor.is_complex() else torch.zeros_like(tensor)


def _undefined(call: ConcreteCall, seed: Tensor) -> list[Tensor | None]:
    """For a graph: where its observations depend on uninitialised memory, so that there is nothing to compare."""
    target = call.target
    if not isinstance(target, GraphModule) or not any(
        name_of(ConcreteCall(n.target, ())) in FRESH for n in target.graph.nodes
    ):
        return []
    runs = []
    for poison in (False, True):
        copy = call.copied()
        runs.append(observations(copy, attempt(copy, partial(_filled, poison=poison), seed)))
    return [
        None if a is None or b is None or a.shape != b.shape else distance(a, b) > 0
        for a, b in zip(*runs, strict=False)
    ]


def _filled(call: ConcreteCall, poison: bool) -> Any:
    return FillingInterpreter(call.target, poison).run(*call.args)
