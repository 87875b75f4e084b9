"""Comparison of a candidate's outcome with the right one: the first difference, in words.

Nothing here runs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from backends.crosscheck.calls import ConcreteCall, ConcreteOutcome, is_plain
from backends.crosscheck.reference import TRIALS, ReferenceRun, distance, observations
from backends.crosscheck.tolerance import ROUNDINGS, unit_roundoff
from passes.operators.difference import tensor_difference

FIRST_TRIALS = 1  # perturbations before a difference is suspected
REORDERED = 64  # roundings by which two runs may differ that add up in another order


@dataclass(frozen=True, slots=True)
class CrosscheckDifference:
    """One difference. `kind` says what differs, `what` names the tensor, `detail` has figures for people.

    `index` is the number of the observation, `place` the flat index of the element; `error` and `allowed` are those of
    that element, 0 where no figures apply.
    """

    kind: str
    what: str
    detail: str
    error: float = 0.0
    allowed: float = 0.0
    index: int = 0
    place: int = 0


def label(index: int, call: ConcreteCall, outcome: ConcreteOutcome) -> str:
    """The words for an observation: an output, or an argument as it is after the call."""
    count = len(observations(call, outcome)) - len(outcome.arguments)
    if index >= count:
        return f"argument tensor {index - count} after the call"
    return "the result" if count == 1 else f"result {index}"


def values(
    found_call: ConcreteCall, outcome: ConcreteOutcome, right: ReferenceRun, near: ConcreteOutcome | None = None
) -> CrosscheckDifference | None:
    """The first tensor whose values are wrong. `near` is another answer that counts as right as the exact one."""
    seen = observations(found_call, outcome)
    others = observations(right.call, near) if near is not None else [None] * len(seen)
    for index, (exact, tensor) in enumerate(zip(right.exact, seen, strict=False)):
        if exact is None or tensor is None:
            continue
        what = label(index, found_call, outcome)
        if tensor.shape != exact.shape:
            return CrosscheckDifference(
                "shape", what, f"{list(tensor.shape)} instead of {list(exact.shape)}", index=index
            )
        difference = _values(index, tensor.to(exact.device), right, others[index], what)
        if difference is not None:
            return difference
    return None


def _values(
    index: int, tensor: Tensor, right: ReferenceRun, other: Tensor | None, what: str
) -> CrosscheckDifference | None:
    exact = right.exact[index]
    assert exact is not None
    if exact.dtype is not tensor.dtype and exact.numel() and (exact.is_floating_point() or exact.is_complex()):
        away = torch.minimum(distance(exact, tensor), distance(_overflowing(exact, tensor.dtype), tensor))
    else:
        away = distance(exact, tensor)
    slack = 0.0
    if other is not None and other.shape == tensor.shape:
        away = torch.minimum(away, distance(other, tensor))
        slack = _own_error(distance(exact, other))
    if index < len(right.undefined) and (mask := right.undefined[index]) is not None:
        away = torch.where(mask, 0.0, away)
    if not bool((away > 0).any()):
        return None
    for trials in (FIRST_TRIALS, TRIALS):
        allowed = right.tolerance(index, tensor.dtype, trials) + slack
        wrong = away > allowed
        if not bool(wrong.any()):
            return None
    place = int((torch.where(wrong, away / allowed.clamp_min(1e-300), 0.0)).argmax())
    wanted, got = exact.flatten()[place].item(), tensor.flatten()[place].item()
    error, limit = float(away.flatten()[place]), float(allowed.flatten()[place])
    position = list(map(int, torch.unravel_index(torch.tensor(place), tensor.shape))) if tensor.dim() else []
    detail = (
        f"{int(wrong.sum()):,} of {tensor.numel():,} elements, the worst at {position}: "
        f"{got:.9g} instead of {wanted:.9g}" + (f", off by {error:.2g} where {limit:.2g} is allowed" if limit else "")
    )
    return CrosscheckDifference("values", what, detail, error, limit, index, place)


def _own_error(away: Tensor) -> float:
    """The allowance for rounding that follows from the other answer's own error: some times its root mean square.

    torch's benchmarks judge compilers this way (`same` in torch._dynamo.utils). It covers gradients that are exactly 0,
    such as a bias's before batch norm, whose errors depend on what cancels and not on what is left.
    """
    finite = away[away.isfinite()]
    return ROUNDINGS * float(finite.square().mean().sqrt()) if finite.numel() else 0.0


def _overflowing(exact: Tensor, dtype: torch.dtype) -> Tensor:
    """`exact` with infinities where a dtype of smaller range has them."""
    rounded = exact.to(dtype)
    return torch.where(rounded.isinf(), rounded.to(exact.dtype), exact)


def metas(
    found_call: ConcreteCall,
    outcome: ConcreteOutcome,
    reference_call: ConcreteCall,
    expected: ConcreteOutcome,
    aliases: bool = True,
) -> CrosscheckDifference | None:
    """The first output whose shape, dtype, strides or (if `aliases`) aliasing differs from that of the plain call."""
    for index, (got, wanted) in enumerate(zip(outcome.outputs, expected.outputs, strict=False)):
        what = label(index, found_call, outcome)
        if isinstance(got, Tensor) != isinstance(wanted, Tensor):
            types = f"{type(got).__name__} instead of {type(wanted).__name__}"
            return CrosscheckDifference("type", what, types, index=index)
        if not isinstance(got, Tensor) or not isinstance(wanted, Tensor):
            continue
        facts = ("shape", "dtype", "device", *(("strides",) if is_plain(got) and is_plain(wanted) else ()))
        if difference := tensor_difference(wanted, got, facts):
            ours, theirs = difference.actual, difference.expected
            if difference.kind == "strides":  # all of them, for a person
                ours, theirs = got.stride(), wanted.stride()
            return CrosscheckDifference(difference.kind, what, f"{ours} instead of {theirs}", index=index)
        ours, theirs = _aliases(got, found_call.tensors), _aliases(wanted, reference_call.tensors)
        if aliases and ours != theirs:
            return CrosscheckDifference(
                "aliasing", what, f"shares memory with inputs {ours} instead of {theirs}", index=index
            )
    if len(outcome.outputs) != len(expected.outputs):
        return CrosscheckDifference(
            "outputs", "the result", f"{len(outcome.outputs)} parts instead of {len(expected.outputs)}"
        )
    return None


def _aliases(tensor: Tensor, inputs: Sequence[Tensor]) -> list[int]:
    if not is_plain(tensor) or not tensor.numel():
        return []
    storage = tensor.untyped_storage()._cdata
    return [index for index, one in enumerate(inputs) if is_plain(one) and one.untyped_storage()._cdata == storage]


def bitwise(
    call: ConcreteCall, first: ConcreteOutcome, again: ConcreteCall, second: ConcreteOutcome
) -> CrosscheckDifference | None:
    """The first tensor that is not identical bit by bit."""
    pairs = zip(observations(call, first), observations(again, second), strict=False)
    for index, (one, other) in enumerate(pairs):
        if one is None or other is None:
            continue
        what = label(index, call, first)
        if one.shape != other.shape:
            return CrosscheckDifference("nondeterministic", what, f"{list(one.shape)}, then {list(other.shape)}")
        away = distance(one, other)
        if bool((away > 0).any()):
            count = f"{int((away > 0).sum()):,} of {away.numel():,}"
            detail = f"{count} elements differ between two runs, by up to {away.max():.2g}"
            return CrosscheckDifference("nondeterministic", what, detail, float(away.max()), _noise(one), index)
    return None


def _noise(tensor: Tensor) -> float:
    """How far two runs of one call may differ when only the order of their roundings differs."""
    finite = tensor.abs()[tensor.isfinite()]
    return REORDERED * unit_roundoff(tensor.dtype) * float(finite.max()) if finite.numel() else 0.0


def stale(
    call: ConcreteCall, plain: ConcreteOutcome, again: ConcreteCall, poisoned: ConcreteOutcome
) -> CrosscheckDifference | None:
    """The first tensor that has NaN (for integers, any other value) only if fresh memory is poisoned."""
    pairs = zip(observations(call, plain), observations(again, poisoned), strict=False)
    for index, (one, other) in enumerate(pairs):
        if one is None or other is None or one.shape != other.shape:
            continue
        floating = one.is_floating_point() or one.is_complex()
        touched = other.isnan() & ~one.isnan() if floating else one != other
        if bool(touched.any()):
            detail = f"{int(touched.sum()):,} of {touched.numel():,} elements come from memory that was never written"
            return CrosscheckDifference("uninitialised", label(index, call, plain), detail)
    return None


def error_words(error: Exception) -> str:
    """An exception in one line."""
    text: Any = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
