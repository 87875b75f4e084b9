"""Kinds of arguments: what types the terms that may be made of them."""

from __future__ import annotations

from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.operators.outcome import DictArg, SliceArg, Wrapped

NUMBERS: Final = (bool, int, float, complex)


def kind_of(value: Any) -> str:
    """The sort of an argument, for typing terms."""
    if isinstance(value, TensorMeta):
        return "Tensor"
    if isinstance(value, bool):
        return "Bool"
    if isinstance(value, int):
        return "Int"
    if isinstance(value, Wrapped | float | complex):
        return "Number"
    if isinstance(value, torch.dtype):
        return "Dtype"
    if isinstance(value, torch.memory_format):
        return "Format"
    if isinstance(value, tuple) and not isinstance(value, SliceArg | DictArg):
        if not value or all(isinstance(part, int) for part in value):
            return "Ints"
        if all(part is None or isinstance(part, TensorMeta) for part in value):
            return "Tensors"
        return "Ints" if all(isinstance(part, NUMBERS) or part is None for part in value) else "Other"
    return "None" if value is None else "Other"


def is_equation(value: Any) -> bool:
    """Whether this is a word that says which dimensions of some tensors go where: `ij,jk->ik`."""
    return type(value) is str and "->" in value


def is_key(value: Any) -> bool:
    """Whether this can only be what is in the brackets of `tensor[...]`."""
    return isinstance(value, SliceArg) or value is ... or (type(value) is tuple and any(map(is_key, value)))
