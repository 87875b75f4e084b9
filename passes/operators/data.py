"""Sizes and numbers that hang on the values in a tensor: torch's unbacked symbols, which have no number while tracing.

Nothing here runs an operator.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.operators.outcome import Outcome, leaves

SYMBOLIC: Final = (torch.SymInt, torch.SymFloat, torch.SymBool)

MISPREDICTED: Final = frozenset({"_pack_padded_sequence"})
"""Operators that torch's fake kernels get wrong where sizes hang on data: this one's packed data have the sizes of one
sequence there, and its batch sizes the dtype of the data.
"""


READERS: Final = (("method", "item"), ("method", "tolist"))
"""Methods that give the numbers in a tensor."""


def read_by(target: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
    """What a call reads from a tensor of floats or truths: the class `float` or `bool`, in nested lists for `tolist`.

    No algebra is needed for those: a number is a symbol without a size. None for all other calls.
    """
    meta = args[0] if len(args) == 1 and not kwargs and target in READERS else None
    if type(meta) is not TensorMeta or meta.symbolic or meta.stride is None:
        return None
    if meta.dtype is not torch.bool and not meta.dtype.is_floating_point:
        return None
    number = bool if meta.dtype is torch.bool else float
    if target == READERS[0]:
        return number if math.prod(meta.shape) == 1 else None
    return _nested(number, meta.shape)


def _nested(number: type, shape: tuple[Any, ...]) -> Any:
    return [_nested(number, shape[1:]) for _ in range(shape[0])] if shape else number


def hangs_on_data(arguments: Any) -> bool:
    """Whether a size among nested `arguments`, or in their metas, hangs on the values in a tensor."""
    for leaf in leaves(arguments):
        if type(leaf) is TensorMeta:
            sizes = (*leaf.shape, *(leaf.stride or ()), leaf.storage_offset) if leaf.symbolic else ()
        else:
            sizes = (leaf,)
        if any(isinstance(size, SYMBOLIC) and is_read_from_data(size) for size in sizes):
            return True
    return False


def is_read_from_data(symbol: Any) -> bool:
    """Whether a torch.SymInt, SymFloat or SymBool hangs on the values in a tensor, so that it has no hint."""
    if symbol.node.has_hint():
        return False
    from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

    return bool(free_unbacked_symbols(symbol))


def tells_of_data(outcome: Outcome) -> bool:
    """Whether a trial with symbols for data answered with a truth: torch guesses those (`is_contiguous`)."""
    return not outcome.tensors and type(outcome.result) is bool
