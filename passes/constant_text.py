"""Constants as source text: which ones read back as what they were.

A program that is written down names every other constant, or holds it as an attribute. Nothing here knows of graphs.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import Any, Final

import torch

NAMES: Final = {"torch": torch, "device": torch.device, "inf": math.inf, "nan": math.nan}
"""What source text may refer to; torch.fx puts the same names into the globals of every program that it writes."""

SPELLED_TYPES: Final = frozenset(
    (
        *(bool, int, float, complex, str, bytes, type(None), type(...)),
        *(torch.dtype, torch.device, torch.layout, torch.memory_format),
    )
)
"""Types whose `repr` is meant to be read back. That of a subclass may be anything, and is the user's to run."""

_ORDINARY: Final = frozenset((bool, type(None), str, torch.dtype, torch.layout, torch.memory_format))
"""Types of which every value reads back."""

_LARGEST: Final = 1 << 62


def is_spelled(value: Any) -> bool:
    """Whether the `repr` of a constant is source text that reads back as the same constant."""
    kind = type(value)
    if kind in _ORDINARY or (kind is int and -_LARGEST < value < _LARGEST):
        return True
    if kind is float and not math.isnan(value):
        return True
    return kind in SPELLED_TYPES and _reads_back(kind, bits(value))


def bits(value: Any) -> Any:
    """A constant in a form that two have in common only if they are the same: 0.0 and -0.0 are not."""
    if type(value) is float:
        return struct.pack("d", value)
    if type(value) is complex:
        return struct.pack("dd", value.real, value.imag)
    return value


@lru_cache(maxsize=1 << 12)
def _reads_back(kind: type, packed: Any) -> bool:
    """Whether the constant with these `bits` has a `repr` that gives it again."""
    value = packed
    if kind is float:
        (value,) = struct.unpack("d", packed)
    elif kind is complex:
        value = complex(*struct.unpack("dd", packed))
    try:
        again = eval(repr(value), dict(NAMES))
    except (ValueError, SyntaxError, NameError):  # an int of very many digits; `nanj` and `infj` of a complex number
        return False
    return type(again) is kind and bits(again) == packed
