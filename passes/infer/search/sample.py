"""Samples: calls of one operator as columns of values, and terms as columns computed from them.

A row is a call, or one of many similar outputs of a call (then the column `i` has its number). A set of rows is an int
with a bit for each. Knows nothing of what is searched for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from passes.rules.generate import NO_VALUE
from passes.rules.rule import identifier


class _MissingValue:
    """What a term has on a row where it has no value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "undefined"


MISSING: Final = _MissingValue()
TRIAL_LOCATION: Final = "trial"  # the location of calls that were made as trials, where recorded ones name a line


@dataclass(frozen=True, slots=True)
class Term:
    """An expression of the rule language with its values on all rows; `cost` grows with its length."""

    text: str
    type: str
    values: Sequence[Any]
    cost: float


@dataclass(slots=True)
class CallSample:
    """Calls as columns of values, by parameter. `parameters` have the names of the corpus."""

    parameters: Mapping[str, Sequence[Any]]
    size: int
    extra: dict[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])  # `i`
    tried: int = 0  # rows of trials: gradients were enabled there; whether they were for recorded calls is unknown

    @property
    def everything(self) -> int:
        """The set of all rows, as the bits of an integer."""
        return (1 << self.size) - 1

    def columns(self) -> list[tuple[str, Sequence[Any]]]:
        """Name (as expressions use it) and values of every column."""
        parameters = [(identifier(name), values) for name, values in self.parameters.items()]
        return parameters + list(self.extra.items())


def computed(function: Callable[..., Any], columns: Sequence[Sequence[Any]], size: int) -> list[Any]:
    """`function` applied to the columns row by row; MISSING where an argument is, or where it has no value."""
    if not columns:
        return [function()] * size
    result: list[Any] = []
    for values in zip(*columns, strict=True):
        if MISSING in values and any(value is MISSING for value in values):
            result.append(MISSING)
            continue
        try:
            result.append(function(*values))
        except NO_VALUE:
            result.append(MISSING)
    return result


def bits(flags: Iterable[Any]) -> int:
    """The set of rows where a flag is true."""
    text = "".join("1" if flag else "0" for flag in flags)
    return int(text[::-1] or "0", 2)


def rows_of(mask: int) -> list[int]:
    """The numbers of the rows in a set, in ascending order."""
    return [index for index, digit in enumerate(reversed(bin(mask)[2:])) if digit == "1"]


def alike(left: Any, right: Any) -> bool:
    """Equality that tells 1 from True and 1.0."""
    return left is right or (type(left) is type(right) and left == right)
