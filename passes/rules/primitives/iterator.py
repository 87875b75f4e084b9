"""TensorIterator: the shape, strides and order of element-wise operators (ATen/TensorIterator.cpp).

An operand is a tensor, a number in the place of one (no dimensions), or None (not there).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from passes.meta import TensorMeta
from passes.outcome import ListArg
from passes.record.values import Wrapped
from passes.rules.language import primitive, undefined
from passes.rules.primitives.layouts import (
    CHANNELS_LAST,
    Ints,
    channels_last,
    contiguous,
    is_channels_last,
    is_contiguous,
    is_dense,
    like_channels_last,
    ordered,
    preserved,
    sorted_loosely,
)
from passes.rules.primitives.shapes import broadcast_shapes

PLAIN: Final = frozenset((int, float, bool, complex, Wrapped))  # numbers in the place of tensors


def flat(operands: Sequence[Any]) -> Sequence[Any]:
    """Operands, with those in lists among them."""
    if not any(type(operand) in (tuple, ListArg) for operand in operands):
        return operands
    return [part for operand in operands for part in (operand if type(operand) in (tuple, ListArg) else (operand,))]


def shape_of(operand: Any) -> Ints:
    if isinstance(operand, TensorMeta):
        return operand.shape
    return getattr(operand, "shape", ())


@primitive("*Operand -> Ints")
def broadcast(*operands: Any) -> Ints:
    """Shape that all operands broadcast to, aligned at the last dimension (NumPy's general broadcasting rules)."""
    if len(operands) == 2 and type(operands[0]) is TensorMeta:
        left, right = operands
        if type(right) in PLAIN or (type(right) is TensorMeta and right.shape == left.shape):
            return left.shape
    shapes = [shape_of(operand) for operand in flat(operands)]
    if not shapes:
        undefined("no operands")
    result = shapes[0]
    for shape in shapes[1:]:
        if shape is not result and shape != result:
            result = broadcast_shapes(result, shape)
    return tuple(result)


@primitive("Ints, *Operand -> Strides")
def iterated(shape: Sequence[Any], *operands: Any) -> Ints:
    """Strides of an output that TensorIterator allocates for these operands."""
    if _plainly_contiguous(shape, operands) or _all_row_major(shape, operands):
        return contiguous(shape)
    tensors = [operand for operand in flat(operands) if operand is not None]
    metas = [operand for operand in tensors if getattr(operand, "stride", None) is not None]
    if not metas:
        return contiguous(shape)
    if len(metas) == len(tensors) or not shape:
        first = metas[0].shape
        if all(meta.shape == first for meta in metas):
            fast = _fast_setup(shape, metas)
            if fast is not None:
                return fast
    elif len(metas) == 1 and metas[0].shape == shape and 0 not in shape and metas[0].stride == contiguous(shape):
        return tuple(metas[0].stride)
    rank = len(shape)
    if rank < 2:
        return contiguous(shape)
    broadcasting = [_strides(meta, shape) for meta in metas]

    def compare(left: int, right: int) -> int:
        for strides in broadcasting:
            one, other = strides[left], strides[right]
            if one == 0 or other == 0:
                continue
            if one != other:
                return -1 if one < other else 1
            if shape[left] > shape[right]:
                return 1
        return 0

    start = list(range(rank))[::-1]
    order = sorted_loosely(start[:], compare)
    return contiguous(shape) if order == start else ordered(shape, order, empty_counts=True)


def _plainly_contiguous(shape: Sequence[Any], operands: Sequence[Any]) -> bool:
    """Whether the operands are row-major tensors of this shape with the same strides, or one of them and numbers.

    By far the most calls are such; what is found out here would be found below as well.
    """
    first = operands[0] if operands else None
    if type(first) is not TensorMeta or first.symbolic or first.stride is None or first.shape != shape:
        return False
    tensors, others = 1, 0
    for operand in operands[1:]:
        if type(operand) is TensorMeta:
            if operand is not first and (operand.shape != shape or operand.stride != first.stride):
                return False
            tensors += 1
        elif isinstance(operand, tuple):
            return False
        elif operand is not None:
            others += 1
    if others:  # what has no dimensions keeps TensorIterator from its short cut, which overlooks sizes 0 and 1
        return tensors == 1 and 0 not in shape and first.stride == contiguous(shape)
    return is_contiguous(first)


def _all_row_major(shape: Sequence[Any], operands: Sequence[Any]) -> bool:
    """Whether all operands are row-major, whatever they broadcast to, and no size of the result is 0 or 1.

    Any two dimensions of one then compare as they lie, so nothing is to be sorted.
    """
    for operand in operands:
        if type(operand) is TensorMeta:
            if operand.symbolic or operand.stride is None or not is_contiguous(operand):
                return False
        elif isinstance(operand, tuple):
            return False
    return 0 not in shape and 1 not in shape


def _fast_setup(shape: Sequence[Any], metas: Sequence[Any]) -> Ints | None:
    """What TensorIterator::compute_fast_setup_type finds for operands of one shape."""
    if all(map(is_contiguous, metas)):
        return contiguous(shape)
    if all(len(meta.shape) == 4 and is_channels_last(meta) for meta in metas):
        return ordered(shape, (1, 3, 2, 0), empty_counts=True)
    strides = metas[0].stride
    if all(meta.stride == strides for meta in metas) and is_dense(metas[0]):
        return tuple(strides)
    return None


def _strides(meta: Any, shape: Sequence[Any]) -> Ints:
    """Strides of an operand broadcast to `shape`."""
    missing = len(shape) - len(meta.shape)
    if missing < 0:
        undefined("an operand has more dimensions than the result")
    own = (
        0 if size == 1 and wanted != 1 else stride
        for size, stride, wanted in zip(meta.shape, meta.stride, shape[missing:], strict=True)
    )
    return (0,) * missing + tuple(own)


@primitive("Ints, Tensors -> Strides")
def joined_strides(shape: Sequence[Any], tensors: Sequence[Any]) -> Ints:
    """Strides of torch.cat: channels-last if torch suggests it for every tensor, else row-major."""
    if tensors and len(shape) in CHANNELS_LAST and all(map(like_channels_last, tensors)):
        return channels_last(shape)
    return contiguous(shape)


@primitive("Ints, Dtype, *Operand -> Strides")
def iterated_as(shape: Sequence[Any], dtype: Any, *operands: Any) -> Ints:
    """As `iterated`, where operands of another type are first copied into `dtype`, which keeps only their order."""
    copied = [
        laid_out_like(operand) if isinstance(operand, TensorMeta) and operand.dtype is not dtype else operand
        for operand in flat(operands)
    ]
    return iterated(shape, *copied)


@primitive("Tensor -> Operand")
def mapped(tensor: Any) -> Copy:
    """What is computed of a tensor, element by element."""
    return Copy(tensor.shape, iterated(tensor.shape, tensor))


class Copy(NamedTuple):
    """A tensor as a dense copy of it would be laid out."""

    shape: Ints
    stride: Ints


def laid_out_like(tensor: Any) -> Copy:
    return Copy(tensor.shape, preserved(tensor))
