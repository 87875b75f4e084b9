"""Compares a compiled program with the eager one: both run on copies of a call's inputs.

Compared are outputs (values, dtypes, strides, shared memory), the inputs after the call, the state of the random
generator, and gradients. The caller's tensors, gradients and random numbers stay as they are. Tolerances allow for
reordered sums, and are relative to the largest number of a tensor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch

from passes.accelerator import RandomStates, random_states, same_states, set_random_states
from passes.operators.difference import tensor_difference

Program = Callable[..., Any]

TOLERANCE: Final = {
    torch.float64: 1e-9,
    torch.complex128: 1e-9,
    torch.float32: 1e-4,
    torch.complex64: 1e-4,
    torch.float16: 1e-2,
    torch.bfloat16: 5e-2,
}
"""Largest error, as a part of a tensor's largest number; other dtypes must be equal."""

FLOOR: Final = 0.1
"""A tensor's largest number counts as at least this part of the largest among all: some gradients are rounding only."""

COPIED: Final = (torch.Tensor, torch.nn.Parameter)


class InputNotCopied(Exception):
    """An input that cannot be copied, so that the programs cannot be compared."""


@dataclass(frozen=True, slots=True)
class TierRun:
    """The copies, outputs and gradients of one program's run, and the seconds it took, backward included."""

    inputs: list[Any]
    outputs: Sequence[Any]
    gradients: Sequence[torch.Tensor | None]
    random_states: RandomStates
    seconds: float


@dataclass(frozen=True, slots=True)
class TierComparison:
    """How the programs differ, in words ("" if they do not), whether gradients flow, and the seconds each took."""

    difference: str
    trained: bool
    eager: float
    compiled: float


def compare(eager: Program, compiled: Program, inputs: Sequence[Any]) -> TierComparison:
    """Run both programs on copies of the inputs. Raises InputNotCopied, and what a program raises."""
    with same_randomness() as again:
        expected = run_on_copies(eager, inputs)
        again()
        run = run_on_copies(compiled, inputs)
    return TierComparison(difference(expected, run), bool(expected.gradients), expected.seconds, run.seconds)


@contextmanager
def same_randomness() -> Iterator[Callable[[], None]]:
    """A context that restores the random state on exit, and whenever the function that it yields is called."""
    states = random_states()

    def again() -> None:
        set_random_states(states)

    try:
        yield again
    finally:
        again()


def run_on_copies(program: Program, inputs: Sequence[Any]) -> TierRun:
    """Run a program forward, and backward from every output that has a gradient. Raises InputNotCopied."""
    leaves, copies = copied(inputs)
    begun = time.perf_counter()
    outputs = program(*copies)
    gradients: Sequence[torch.Tensor | None] = ()
    roots = [output for output in outputs if isinstance(output, torch.Tensor) and output.grad_fn is not None]
    sources = [leaf for leaf in leaves if leaf.requires_grad]
    if roots and sources:
        gradients = torch.autograd.grad(roots, sources, list(map(_cotangent, roots)), allow_unused=True)
    seconds = time.perf_counter() - begun
    return TierRun(copies, outputs, gradients, random_states(), seconds)


def _cotangent(root: torch.Tensor) -> torch.Tensor:
    """Random gradients of both signs: under equal ones, the gradients of many normalising operators would be zero."""
    steps = torch.arange(root.numel(), device=root.device, dtype=torch.float32)
    return torch.cos(steps).to(root.dtype).reshape(root.shape)


def copied(inputs: Sequence[Any]) -> tuple[list[torch.Tensor], list[Any]]:
    """Copies of the inputs that share memory with each other as the inputs do: (leaves of autograd, copies)."""
    storages: dict[int, Any] = {}
    leaves, copies = [], []
    for value in inputs:
        if not isinstance(value, torch.Tensor):
            copies.append(value)
            continue
        if type(value) not in COPIED or value.layout is not torch.strided:
            raise InputNotCopied(f"an input is a {type(value).__name__} of layout {value.layout}")
        leaf = _copy(value, storages)
        leaves.append(leaf)
        copies.append(leaf if value.is_leaf else leaf.clone(memory_format=torch.preserve_format))
    return leaves, copies


def _copy(value: torch.Tensor, storages: dict[int, Any]) -> torch.Tensor:
    storage = value.untyped_storage()
    kept = storages.get(storage._cdata)
    if kept is None:
        kept = storages[storage._cdata] = storage.clone()
    copy = torch.empty((0,), dtype=value.dtype, device=value.device)
    with torch.no_grad():
        copy.set_(kept, value.storage_offset(), value.shape, value.stride())  # type: ignore[call-overload]
    if value.is_conj():
        torch._C._set_conj(copy, True)
    if value.is_neg():
        torch._C._set_neg(copy, True)
    if type(value) is torch.nn.Parameter:
        return torch.nn.Parameter(copy, value.requires_grad)
    return copy.requires_grad_(value.requires_grad)


def difference(expected: TierRun, actual: TierRun) -> str:
    """The first thing in which two runs differ, in words; "" when they do not."""
    if len(expected.outputs) != len(actual.outputs):
        return f"{len(actual.outputs)} outputs instead of {len(expected.outputs)}"
    kinds = (
        ("output", expected.outputs, actual.outputs),
        ("input", expected.inputs, actual.inputs),
        ("gradient", expected.gradients, actual.gradients),
    )
    for kind, wanted, actual_values in kinds:
        floor = FLOOR * max((_largest(value) for value in wanted), default=0.0)
        for place, (left, right) in enumerate(zip(wanted, actual_values, strict=True)):
            if words := _difference(left, right, floor):
                return f"{kind} {place}: {words}"
    if _sharing(expected) != _sharing(actual):
        return "outputs share memory with other tensors than they should"
    if not same_states(expected.random_states, actual.random_states):
        return "another number of random numbers was drawn"
    return ""


def _largest(value: Any) -> float:
    """The largest finite number of a tensor of floats, 0 for anything else."""
    if not isinstance(value, torch.Tensor) or value.dtype not in TOLERANCE or value.numel() == 0:
        return 0.0
    return float(value.detach().abs().nan_to_num(0, 0, 0).max())


def _difference(wanted: Any, actual: Any, floor: float) -> str:
    if not isinstance(wanted, torch.Tensor) or not isinstance(actual, torch.Tensor):
        return "" if type(wanted) is type(actual) and wanted == actual else f"{actual!r} instead of {wanted!r}"
    if mismatch := tensor_difference(wanted, actual, FACTS):
        return mismatch.words
    left, right = wanted.detach(), actual.detach()
    tolerance = TOLERANCE.get(left.dtype)
    if tolerance is None or left.numel() == 0:
        return "" if torch.equal(left, right) else "other values"
    exact = torch.complex128 if left.is_complex() else torch.float64
    left, right = left.to(exact), right.to(exact)
    scale = max(_largest(left), floor)
    if torch.allclose(left, right, rtol=tolerance, atol=tolerance * scale, equal_nan=True):
        return ""
    return f"values differ by up to {float((left - right).abs().nan_to_num(torch.inf).max()):.3g}"


FACTS: Final = ("shape", "dtype", "device", "strides", "requires_grad")


def _sharing(run: TierRun) -> list[int]:
    """For each output, the first tensor, among the inputs and then the outputs, with which it shares memory."""
    tensors = [value for value in (*run.inputs, *run.outputs) if isinstance(value, torch.Tensor)]
    first: dict[int, int] = {}
    return [first.setdefault(tensor.untyped_storage()._cdata, place) for place, tensor in enumerate(tensors)]
