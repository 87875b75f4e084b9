"""Values in words, for guards and access paths: as `repr` shows them, which refuses to show very long ints."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Sequence
from typing import Final

LONGEST: Final = 2000
"""Bits of an int that is written out: with as many digits `repr` works whatever sys.set_int_max_str_digits was told."""


class _Words(reprlib.Repr):
    """`repr` of constants and of the containers that hold them, without its limits but with one for ints."""

    def __init__(self) -> None:
        super().__init__()
        for name in vars(self):
            if name.startswith("max"):
                setattr(self, name, sys.maxsize)

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if is_written_out(x) else f"<int of {x.bit_length()} bits>"


def is_written_out(number: int) -> bool:
    """Whether the digits of an int may be shown and stand in source text."""
    return number.bit_length() <= LONGEST


shown: Final = _Words().repr
"""The words for a value. A `__repr__` of the program's that raises is replaced by the name of its class."""


def first_of(words: Sequence[str], count: int) -> str:
    """The first of many, the nearest entry first, and how many more there are."""
    more = len(words) - count
    return "; ".join([*words[:count], *([f"{more} more"] if more > 0 else [])])
