"""Comparison of a candidate's outcome with the right one: the first difference, in words.

Nothing here runs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from backends.crosscheck.calls import ConcreteCall, ConcreteOutcome, is_plain
from backends.crosscheck.operators import chooses_zeros
from backends.crosscheck.process_state import StateChange
from backends.crosscheck.reference import TRIALS, ReferenceRun, distance, observations
from backends.crosscheck.tolerance import ROUNDINGS, unit_roundoff
from passes.operators.difference import tensor_difference

FACTS = ("shape", "dtype", "device", "requires_grad", "is_conj", "is_neg", "is_inference")
FIRST_TRIALS = 1  # perturbations before a difference is suspected
REORDERED = 64  # roundings by which two runs may differ that add up in another order


@dataclass(frozen=True, slots=True)
class CrosscheckDifference:
    """One difference. `kind` says what differs, `what` names the tensor, `detail` has figures for people.

    `index` is the number of the observation, `place` the flat index of the element; `error` and `allowed` are those of
    that element, 0 where no figures apply. `where` is the part of the state that was left changed.
    """

    kind: str
    what: str
    detail: str
    error: float = 0.0
    allowed: float = 0.0
    index: int = 0
    place: int = 0
    where: str = ""


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
    """The first output whose type, shape, dtype, strides, requires_grad or (if `aliases`) aliasing differs from that of
    the plain call.
    """
    for index, (got, wanted) in enumerate(zip(outcome.outputs, expected.outputs, strict=False)):
        what = label(index, found_call, outcome)
        if type(got) is not type(wanted):
            types = f"{type(got).__name__} instead of {type(wanted).__name__}"
            return CrosscheckDifference("type", what, types, index=index)
        if not isinstance(got, Tensor) or not isinstance(wanted, Tensor):
            continue
        if difference := _facts(got, wanted, what, index):
            return difference
        ours, theirs = _aliases(got, found_call.tensors), _aliases(wanted, reference_call.tensors)
        if aliases and ours != theirs:
            return CrosscheckDifference(
                "aliasing", what, f"shares memory with inputs {ours} instead of {theirs}", index=index
            )
    if len(outcome.outputs) != len(expected.outputs):
        return CrosscheckDifference(
            "outputs", "the result", f"{len(outcome.outputs)} parts instead of {len(expected.outputs)}"
        )
    return _among(found_call, outcome, expected) if aliases else None


def _facts(got: Tensor, wanted: Tensor, what: str, index: int) -> CrosscheckDifference | None:
    """The first fact in which a tensor differs from the plain call's."""
    facts = FACTS + (("strides",) if is_plain(got) and is_plain(wanted) else ())
    difference = tensor_difference(wanted, got, facts)
    if difference is None:
        return None
    ours, theirs = difference.actual, difference.expected
    if difference.kind == "strides":  # all of them, for a person
        ours, theirs = got.stride(), wanted.stride()
    return CrosscheckDifference(difference.kind, what, f"{ours} instead of {theirs}", index=index)


def _among(call: ConcreteCall, outcome: ConcreteOutcome, expected: ConcreteOutcome) -> CrosscheckDifference | None:
    """The first output that shares memory with other outputs than in the plain call, or is another's object."""
    for index, (got, wanted) in enumerate(zip(outcome.outputs, expected.outputs, strict=True)):
        if not isinstance(got, Tensor):
            continue
        what = label(index, call, outcome)
        ours, theirs = _aliases(got, outcome.outputs), _aliases(wanted, expected.outputs)
        if ours != theirs:
            return CrosscheckDifference(
                "aliasing", what, f"shares memory with results {ours} instead of {theirs}", index=index
            )
        ours, theirs = _same_objects(got, outcome.outputs), _same_objects(wanted, expected.outputs)
        if ours != theirs:
            return CrosscheckDifference(
                "identity", what, f"is the same object as results {ours} instead of {theirs}", index=index
            )
    return None


def _same_objects(tensor: Tensor, others: Sequence[Any]) -> list[int]:
    return [index for index, other in enumerate(others) if other is tensor]


def effects(
    found_call: ConcreteCall,
    outcome: ConcreteOutcome,
    reference_call: ConcreteCall,
    expected: ConcreteOutcome,
    before: Sequence[Tensor],
) -> CrosscheckDifference | None:
    """The first thing that a call does besides returning results and writing values: to its arguments, to constants
    that its graph holds, and to the state of the process. `before` are the arguments as they were.

    torch does not count every write: not those of batch norm to its statistics.
    """
    count = len(observations(found_call, outcome)) - len(outcome.arguments)
    for index, (now, wanted, then) in enumerate(zip(outcome.arguments, expected.arguments, before, strict=True)):
        what = label(count + index, found_call, outcome)
        if difference := _facts(now, wanted, what, count + index):
            return difference
        if _has_gradient(now) and not _has_gradient(wanted):
            return CrosscheckDifference("grad", what, "has a gradient of its own", index=count + index)
        if index in outcome.written and index not in expected.written and not bool((distance(then, now) > 0).any()):
            return CrosscheckDifference("written", what, "was written to, with the values that it had", index=index)
    ours, theirs = _held(found_call.target), _held(reference_call.target)
    for name, tensor in ours.items():
        if name in theirs and bool((distance(tensor, theirs[name]) > 0).any()):
            return CrosscheckDifference("constant", f"the constant {name} after the call", "was written to")
    return state_difference(outcome.left, expected.left)


def _has_gradient(tensor: Tensor) -> bool:
    return tensor.is_leaf and tensor.grad is not None


def _held(target: Any) -> dict[str, Tensor]:
    """The tensors that a graph holds, by name."""
    if not isinstance(target, GraphModule):
        return {}
    held = {str(node.target): attrgetter(str(node.target))(target) for node in target.graph.find_nodes(op="get_attr")}
    return {name: value for name, value in held.items() if isinstance(value, Tensor) and is_plain(value)}


def state_difference(left: Sequence[StateChange], expected: Sequence[StateChange]) -> CrosscheckDifference | None:
    """The first part of the state of the process that is left other than the plain call leaves it."""
    ours, theirs = {change.state: change for change in left}, {change.state: change for change in expected}
    for name in (*ours, *theirs):
        if name not in theirs or name not in ours or ours[name].after != theirs[name].after:
            change = ours.get(name) or StateChange(name, theirs[name].after, theirs[name].before)
            return CrosscheckDifference("state", "the state of the process", change.words, where=name)
    return None


def signs(call: ConcreteCall, outcome: ConcreteOutcome, right: ReferenceRun) -> CrosscheckDifference | None:
    """The first zero of another sign, among those that the call gives in its own dtype and in float64 alike.

    Not for graphs in which the greater of two equal zeros is chosen: either will do.
    """
    if chooses_zeros(call.target):
        return None
    plain = observations(right.call, right.outcome)
    for index, (got, wanted, exact) in enumerate(zip(observations(call, outcome), plain, right.exact, strict=False)):
        if got is None or wanted is None or exact is None or not (got.shape == wanted.shape == exact.shape):
            continue
        if not (got.is_floating_point() and wanted.is_floating_point() and exact.is_floating_point()):
            continue
        wrong = (got == 0) & (wanted == 0) & (exact == 0) & (wanted.signbit() == exact.signbit())
        wrong &= got.signbit() != wanted.signbit()
        if index < len(right.undefined) and (mask := right.undefined[index]) is not None:
            wrong &= ~mask
        if bool(wrong.any()):
            place = int(wrong.flatten().int().argmax())
            detail = f"{int(wrong.sum()):,} of {wrong.numel():,} zeros have another sign"
            return CrosscheckDifference("sign", label(index, call, outcome), detail, index=index, place=place)
    return None


def _aliases(tensor: Tensor, others: Sequence[Any]) -> list[int]:
    """The numbers of the tensors that are in the memory of `tensor`."""
    if not _is_in_memory(tensor) or not tensor.numel():
        return []
    storage, tensors = tensor.untyped_storage()._cdata, enumerate(others)
    return [
        index
        for index, one in tensors
        if isinstance(one, Tensor) and _is_in_memory(one) and one.untyped_storage()._cdata == storage
    ]


def _is_in_memory(tensor: Tensor) -> bool:
    """Whether the tensor reads a storage, be it as conjugates or negatives."""
    return is_plain(tensor.conj() if tensor.is_conj() else tensor) or (tensor.is_neg() and not tensor.is_nested)


def overwritten(
    outcome: ConcreteOutcome, later: ConcreteOutcome, expected: ConcreteOutcome, expected_later: ConcreteOutcome
) -> CrosscheckDifference | None:
    """The first result that a later call of the same program returns its own result in the memory of."""
    for index, (got, wanted) in enumerate(zip(outcome.outputs, expected.outputs, strict=False)):
        if not isinstance(got, Tensor) or not isinstance(wanted, Tensor):
            continue
        if _aliases(got, later.outputs) and not _aliases(wanted, expected_later.outputs):
            what = "the result" if len(outcome.outputs) == 1 else f"result {index}"
            return CrosscheckDifference("overwritten", what, "a later call returns its result in the same memory")
    return None


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
            return CrosscheckDifference("nondeterministic", what, detail, float(away.max()), noise(one), index)
    return None


def noise(tensor: Tensor) -> float:
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
