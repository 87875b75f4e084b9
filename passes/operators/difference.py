"""In what two outcomes, metas or tensors differ: the first difference, as data and in words.

What is compared: `expected` is what was predicted, derived or is right, `actual` what is there. Nothing here runs an
operator, and values of tensors are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.operators.hints import at_hint
from passes.operators.outcome import New, Outcome, Same, rebuilt

FACTS: Final = ("shape", "stride", "storage_offset", "dtype", "device", "layout", "requires_grad", "is_conj", "is_neg")
ROUGH_FACTS: Final = ("shape", "dtype")  # what stand-ins without data never get wrong

FORM, MEMORY, WRITTEN = "form", "memory", "written"  # kinds of differences that are not a fact of a tensor


@dataclass(frozen=True, slots=True)
class OutcomeDifference:
    """One difference. `kind` is FORM, MEMORY, WRITTEN or the name of a fact; `where` tells of what, if not a result."""

    kind: str
    expected: Any
    actual: Any
    where: str = ""

    @property
    def words(self) -> str:
        """`argument 0 after the call: stride (1, 2) instead of (2, 1)`."""
        place = f"{self.where}: " if self.where else ""
        fact = "" if self.kind in (FORM, MEMORY, WRITTEN) else f"{self.kind} "
        return f"{place}{fact}{self.actual} instead of {self.expected}"


def outcome_difference(
    expected: Outcome,
    actual: Outcome,
    facts: Sequence[str] = FACTS,
    owner: Callable[[int], int] = lambda index: index,
    every_write: bool = False,
) -> OutcomeDifference | None:
    """The first thing in which two outcomes of a call differ; None if they agree.

    A write that was expected and not seen counts as agreement, unless `every_write`. `owner(i)` is the first of the
    tensors given that shares memory with number i.
    """
    forms = [rebuilt(outcome.result, (New, Same), lambda _: "tensor") for outcome in (expected, actual)]
    if _typed(forms[0]) != _typed(forms[1]):
        return OutcomeDifference(FORM, forms[0], forms[1], "the result")
    for left, right in zip(expected.tensors, actual.tensors, strict=True):
        memories = [_memory_words(tensor, owner) for tensor in (left, right)]
        if memories[0] != memories[1]:
            return OutcomeDifference(MEMORY, memories[0], memories[1], "the result")
        difference = (
            meta_difference(left.meta, right.meta, facts) if isinstance(left, New) and isinstance(right, New) else None
        )
        if difference:
            return difference
    if every_write:
        for index in expected.mutated:
            if owner(index) not in map(owner, actual.mutated):
                return OutcomeDifference(WRITTEN, "written to", "left alone", f"argument {index}")
    written = {owner(index) for index in expected.mutated}
    for index, meta in actual.mutated.items():
        argument = f"argument {index}"
        if owner(index) not in written:
            return OutcomeDifference(WRITTEN, "left alone", "written to", argument)
        if index in expected.mutated and (difference := meta_difference(expected.mutated[index], meta, facts)):
            return OutcomeDifference(
                difference.kind, difference.expected, difference.actual, f"{argument} after the call"
            )
    return None


def meta_difference(expected: TensorMeta, actual: TensorMeta, facts: Sequence[str] = FACTS) -> OutcomeDifference | None:
    """The first fact in which metas differ; symbols count as what they are for the call that was captured."""
    if expected is actual:
        return None
    for name in facts:
        left, right = _numbers(getattr(expected, name)), _numbers(getattr(actual, name))
        if left != right:
            return OutcomeDifference(name, left, right)
    return None


def tensor_difference(expected: torch.Tensor, actual: torch.Tensor, facts: Sequence[str]) -> OutcomeDifference | None:
    """The first fact in which tensors differ; `strides` are those of dimensions with two elements or more."""
    for name in facts:
        left, right = (_fact_of(tensor, name) for tensor in (expected, actual))
        if left != right:
            return OutcomeDifference(name, left, right)
    return None


def strides_that_matter(tensor: torch.Tensor) -> tuple[int, ...]:
    """Strides of the dimensions in which there are two elements or more; the others mean nothing."""
    if not tensor.numel():
        return ()
    return tuple(stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size > 1)


def _fact_of(tensor: torch.Tensor, name: str) -> Any:
    if name == "strides":
        return strides_that_matter(tensor)
    fact = getattr(tensor, name)
    fact = fact() if callable(fact) else fact
    return tuple(fact) if isinstance(fact, torch.Size) else fact


def _memory_words(tensor: New | Same, owner: Callable[[int], int]) -> str:
    if isinstance(tensor, Same):
        return f"argument {tensor.index} itself"
    return "new memory" if tensor.alias_of is None else f"memory of argument {owner(tensor.alias_of)}"


def _typed(structure: Any) -> Any:
    if isinstance(structure, tuple | list):
        return type(structure), *map(_typed, structure)
    return at_hint(structure)


def _numbers(fact: Any) -> Any:
    return tuple(map(at_hint, fact)) if isinstance(fact, tuple) else at_hint(fact)
