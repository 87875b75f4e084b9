"""Arrays of numpy in the index of a tensor: tensors in their place, as torch takes them for positions or masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from tracer.interpret.data_indices import GETTERS, MASKS, POSITIONS, SETTERS
from tracer.interpret.trace import Trace
from tracer.values.base import realise
from tracer.values.item import Item
from tracer.values.numpy_arrays import NumpyArray
from tracer.values.tuples import TupleValue, make_tuple

INDEXING: Final = frozenset((*GETTERS, *SETTERS))
"""Operators that are given an index."""

Operation = Callable[[Trace, Any, Sequence[Item]], Item]


def without_arrays(trace: Trace, index: Item, operation: Operation) -> Item:
    """An index with tensors for its arrays; `operation` makes a call of an operator.

    Torch takes the rows of an array of several dimensions for the parts of an index, unless it is a part itself.
    """
    index = realise(trace, index)
    if isinstance(index, NumpyArray):
        return _tensor_of(trace, index, operation) if len(index.tensor.meta.shape) == 1 else index
    if type(index) is not TupleValue:
        return index
    parts = [realise(trace, part) for part in index.all(trace)]
    if not any(isinstance(part, NumpyArray) for part in parts):
        return index
    return make_tuple([_tensor_of(trace, part, operation) if isinstance(part, NumpyArray) else part for part in parts])


def _tensor_of(trace: Trace, array: NumpyArray, operation: Operation) -> Item:
    """The positions or the mask of an array; other arrays, and numbers, are left as they are."""
    dtype = array.tensor.meta.dtype
    if array.has_no_dimensions or dtype not in POSITIONS | MASKS:
        return array
    return array.tensor if dtype in (torch.int64, *MASKS) else operation(trace, ("method", "long"), [array.tensor])
