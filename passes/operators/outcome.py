"""What a call of an operator takes and gives, in terms of metas: argument shapes, Outcome, and the refusals.

Knows nothing of how an outcome is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import torch

from passes.meta import TensorMeta

# A callable at the C boundary, or ("method", name) for a method of the first argument.
Target = Any
# A TensorMeta, a constant, or a tuple, ListArg, DictArg or SliceArg of arguments.
Argument = Any
Arguments = tuple[Argument, ...]
Keywords = tuple[tuple[str, Argument], ...]


class ListArg(tuple[Argument, ...]):
    """A list among the arguments of a call."""

    __slots__ = ()


class DictArg(tuple[tuple[Any, Argument], ...]):
    """A dict among the arguments of a call, as pairs of a key and an argument."""

    __slots__ = ()


class SliceArg(NamedTuple):
    """A slice among the arguments of a call."""

    start: Argument
    stop: Argument
    step: Argument


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A Python number where the operator's schema has a tensor: it takes part in type promotion as a number."""

    number: int | float | complex | bool


# Values, though nothing forbids to change them: one of each is made at every evaluation, and making a frozen one takes
# three times as long.
@dataclass(slots=True, unsafe_hash=True)
class New:
    """A tensor that the operator made. `alias_of` is the tensor argument whose storage it shares."""

    meta: TensorMeta
    alias_of: int | None = None


@dataclass(frozen=True, slots=True)
class Same:
    """The tensor argument number `index`, itself: what `x.add_(1)` returns."""

    index: int


@dataclass(frozen=True, slots=True)
class Trial:
    """That an outcome was found by running the `operator`, on real or on fake tensors, and why no rule predicted it."""

    operator: str
    reason: str
    fake: bool = False


@dataclass(slots=True, unsafe_hash=True)
class Outcome:
    """What a call returns and what it changes.

    `result` is the result's structure (tuples, lists, dicts, named tuples, constants) with New or Same
    in the place of tensors. `mutated` has the meta that each tensor argument written to has afterwards.
    Tensor arguments are counted from 0, left to right, positional before keyword ones. `trial` tells how
    it was found; None where a rule predicted it, or it followed from the metas themselves.
    """

    result: Any
    mutated: Mapping[int, TensorMeta]
    trial: Trial | None = field(default=None, compare=False)

    def metas(self, arguments: Sequence[TensorMeta]) -> Any:
        """`result` with a TensorMeta in the place of every tensor, for these metas of the tensor `arguments`."""

        def meta(tensor: New | Same) -> TensorMeta:
            return tensor.meta if isinstance(tensor, New) else self.mutated.get(tensor.index, arguments[tensor.index])

        return rebuilt(self.result, (New, Same), meta)

    @property
    def tensors(self) -> list[New | Same]:
        """The tensors of the result, left to right."""
        return [leaf for leaf in leaves(self.result) if isinstance(leaf, New | Same)]


def rebuilt(structure: Any, kinds: type | tuple[type, ...], change: Callable[[Any], Any]) -> Any:
    """A nested result with `change(leaf)` in the place of every leaf of one of `kinds`."""
    if isinstance(structure, kinds):
        return change(structure)
    if isinstance(structure, dict):
        return {key: rebuilt(part, kinds, change) for key, part in structure.items()}
    if isinstance(structure, tuple | list) and not isinstance(structure, torch.Size):
        parts = [rebuilt(part, kinds, change) for part in structure]
        return type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)
    return structure


NESTED: Final = (tuple, list, dict)


def leaves(structure: Any) -> list[Any]:
    """What a nested structure of tuples, lists, dicts and slices holds, left to right."""
    if isinstance(structure, dict):
        structure = tuple(structure.values())
    if not isinstance(structure, NESTED):
        return [structure]
    parts: list[Any] = []
    for part in structure:
        if isinstance(part, NESTED):
            parts += leaves(part)
        else:
            parts.append(part)
    return parts


# What operators raise to refuse a call. Anything else is an error of somebody else's.
OPERATOR_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


class OpError(Exception):
    """The operator refuses these arguments: `original` is what the real call would raise."""

    def __init__(self, original: Exception) -> None:
        super().__init__(f"{type(original).__name__}: {original}")
        self.original = original


class DataDependent(Exception):
    """The result's shape, or the Python number it is, depends on the values in a tensor."""


class Unsupported(Exception):
    """Nothing here can tell what the call gives: no fake kernel, or something that is not about metas."""


class NoFakeKernel(Unsupported):
    """The operator comes from a library that says nothing of what it gives."""
