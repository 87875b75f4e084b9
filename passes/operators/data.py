"""Sizes and numbers that hang on the values in a tensor: torch's unbacked symbols, which have no number while tracing.

Nothing here runs an operator.
"""

from __future__ import annotations

from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.operators.outcome import Outcome, leaves

SYMBOLIC: Final = (torch.SymInt, torch.SymFloat, torch.SymBool)

MISPREDICTED: Final = frozenset({"_pack_padded_sequence"})
"""Operators that torch's fake kernels get wrong where sizes hang on data: this one's packed data have the sizes of one
sequence there, and its batch sizes the dtype of the data.
"""


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
