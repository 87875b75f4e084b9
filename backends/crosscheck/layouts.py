"""Layouts with poison: the same values at other strides, in memory whose other elements are poisoned.

Reading a gap gives NaN (or the largest integer), and writing to one can be detected afterwards. A layout is a function
from a shape to strides and an offset; it returns None for a shape that cannot have it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from backends.crosscheck.calls import is_plain, span

Shape = tuple[int, ...]
Placement = tuple[Shape, int]
OFFSET: Final = 3  # elements before the first
LIMIT: Final = 1 << 22  # elements of a tensor that is still laid out in other ways


def dense(shape: Sequence[int], order: Sequence[int] | None = None) -> Shape:
    """Strides without gaps; `order` lists the dimensions from the slowest to the fastest."""
    strides = [1] * len(shape)
    step = 1
    for dimension in reversed(range(len(shape)) if order is None else order):
        strides[dimension] = step
        step *= max(shape[dimension], 1)
    return tuple(strides)


def contiguous(shape: Shape) -> Placement | None:
    """Strides without gaps, the last dimension fastest."""
    return dense(shape), 0


def transposed(shape: Shape) -> Placement | None:
    """The first and the last dimension swapped in memory."""
    order = [*range(len(shape))]
    if len(shape) >= 2:
        order[0], order[-1] = order[-1], order[0]
    return (dense(shape, order), 0) if len(shape) >= 2 else None


def sliced(shape: Shape) -> Placement | None:
    """Every other element of the last dimension of a tensor twice as wide."""
    return (tuple(2 * stride for stride in dense(shape)), 0) if shape else None


def rows(shape: Shape) -> Placement | None:
    """Rows of a wider matrix: gaps between them, none within."""
    wide = (*shape[:-1], shape[-1] + OFFSET) if len(shape) >= 2 else ()
    return (dense(wide), 1) if wide else None


def offset(shape: Shape) -> Placement | None:
    """The same strides, some elements into a larger storage."""
    return dense(shape), OFFSET


def expanded(shape: Shape) -> Placement | None:
    """The first part of the first dimension, repeated: the values differ from the original's."""
    return ((0, *dense(shape)[1:]), 0) if shape and shape[0] > 1 else None


def channels_last(shape: Shape) -> Placement | None:
    """The second dimension varies fastest, which convolutions prefer."""
    order = (0, *range(2, len(shape)), 1)
    return (dense(shape, order), 0) if len(shape) in (4, 5) else None


LAYOUTS: Final[dict[str, Callable[[Shape], Placement | None]]] = {
    "contiguous": contiguous,
    "transposed": transposed,
    "sliced": sliced,
    "rows": rows,
    "offset": offset,
    "expanded": expanded,
    "channels-last": channels_last,
}
WRITABLE: Final = tuple(name for name in LAYOUTS if name != "expanded")


def poison_value(dtype: torch.dtype) -> Any:
    """NaN, the largest integer, or True."""
    if dtype.is_floating_point or dtype.is_complex:
        return float("nan")
    return True if dtype is torch.bool else torch.iinfo(dtype).max


def can_be_laid_out(tensor: Tensor) -> bool:
    """Whether the tensor can be copied to another layout: it is plain, and has 1 to LIMIT elements."""
    return is_plain(tensor) and 0 < tensor.numel() <= LIMIT and tensor.element_size() * 8 >= 8


def placed(values: Tensor, strides: Shape, offset: int) -> Tensor:
    """`values` at these strides in poisoned memory; along a stride of 0, the first of them."""
    size = offset + 1 + sum((size - 1) * stride for size, stride in zip(values.shape, strides, strict=True))
    memory = torch.full((size + OFFSET,), poison_value(values.dtype), dtype=values.dtype, device=values.device)
    distinct = [
        slice(None) if stride or size == 1 else slice(1) for size, stride in zip(values.shape, strides, strict=True)
    ]
    target = memory.as_strided(values.shape, strides, offset)
    target[tuple(distinct)].copy_(values.detach()[tuple(distinct)])
    return target


def laid_out(tensor: Tensor, layout: str) -> Tensor | None:
    """A copy in the layout; None if the tensor cannot have the layout, or has it already."""
    placement = LAYOUTS[layout](tuple(tensor.shape)) if can_be_laid_out(tensor) else None
    if placement is None or (placement == (tensor.stride(), tensor.storage_offset()) and layout != "contiguous"):
        return None
    return placed(tensor, *placement)


def gaps(tensor: Tensor) -> Tensor:
    """The elements of the memory around and between those of a tensor that `placed` made, in order."""
    memory = torch.as_strided(tensor.detach(), (tensor.untyped_storage().nbytes() // tensor.element_size(),), (1,), 0)
    used = torch.zeros(memory.shape, dtype=torch.bool)
    used.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).fill_(True)
    return memory[~used.to(memory.device)]


def gaps_written(tensor: Tensor) -> int:
    """The number of elements outside a tensor that `placed` made which have been written to."""
    elements = gaps(tensor)
    poison = poison_value(tensor.dtype)
    intact = elements.isnan() if poison != poison else elements == poison
    return int((~intact).sum())


def layout_words(tensor: Tensor) -> str:
    """Shape, strides and offset: `[2, 3] stride (1, 2)`."""
    begin, _ = span(tensor)
    return f"{list(tensor.shape)} stride {tuple(tensor.stride())}" + (f" offset {begin}" if begin else "")
