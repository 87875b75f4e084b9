"""Positions in a tensor that were read from a tensor: `x[i]` for a tensor `i` of one int, or for its `item()`.

The index is taken apart as by torch's C++ code: each position selects in its dimension, and what is left
of the index is applied to that. Torch's own indexing would ask for the numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from passes.operators.data import is_read_from_data
from tracer.interpret.trace import Trace
from tracer.values.base import realise
from tracer.values.item import Item
from tracer.values.lists import ListValue
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue, make_tuple

GETTERS: Final = (operator.getitem, ("method", "__getitem__"))
SETTERS: Final = (operator.setitem, ("method", "__setitem__"))

POSITIONS: Final = frozenset({torch.int8, torch.int16, torch.int32, torch.int64})
"""Types of tensors that are positions when they are indices."""

MASKS: Final = frozenset({torch.bool, torch.uint8})
"""Types of tensors that say for each element whether it is chosen."""

Operation = Callable[[Trace, Any, Sequence[Item]], Item]


def indexed_by_data(trace: Trace, target: Any, args: Sequence[Item], operation: Operation) -> Item:
    """What a call of `target` gives where its index has positions that were read from tensors; NotImplemented for all
    other calls. `operation` makes a call of an operator.
    """
    if (target not in GETTERS and target not in SETTERS) or len(args) < 2 or not isinstance(args[0], TensorValue):
        return NotImplemented
    tensor, index = args[0], realise(trace, args[1])
    if type(index) is TupleValue:
        parts = [realise(trace, part) for part in index.all(trace)]
    else:
        parts = list(index) if type(index) is tuple else [index]
    counts = [_dimensions(part) for part in parts]
    unnamed = len(tensor.meta.shape) - sum(count for count in counts if count is not None)
    if None in counts or unnamed < 0 or not any(map(_is_position, parts)):
        return NotImplemented
    rest: list[Item] = []
    dim = 0
    for part, count in zip(parts, counts, strict=True):
        if _is_position(part):
            position = operation(trace, ("method", "item"), [part]) if isinstance(part, TensorValue) else part
            tensor = operation(trace, ("method", "select"), [tensor, dim, position])
            continue
        if part is None:  # here, as the strides around it are those of this moment
            tensor = operation(trace, ("method", "unsqueeze"), [tensor, dim])
        rest.append(slice(None) if part is None else part)
        dim += unnamed if part is ... else 1 if part is None else count or 0
    chooses = any(part is not ... and part != slice(None) for part in rest)
    if target in GETTERS:
        return operation(trace, operator.getitem, [tensor, make_tuple(rest)]) if chooses else tensor
    return operation(trace, operator.setitem, [tensor, make_tuple(rest) if chooses else ..., *args[2:]])


def _is_position(part: Item) -> bool:
    if isinstance(part, TensorValue):
        return part.meta.shape == () and part.meta.dtype in POSITIONS
    return isinstance(part, torch.SymInt) and is_read_from_data(part)


def _dimensions(part: Item) -> int | None:
    """How many dimensions of the tensor a part of an index is about; None for a part of another kind than those."""
    if part is None or part is ...:
        return 0
    if isinstance(part, TensorValue):
        return len(part.meta.shape) if part.meta.dtype in MASKS else 1
    if type(part) is ListValue:
        return 1 if all(type(position) is int for position in part.items) else None
    return 1 if type(part) in (int, slice, torch.SymInt) else None
