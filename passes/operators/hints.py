"""Sizes that are symbols, at the values that they have in the call that is captured: their hints."""

from __future__ import annotations

from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.operators.outcome import SliceArg

SYMBOL_TYPES: Final = (torch.SymInt, torch.SymFloat, torch.SymBool)
SIZES: Final = ("shape", "stride", "storage_offset")


def at_hint(fact: Any) -> Any:
    """A number, or a tuple of them, with each symbol's hint in its place: None for one that has no value yet."""
    if isinstance(fact, tuple):
        return tuple(map(at_hint, fact))
    return fact.node.hint if isinstance(fact, torch.SymInt) else fact


def at_hints(structure: Any) -> Any:
    """The arguments of a call with every size at its hint; symbols without one stay."""
    if type(structure) is TensorMeta:
        if not structure.symbolic:
            return structure
        return structure.replace(**{name: at_hints(getattr(structure, name)) for name in SIZES})
    if isinstance(structure, SliceArg):
        return SliceArg(*map(at_hints, structure))
    if isinstance(structure, tuple):
        return type(structure)(map(at_hints, structure))
    hint = structure.node.hint if isinstance(structure, SYMBOL_TYPES) else structure
    return structure if hint is None else hint
