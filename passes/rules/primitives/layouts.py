"""Layouts: strides of memory formats, and the questions torch asks of strides before it chooses one.

Everything follows c10/core (MemoryFormat.h, Contiguity.h) to the letter, ties of sizes 0 and 1 included.
`strides` are in elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch

from passes.meta import TensorMeta, are_contiguous
from passes.rules.language import primitive, undefined

Ints = tuple[Any, ...]

# The order in which channels-last formats lay out dimensions, innermost first, by rank.
CHANNELS_LAST: Final = {4: (1, 3, 2, 0), 5: (1, 4, 3, 2, 0)}


_row_major: Final[dict[Sequence[Any], Ints]] = {}  # layers that are alike ask again and again
MOST_KNOWN: Final = 1 << 12


@primitive("Ints -> Strides")
def contiguous(shape: Sequence[Any]) -> Ints:
    """Row-major strides; a size 0 counts as 1."""
    try:
        return _row_major[shape]
    except KeyError:
        if len(_row_major) >= MOST_KNOWN:
            _row_major.clear()
        stride = _row_major[shape] = _contiguous(shape)
        return stride
    except TypeError:  # a list, or a torch.SymInt, which cannot be hashed
        return _contiguous(shape)


def is_row_major(shape: Sequence[Any], strides: Sequence[Any]) -> bool:
    """Whether strides are those of `contiguous`, where no size is a symbol: a quick answer that is often enough."""
    try:
        return strides == _row_major[shape]
    except KeyError:
        return strides == contiguous(shape)
    except TypeError:
        return False


def _contiguous(shape: Sequence[Any]) -> Ints:
    strides: list[Any] = []
    step: Any = 1
    for size in reversed(shape):
        strides.append(step)
        if size != 1:
            step = step * (size if size > 1 else 1)
    strides.reverse()
    return tuple(strides)


def ordered(shape: Sequence[Any], innermost_first: Sequence[int], empty_counts: bool = False) -> Ints:
    """Dense strides with the dimensions in memory in this order; sizes 0 make strides 0 if `empty_counts`."""
    strides: list[Any] = [1] * len(shape)
    step: Any = 1
    for dim in innermost_first:
        strides[dim] = step
        step = step * (shape[dim] if empty_counts or shape[dim] > 1 else 1)
    return tuple(strides)


@primitive("Ints -> Strides")
def channels_last(shape: Sequence[Any]) -> Ints:
    """Strides of the channels-last format of this rank (get_channels_last_strides_2d and _3d)."""
    order = CHANNELS_LAST.get(len(shape))
    if order is None:
        undefined("no channels-last format of this rank")
    return ordered(shape, order, empty_counts=True)


@primitive("Ints -> Strides")
def column_major(shape: Sequence[Any]) -> Ints:
    """Batches of matrices whose columns are contiguous, as LAPACK wants them."""
    if len(shape) < 2:
        undefined("no matrix")
    strides = list(contiguous(shape))
    strides[-2], strides[-1] = 1, (shape[-2] if shape[-2] > 1 else 1)
    return tuple(strides)


@primitive("Ints, Permutation -> Strides")
def permuted(shape: Sequence[Any], outermost_first: Sequence[int]) -> Ints:
    """Dense strides with the dimensions in memory in this order; negative ones count from the last."""
    rank = len(shape)
    order = [dim % rank for dim in outermost_first] if rank else []
    if sorted(order) != list(range(rank)):
        undefined("a permutation of another rank")
    return ordered(shape, order[::-1])


@primitive("Ints, Strides -> Strides")
def compact(shape: Sequence[Any], strides: Sequence[Any]) -> Ints:
    """Strides of `tensor.contiguous()`: its own if they are row-major, those of sizes 1 as they are."""
    return tuple(strides) if is_compact(shape, strides) else contiguous(shape)


@primitive("Ints, Strides -> Bool")
def is_compact(shape: Sequence[Any], strides: Sequence[Any]) -> bool:
    """Whether these strides are row-major for the shape: what `contiguous()` asks of a view, say of a slice."""
    return len(shape) == len(strides) and are_contiguous(shape, strides)


@primitive("Strided -> Bool")
def is_contiguous(tensor: Any) -> bool:
    """Whether strides are row-major; those of sizes 1 do not matter, and nothing does when it is empty."""
    if type(tensor) is TensorMeta and tensor.contiguous is not None:
        return tensor.contiguous
    strides: Any = tensor.stride
    return are_contiguous(tensor.shape, strides)


@primitive("Strided -> Bool")
def is_channels_last(tensor: Any) -> bool:
    """is_contiguous(memory_format=torch.channels_last), or channels_last_3d for five dimensions."""
    order = CHANNELS_LAST.get(len(tensor.shape))
    if order is None:
        return False
    shape, strides = tensor.shape, tensor.stride
    expected: Any = 1
    for dim in order:
        size = shape[dim]
        if size != 1:
            if strides[dim] != expected:
                return False
            expected = expected * size
    return True


@primitive("Strided -> Bool")
def like_channels_last(tensor: Any) -> bool:
    """Whether torch suggests channels-last for these strides (is_channels_last_strides_2d_s4, _3d_s5)."""
    shape, strides = tensor.shape, tensor.stride
    order = CHANNELS_LAST.get(len(shape))
    if order is None or strides[1] == 0:
        return False
    least: Any = 0
    for dim in order:
        if shape[dim] == 0 or strides[dim] < least:
            return False
        if dim == 0 and least == strides[1]:
            return False
        least = strides[dim]
        if shape[dim] > 1:
            least = least * shape[dim]
    return True


@primitive("Strided -> Bool")
def is_dense(tensor: Any) -> bool:
    """is_non_overlapping_and_dense: some permutation of the dimensions is contiguous."""
    if is_contiguous(tensor):
        return True
    shape, strides = tensor.shape, tensor.stride
    if type(tensor) is not TensorMeta or tensor.symbolic:  # of symbols these ask less than sorting them does
        if is_channels_last(tensor):
            return True
        if len(shape) == 1:
            return bool(shape[0] < 2 or strides[0] == 1)
    expected: Any = 1
    for dim in sorted([dim for dim, size in enumerate(shape) if size >= 2], key=strides.__getitem__):
        if strides[dim] != expected:
            return False
        expected = expected * shape[dim]
    return True


@primitive("Strided -> Strides")
def preserved(tensor: Any) -> Ints:
    """Strides of empty_like: the tensor's own if dense, else dense ones in the same order (infer_dense_strides)."""
    if is_dense(tensor):
        return tuple(tensor.stride)
    shape, strides = tensor.shape, tensor.stride
    rank = len(shape)
    if rank == 1:
        return (1,)

    def compare(left: int, right: int) -> int:
        if strides[left] == 0 or strides[right] == 0:
            return 0
        if strides[left] != strides[right]:
            return -1 if strides[left] < strides[right] else 1
        return 1 if shape[left] > shape[right] else 0

    return ordered(shape, sorted_loosely(list(range(rank))[::-1], compare))


def sorted_loosely(order: list[int], compare: Any) -> list[int]:
    """TensorIterator's insertion sort, for comparisons that may be ambiguous (0)."""
    for start in range(1, len(order)):
        later = start
        for earlier in range(start - 1, -1, -1):
            verdict = compare(order[earlier], order[later])
            if verdict > 0:
                order[earlier], order[later] = order[later], order[earlier]
                later = earlier
            elif verdict < 0:
                break
    return order


@primitive("Ints, Strided -> Strides")
def suggested(shape: Sequence[Any], tensor: Any) -> Ints:
    """Channels-last if torch suggests it for `tensor` (suggest_memory_format), else row-major."""
    return channels_last(shape) if len(shape) == len(tensor.shape) and like_channels_last(tensor) else contiguous(shape)


@primitive("Ints, Strided -> Strides")
def suggested_exactly(shape: Sequence[Any], tensor: Any) -> Ints:
    """As `suggested`, for tensors whose strides are channels-last without gaps only."""
    exact = like_channels_last(tensor) and channels_last(tensor.shape) == tuple(tensor.stride)
    return channels_last(shape) if exact and len(shape) == len(tensor.shape) else contiguous(shape)


@primitive("Ints, Strided, Strided -> Strides")
def suggested_by_either(shape: Sequence[Any], left: Any, right: Any) -> Ints:
    """Channels-last if torch suggests it for one of two tensors: convolutions choose so."""
    stride = like_channels_last(left) or like_channels_last(right)
    return channels_last(shape) if stride and len(shape) in CHANNELS_LAST else contiguous(shape)


@primitive("Ints, Format -> Strides")
def of_format(shape: Sequence[Any], memory_format: Any) -> Ints:
    """Strides of a memory format that was asked for."""
    if memory_format is torch.contiguous_format or memory_format is None:
        return contiguous(shape)
    if CHANNELS_LAST.get(len(shape)) and memory_format in (torch.channels_last, torch.channels_last_3d):
        return channels_last(shape)
    undefined("a format that depends on the input")


@primitive("Strided, Format -> Strides")
def like_in_format(tensor: Any, memory_format: Any) -> Ints:
    """Strides of empty_like, clone and `to` with a memory format; none and `preserve` keep the order."""
    if memory_format is None or memory_format is torch.preserve_format:
        return preserved(tensor)
    return of_format(tensor.shape, memory_format)


@primitive("Strided, Format -> Bool")
def is_in_format(tensor: Any, memory_format: Any) -> bool:
    """Whether a tensor needs no copy to be in a memory format; anything is in none, and in `preserve`."""
    if memory_format is None or memory_format is torch.preserve_format:
        return True
    return is_contiguous(tensor) if memory_format is torch.contiguous_format else is_channels_last(tensor)


@primitive("Ints, Strided, Dims -> Strides")
def transformed(shape: Sequence[Any], tensor: Any, dims: Any) -> Ints:
    """Strides of a Fourier transform along `dims`: those innermost, in the order given, the others as in `tensor`.

    After ATen/native/mkl/SpectralOps.cpp, `_exec_fft`, which takes dimensions as they are: undefined for one that
    counts from the end, or comes twice.
    """
    chosen = [dims] if isinstance(dims, int) else list(dims)
    if any(not 0 <= dim < len(shape) for dim in chosen) or len(set(chosen)) < len(chosen):
        undefined("not the numbers of different dimensions")
    batch = _partitioned(list(range(len(shape))), chosen)
    batch.sort(key=lambda dim: -tensor.stride[dim])
    return ordered(shape, [*batch, *chosen][::-1])


def _partitioned(dims: list[int], last: Sequence[int]) -> list[int]:
    """Those not in `last`, in the order in which C++'s std::partition leaves them."""
    start, end = 0, len(dims)
    while True:
        while start < end and dims[start] not in last:
            start += 1
        end -= 1
        while start < end and dims[end] in last:
            end -= 1
        if start >= end:
            return dims[:start]
        dims[start], dims[end] = dims[end], dims[start]
        start += 1


@primitive("Strided, Dims, Bool -> Dims")
def by_stride(tensor: Any, dims: Any, keep_last: Any) -> Any:
    """Dimensions, those with the largest strides first; the last one stays last if `keep_last`."""
    order = [dims] if isinstance(dims, int) else list(dims)
    sortable, fixed = (order[:-1], order[-1:]) if keep_last else (order, [])
    return (*sorted(sortable, key=lambda dim: -tensor.stride[dim]), *fixed)
