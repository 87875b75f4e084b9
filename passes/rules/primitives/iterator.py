"""TensorIterator: the shape, strides and order of element-wise operators (ATen/TensorIterator.cpp).

An operand is a tensor, a number in the place of one (no dimensions), or None (not there).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from passes.meta import TensorMeta
from passes.operators.outcome import ListArg
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
)
from passes.rules.primitives.shapes import broadcast_shapes

LISTS: Final = (tuple, ListArg)


def flat(operands: Sequence[Any]) -> Sequence[Any]:
    """Operands, with those in lists among them."""
    for operand in operands:
        if type(operand) in LISTS:
            return [part for one in operands for part in (one if type(one) in LISTS else (one,))]
    return operands


@primitive("*Operand -> Ints")
def broadcast(*operands: Any) -> Ints:
    """Shape that all operands broadcast to, aligned at the last dimension (NumPy's general broadcasting rules)."""
    result = None
    for operand in flat(operands):
        shape = operand.shape if type(operand) is TensorMeta else getattr(operand, "shape", ())
        if result is None:
            result = shape
        elif shape is not result and shape != result:
            result = broadcast_shapes(result, shape)
    return undefined("no operands") if result is None else tuple(result)


@primitive("Strided, *Operand -> Bool")
def outgrown(written: Any, *operands: Any) -> bool:
    """Whether operands do not broadcast to the shape of a tensor: it cannot be written to in place then."""
    shape = written.shape
    for operand in flat(operands):
        other = operand.shape if type(operand) is TensorMeta else ()
        if len(other) > len(shape):
            return True
        for size, there in zip(reversed(other), reversed(shape), strict=False):
            if size != 1 and size != there:
                return True
    return False


@primitive("Ints, *Operand -> Strides")
def iterated(shape: Sequence[Any], *operands: Any) -> Ints:
    """Strides of an output that TensorIterator allocates for these operands."""
    return iterated_over(shape, operands)


def iterated_over(shape: Sequence[Any], operands: Sequence[Any]) -> Ints:
    """Strides of a new result of `shape` as TensorIterator gives them to elementwise operators on `operands`."""
    if _plainly_contiguous(shape, operands):
        return contiguous(shape)
    numbers = False
    metas: list[Any] = []
    for operand in flat(operands):
        if type(operand) is TensorMeta or getattr(operand, "stride", None) is not None:
            metas.append(operand)
        elif operand is not None:
            numbers = True
    if not metas:
        return contiguous(shape)
    if not numbers or not shape:
        first = metas[0].shape
        if len(metas) == 1 or all(meta.shape == first for meta in metas):
            fast = _fast_setup(shape, metas)
            if fast is not None:
                return fast
    elif len(metas) == 1 and metas[0].shape == shape and 0 not in shape and metas[0].stride == contiguous(shape):
        return tuple(metas[0].stride)
    rank = len(shape)
    if rank < 2:
        return contiguous(shape)
    start = list(range(rank))[::-1]
    order = _sorted(start, shape, [_strides(meta, shape) for meta in metas])
    return contiguous(shape) if order == start else ordered(shape, order, empty_counts=True)


def _plainly_contiguous(shape: Sequence[Any], operands: Sequence[Any]) -> bool:
    """Whether the operands are row-major tensors, or numbers, of which the result is row-major without a question.

    By far the most calls are such; what is found out here would be found below as well. Where no size of the
    result is 0 or 1, any two dimensions of one operand compare as they lie, whatever they broadcast to, so nothing
    is to be sorted. Else they are to have this shape and the same strides, or to be one of them and numbers.
    """
    first: Any = None
    alike, tensors = True, 0
    for operand in operands:
        if type(operand) is TensorMeta:
            if not operand.contiguous:
                return False
            if first is None:
                first = operand
            elif operand is not first and (operand.shape != first.shape or operand.stride != first.stride):
                alike = False
            tensors += 1
        elif isinstance(operand, tuple):
            return False
    if 0 not in shape and 1 not in shape:
        return True
    if not alike or first is None or first is not operands[0] or first.shape != shape:
        return False
    if tensors + operands.count(None) == len(operands):
        return True
    # What has no dimensions keeps TensorIterator from its short cut, which overlooks sizes 0 and 1.
    return tensors == 1 and 0 not in shape and first.stride == contiguous(shape)


def _sorted(start: Sequence[int], shape: Sequence[Any], operands: Sequence[Ints]) -> list[int]:
    """TensorIterator's order of dimensions, innermost first, for the strides of its operands (reorder_dimensions).

    An insertion sort, as in `sorted_loosely`, whose comparisons may be ambiguous.
    """
    order = list(start)
    for place in range(1, len(order)):
        for earlier in range(place - 1, -1, -1):
            left, right = order[earlier], order[place]
            for strides in operands:
                one, other = strides[left], strides[right]
                if one == 0 or other == 0:
                    continue
                if one != other:
                    swapped = not one < other
                    break
                if shape[left] > shape[right]:
                    swapped = True
                    break
            else:
                continue
            if not swapped:
                break
            order[earlier], order[place] = right, left
            place = earlier
    return order


def _fast_setup(shape: Sequence[Any], metas: Sequence[Any]) -> Ints | None:
    """What TensorIterator::compute_fast_setup_type finds for operands of one shape."""
    first = metas[0]
    if is_contiguous(first) and all(map(is_contiguous, metas)):
        return contiguous(shape)
    if len(first.shape) == 4 and is_channels_last(first) and all(map(is_channels_last, metas)):
        return ordered(shape, (1, 3, 2, 0), empty_counts=True)
    strides = first.stride
    if (len(metas) == 1 or all(meta.stride == strides for meta in metas)) and is_dense(first):
        return tuple(strides)
    return None


def _strides(meta: Any, shape: Sequence[Any]) -> Ints:
    """Strides of an operand broadcast to `shape`."""
    missing = len(shape) - len(meta.shape)
    if missing < 0:
        undefined("an operand has more dimensions than the result")
    strides = [
        0 if size == 1 and wanted != 1 else stride
        for size, stride, wanted in zip(meta.shape, meta.stride, shape[missing:], strict=True)
    ]
    return (*(0,) * missing, *strides) if missing else tuple(strides)


@primitive("Ints, Tensors -> Strides")
def joined_strides(shape: Sequence[Any], tensors: Sequence[Any]) -> Ints:
    """Strides of torch.cat: channels-last if torch suggests it for every tensor, else row-major."""
    if tensors and len(shape) in CHANNELS_LAST and all(map(like_channels_last, tensors)):
        return channels_last(shape)
    return contiguous(shape)


@primitive("Ints, Dtype, *Operand -> Strides")
def iterated_as(shape: Sequence[Any], dtype: Any, *operands: Any) -> Ints:
    """As `iterated`, where operands of another type are first copied into `dtype`, which keeps only their order."""
    flat_operands = flat(operands)
    for operand in flat_operands:
        if type(operand) is TensorMeta and operand.dtype is not dtype:
            break
    else:
        return iterated_over(shape, flat_operands)
    copied = [
        laid_out_like(operand) if type(operand) is TensorMeta and operand.dtype is not dtype else operand
        for operand in flat_operands
    ]
    return iterated_over(shape, copied)


@primitive("Tensor -> Operand")
def mapped(tensor: Any) -> Copy:
    """What is computed of a tensor, element by element."""
    return Copy(tensor.shape, iterated(tensor.shape, tensor))


class Copy(NamedTuple):
    """A tensor as a dense copy of it would be laid out."""

    shape: Ints
    stride: Ints


def laid_out_like(tensor: Any) -> Copy:
    """A tensor of the same sizes as torch's `clone` and `to` lay it out."""
    return Copy(tensor.shape, preserved(tensor))
