"""Layouts as strides: the ways in which the elements of a tensor may lie in memory.

A layout gives strides and an offset for a shape, or None if such a shape has no layout of that kind. Knows nothing of
operators or values.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from passes.meta import Size, TensorMeta

Draw = random.Random
Shape = tuple[int, ...]
Strides = tuple[int, ...]
Layout = Callable[[Shape, Draw], tuple[Strides, int] | None]

OFFSET: Final = 3


def in_layout(meta: TensorMeta, layout: str, draw: Draw) -> TensorMeta | None:
    """The same tensor in one of LAYOUTS; None if its shape cannot have it."""
    strides_and_offset = LAYOUTS[layout](whole(meta.shape), draw)
    return (
        None
        if strides_and_offset is None
        else meta.replace(stride=strides_and_offset[0], storage_offset=strides_and_offset[1])
    )


def reshaped(meta: TensorMeta, sizes: Sequence[Size]) -> TensorMeta:
    """The tensor with another shape in the same kind of layout: the order of dimensions, gaps and expansion stay.

    It is row-major if the rank changes.
    """
    shape = whole(sizes)
    if len(shape) != meta.rank or meta.stride is None:
        return meta.replace(shape=shape, stride=dense(shape, range(len(shape))))
    before = whole(meta.stride)
    order = sorted(range(meta.rank), key=lambda dim: (-before[dim], dim))
    steps = [stride for stride, size in zip(before, meta.shape, strict=True) if stride and size > 1]
    strides = dense(tuple(size if before[dim] else 1 for dim, size in enumerate(shape)), order, min(steps, default=1))
    expanded_strides = tuple(stride if before[dim] else 0 for dim, stride in enumerate(strides))
    return meta.replace(shape=shape, stride=expanded_strides)


def whole(sizes: Sequence[Size]) -> Shape:
    """Sizes or strides of a recorded tensor, none of which is a symbol."""
    return tuple(map(int, sizes))


def dense(shape: Shape, order: Sequence[int], step: int = 1) -> Strides:
    """Strides without gaps, `step` elements apart, when `order` lists the dimensions from the outermost in."""
    strides = [0] * len(shape)
    for dim in reversed(order):
        strides[dim] = step
        step *= max(shape[dim], 1)
    return tuple(strides)


def row_major(shape: Shape, draw: Draw) -> tuple[Strides, int]:
    """Strides of a contiguous tensor, and offset 0."""
    return dense(shape, range(len(shape))), 0


def column_major(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """Strides with the first dimension innermost, and offset 0. None below two dimensions."""
    return (dense(shape, range(len(shape))[::-1]), 0) if len(shape) > 1 else None


def matrices_transposed(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """The last two dimensions swapped in memory, as linear algebra has them."""
    rank = len(shape)
    return (dense(shape, [*range(rank - 2), rank - 1, rank - 2]), 0) if rank > 1 else None


def permuted(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """Dense strides with the dimensions in a drawn order, and offset 0. None below two dimensions."""
    order = draw.sample(range(len(shape)), len(shape))
    return (dense(shape, order), 0) if len(shape) > 1 else None


def channels_last(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """The second dimension innermost."""
    rank = len(shape)
    return (dense(shape, [0, *range(2, rank), 1]), 0) if rank > 2 else None


def offset(shape: Shape, draw: Draw) -> tuple[Strides, int]:
    """Strides of a contiguous tensor that begins OFFSET elements into its memory."""
    return row_major(shape, draw)[0], OFFSET


def every_other(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """Each second element of a tensor twice as wide, in some order of dimensions."""
    order = draw.choice([range(len(shape)), draw.sample(range(len(shape)), len(shape))])
    return (dense(shape, order, 2), draw.choice((0, 1))) if shape else None


def padded(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """A slice of a larger tensor: gaps in front of some dimension."""
    if len(shape) < 2:
        return None
    dim = draw.randrange(1, len(shape))
    wider = tuple(size + (i == dim) for i, size in enumerate(shape))
    return dense(wider, range(len(shape))), draw.choice((0, 1))


def expanded(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """One dimension that repeats the same elements."""
    if not shape:
        return None
    return _expanded(shape, {draw.randrange(len(shape))}), 0


def expanded_wholly(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """Stride 0 in every dimension: all elements are one. None without dimensions."""
    return ((0,) * len(shape), 0) if shape else None


def expanded_in_part(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """Some dimensions that repeat, in a permuted rest."""
    if len(shape) < 2:
        return None
    repeated = {dim for dim in range(len(shape)) if draw.random() < 0.5}
    order = draw.sample(range(len(shape)), len(shape))
    narrow = tuple(1 if dim in repeated else size for dim, size in enumerate(shape))
    strides = dense(narrow, order)
    return tuple(0 if dim in repeated else strides[dim] for dim in range(len(shape))), 0


def _expanded(shape: Shape, repeated: set[int]) -> Strides:
    narrow = tuple(1 if dim in repeated else size for dim, size in enumerate(shape))
    strides = dense(narrow, range(len(shape)))
    return tuple(0 if dim in repeated else strides[dim] for dim in range(len(shape)))


def overlapping(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """Windows that share elements, as `unfold` makes them."""
    if len(shape) < 2:
        return None
    return tuple(draw.choice((1, 1, 2, 3)) for _ in shape), 0


def odd_ones(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """Any strides for dimensions of size 1, whose strides mean nothing."""
    if 1 not in shape:
        return None
    order = draw.choice([range(len(shape)), draw.sample(range(len(shape)), len(shape))])
    strides = dense(shape, order)
    return tuple(
        draw.choice((0, 1, 2, 7, 100, stride)) if size == 1 else stride
        for size, stride in zip(shape, strides, strict=True)
    ), 0


def odd_empty(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """Any strides for a tensor without elements."""
    return (tuple(draw.choice((0, 1, 2, 5, 7)) for _ in shape), draw.choice((0, 2))) if 0 in shape else None


def any_strides(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """Strides drawn one by one, so that elements may overlap or leave gaps. None without dimensions."""
    return (tuple(draw.choice((0, 1, 2, 3, 5, 8, 12)) for _ in shape), 0) if shape else None


def gaps(shape: Shape, draw: Draw) -> tuple[Strides, int] | None:
    """A slice of a permuted larger tensor: gaps anywhere, but no element twice."""
    if not shape:
        return None
    wider = tuple(size + draw.choice((0, 0, 1, 2)) for size in shape)
    return dense(wider, draw.sample(range(len(shape)), len(shape)), draw.choice((1, 1, 2))), 0


LAYOUTS: Final[dict[str, Layout]] = {
    "row-major": row_major,
    "column-major": column_major,
    "matrices transposed": matrices_transposed,
    "permuted": permuted,
    "permuted again": permuted,
    "channels last": channels_last,
    "offset": offset,
    "every other": every_other,
    "padded": padded,
    "gaps": gaps,
    "expanded": expanded,
    "expanded wholly": expanded_wholly,
    "expanded in part": expanded_in_part,
    "overlapping": overlapping,
    "odd strides of size 1": odd_ones,
    "odd strides of size 0": odd_empty,
    "any strides": any_strides,
}
