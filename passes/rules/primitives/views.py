"""Views: other shapes and strides over the same memory. Each takes a strided thing and gives one.

Formulas follow ATen/native/TensorShape.cpp; `viewed` is at::detail::computeStride.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from passes.rules.language import Undefined, primitive, undefined
from passes.rules.primitives.layouts import contiguous, is_row_major
from passes.rules.primitives.shapes import dims_of, expanded, literal, padded, permutation, wrapped

Ints = tuple[Any, ...]


class Strided(NamedTuple):
    """A place in memory: sizes, strides and offset in elements."""

    shape: Ints
    stride: Ints
    storage_offset: Any


class Product(NamedTuple):
    """What is computed: a place in memory, the type of what is there, and whether bits are left to be applied."""

    shape: Ints
    stride: Ints
    storage_offset: Any
    dtype: torch.dtype
    is_conj: bool = False
    is_neg: bool = False


@primitive("Ints -> Strided")
def fresh(shape: Sequence[Any]) -> Strided:
    """New row-major memory."""
    return Strided(tuple(shape), contiguous(shape), 0)


@primitive("Ints, Strides -> Strided")
def laid_out(shape: Sequence[Any], strides: Sequence[Any]) -> Strided:
    """New memory with these strides."""
    return Strided(tuple(shape), tuple(strides), 0)


@primitive("Strided, Ints -> Strided")
def permute(tensor: Any, dims: Sequence[Any]) -> Strided:
    """The view `tensor.permute(dims)`. Undefined if `dims` is no permutation."""
    shape, stride = tensor.shape, tensor.stride
    order = permutation(dims, len(shape))
    return Strided(tuple([shape[dim] for dim in order]), tuple([stride[dim] for dim in order]), tensor.storage_offset)


@primitive("Strided, Int, Int -> Strided")
def transpose(tensor: Any, dim0: Any, dim1: Any) -> Strided:
    """The view `tensor.transpose(dim0, dim1)`."""
    rank = len(tensor.shape)
    left = dim0 if type(dim0) is int and 0 <= dim0 < rank else wrapped(dim0, rank)
    right = dim1 if type(dim1) is int and 0 <= dim1 < rank else wrapped(dim1, rank)
    if not rank:
        return Strided((), (), tensor.storage_offset)
    shape, stride = list(tensor.shape), list(tensor.stride)
    shape[left], shape[right] = shape[right], shape[left]
    stride[left], stride[right] = stride[right], stride[left]
    return Strided(tuple(shape), tuple(stride), tensor.storage_offset)


@primitive("Strided -> Strided")
def reversed_dims(tensor: Any) -> Strided:
    """The view with all dimensions in reversed order, as `tensor.T` has them."""
    return Strided(tuple(tensor.shape[::-1]), tuple(tensor.stride[::-1]), tensor.storage_offset)


@primitive("Strided, Dims, Dims -> Strided")
def movedim(tensor: Any, source: Any, destination: Any) -> Strided:
    """The view `tensor.movedim(source, destination)`. Undefined for repeated dimensions."""
    rank = len(tensor.shape)
    sources = [wrapped(dim, rank) for dim in ((source,) if isinstance(source, int) else source)]
    places = [wrapped(dim, rank) for dim in ((destination,) if isinstance(destination, int) else destination)]
    if len(sources) != len(places) or len(set(sources)) != len(sources) or len(set(places)) != len(places):
        undefined("as many sources as destinations, and none twice")
    if not rank:
        return Strided((), (), tensor.storage_offset)
    order: list[Any] = [None] * rank
    for dim, place in zip(sources, places, strict=True):
        order[place] = dim
    rest = iter(dim for dim in range(rank) if dim not in sources)
    return permute(tensor, [next(rest) if dim is None else dim for dim in order])


@primitive("Strided, Int -> Strided")
def unsqueeze(tensor: Any, dim: Any) -> Strided:
    """The view `tensor.unsqueeze(dim)`; the stride of the new dimension is that of torch."""
    shape, stride = tensor.shape, tensor.stride
    dim = wrapped(dim, len(shape) + 1)
    step = shape[dim] * stride[dim] if dim < len(shape) else 1
    return Strided((*shape[:dim], 1, *shape[dim:]), (*stride[:dim], step, *stride[dim:]), tensor.storage_offset)


@primitive("Strided, Dims -> Strided")
def squeeze(tensor: Any, dims: Any) -> Strided:
    """Without those of `dims` whose size is 1."""
    shape, stride = tensor.shape, tensor.stride
    chosen = dims_of(dims, len(shape))
    if chosen:
        kept = [dim for dim, size in enumerate(shape) if dim not in chosen or size != 1]
        shape, stride = tuple([shape[dim] for dim in kept]), tuple([stride[dim] for dim in kept])
    return Strided(tuple(shape), tuple(stride), tensor.storage_offset)


@primitive("Strided -> Strided")
def squeeze_all(tensor: Any) -> Strided:
    """Without sizes 1."""
    return squeeze(tensor, tuple(range(len(tensor.shape))))


@primitive("Strided, Int, Int -> Strided")
def select(tensor: Any, dim: Any, index: Any) -> Strided:
    """The view `tensor.select(dim, index)`. Undefined for a scalar or an index out of range."""
    if not tensor.shape:
        undefined("nothing to select from")
    dim = wrapped(dim, len(tensor.shape))
    offset = tensor.storage_offset + selected(tensor.shape[dim], index) * tensor.stride[dim]
    return Strided(
        (*tensor.shape[:dim], *tensor.shape[dim + 1 :]), (*tensor.stride[:dim], *tensor.stride[dim + 1 :]), offset
    )


def selected(size: Any, index: Any) -> Any:
    """The place of an index, which may count from the last, in a dimension of this size."""
    if not -size <= index < size:
        undefined("no such index")
    return index + size if index < 0 else index


@primitive("Strided, Int, Int?, Int?, Int -> Strided")
def slice_(tensor: Any, dim: Any, start: Any, end: Any, step: Any) -> Strided:
    """tensor[start:end:step] along a dimension, out-of-range ends clamped."""
    if not tensor.shape or step <= 0:
        undefined("cannot be sliced")
    dim = wrapped(dim, len(tensor.shape))
    start, length = sliced(tensor.shape[dim], start, end, step)
    return _with(tensor, dim, length, tensor.stride[dim] * step, start * tensor.stride[dim])


def sliced(size: Any, start: Any, end: Any, step: Any) -> tuple[Any, Any]:
    """Where `start:end:step` begins in a dimension of this size, and how many elements it has there."""
    start, end = 0 if start is None else _clamped(start, size), size if end is None else _clamped(end, size)
    return start, (end - start + step - 1) // step if end > start else 0


def _clamped(index: Any, size: Any) -> Any:
    index = index + size if index < 0 else index
    if index < 0:
        return 0
    return size if index > size else index


def _with(tensor: Any, dim: int, size: Any, step: Any, moved: Any) -> Strided:
    shape, stride = list(tensor.shape), list(tensor.stride)
    shape[dim], stride[dim] = size, step
    return Strided(tuple(shape), tuple(stride), tensor.storage_offset + moved)


@primitive("Strided, Int, Int, Int -> Strided")
def narrow(tensor: Any, dim: Any, start: Any, length: Any) -> Strided:
    """The view `tensor.narrow(dim, start, length)`. Undefined out of range."""
    if not tensor.shape:
        undefined("cannot be narrowed")
    dim = wrapped(dim, len(tensor.shape))
    start = start + tensor.shape[dim] if start < 0 else start
    if length < 0 or not 0 <= start <= tensor.shape[dim] - length:
        undefined("out of range")
    return _with(tensor, dim, length, tensor.stride[dim], start * tensor.stride[dim])


@primitive("Strided, Ints -> Strided")
def expand(tensor: Any, sizes: Sequence[Any]) -> Strided:
    """The view `tensor.expand(sizes)`: stride 0 where a size 1 or a new dimension is repeated."""
    shape = expanded(tensor.shape, sizes)
    if not tensor.shape:
        return Strided(shape, (0,) * len(shape), tensor.storage_offset)
    missing = len(shape) - len(tensor.shape)
    strides: list[Any] = [0] * len(shape)
    for dim in range(len(shape) - 1, -1, -1):
        if dim >= missing:
            size, stride = tensor.shape[dim - missing], tensor.stride[dim - missing]
        else:
            size, stride = 1, (shape[dim + 1] * strides[dim + 1] if dim + 1 < len(shape) else 1)
        strides[dim] = stride if size == shape[dim] and (dim >= missing or shape[dim] == 1) else 0
    return Strided(shape, tuple(strides), tensor.storage_offset)


@primitive("Strided, IntOrInts -> Strided")
def view(tensor: Any, sizes: Any) -> Strided:
    """The same elements in another shape, where strides allow it."""
    shape = literal(tensor.shape, sizes)
    return Strided(shape, view_strides(tensor, shape), tensor.storage_offset)


def view_strides(tensor: Any, shape: Ints) -> Ints:
    """at::detail::computeStride; undefined where memory would have to be copied."""
    old, steps = tensor.shape, tensor.stride
    if not old:
        return (1,) * len(shape)
    if 0 in old:
        return tuple(steps) if tuple(old) == shape else contiguous(shape)
    if is_row_major(old, steps):  # what follows would find that as well
        return contiguous(shape)
    strides: list[Any] = [0] * len(shape)
    place = len(shape) - 1
    base, old_count, new_count = steps[-1], 1, 1
    for dim in range(len(old) - 1, -1, -1):
        old_count = old_count * old[dim]
        if dim == 0 or (old[dim - 1] != 1 and steps[dim - 1] != old_count * base):
            while place >= 0 and (new_count < old_count or shape[place] == 1):
                strides[place] = new_count * base
                new_count = new_count * shape[place]
                place -= 1
            if new_count != old_count:
                undefined("strides do not allow a view")
            if dim > 0:
                base, old_count, new_count = steps[dim - 1], 1, 1
    if place != -1:
        undefined("strides do not allow a view")
    return tuple(strides)


@primitive("Strided, Ints -> Bool")
def is_viewable(tensor: Any, sizes: Sequence[Any]) -> bool:
    """Whether strides allow the shape without a copy."""
    return view_if_any(tensor, sizes) is not None


def view_if_any(tensor: Any, sizes: Sequence[Any]) -> Strided | None:
    """As `view`; None where memory would have to be copied."""
    try:
        return view(tensor, sizes)
    except Undefined:
        return None


@primitive("Strided, Int, Int -> Strided")
def flatten(tensor: Any, start: Any, end: Any) -> Strided:
    """The view `tensor.flatten(start, end)`. Undefined where torch would copy."""
    if not tensor.shape:
        return view(tensor, (1,))
    rank = len(tensor.shape)
    start, end = wrapped(start, rank), wrapped(end, rank)
    if start == end:
        return Strided(tuple(tensor.shape), tuple(tensor.stride), tensor.storage_offset)
    shape = (*tensor.shape[:start], math.prod(tensor.shape[start : end + 1]), *tensor.shape[end + 1 :])
    return view(tensor, shape)


@primitive("Strided, Int, Ints -> Strided")
def unflatten(tensor: Any, dim: Any, sizes: Sequence[Any]) -> Strided:
    """The view `tensor.unflatten(dim, sizes)`; one size may be -1."""
    dim = wrapped(dim, len(tensor.shape))
    if not tensor.shape:
        undefined("nothing to unflatten")
    parts = literal((tensor.shape[dim],), sizes)
    return view(tensor, (*tensor.shape[:dim], *parts, *tensor.shape[dim + 1 :]))


@primitive("Strided, Int, Int, Int -> Strided")
def diagonal(tensor: Any, offset: Any, dim1: Any, dim2: Any) -> Strided:
    """The view `tensor.diagonal(offset, dim1, dim2)`."""
    rank = len(tensor.shape)
    first, second = wrapped(dim1, rank), wrapped(dim2, rank)
    if first == second or rank < 2:
        undefined("two dimensions are needed")
    if offset >= 0:
        length = min(tensor.shape[first], tensor.shape[second] - offset)
    else:
        length = min(tensor.shape[first] + offset, tensor.shape[second])
    length = max(length, 0)
    moved = 0
    if length > 0:
        moved = offset * tensor.stride[second] if offset >= 0 else -offset * tensor.stride[first]
    kept = [dim for dim in range(rank) if dim not in (first, second)]
    return Strided(
        (*(tensor.shape[dim] for dim in kept), length),
        (*(tensor.stride[dim] for dim in kept), tensor.stride[first] + tensor.stride[second]),
        tensor.storage_offset + moved,
    )


@primitive("Strided, Int, Int, Int -> Strided")
def unfold(tensor: Any, dim: Any, size: Any, step: Any) -> Strided:
    """The view `tensor.unfold(dim, size, step)`: windows of `size` elements, `step` apart."""
    rank = len(tensor.shape)
    dim = wrapped(dim, rank)
    if not rank:
        if size not in (0, 1) or step <= 0:
            undefined("larger than the dimension")
        return Strided((size,), (1,), tensor.storage_offset)
    length = tensor.shape[dim]
    if step <= 0 or not 0 <= size <= length:
        undefined("larger than the dimension")
    return Strided(
        (*tensor.shape[:dim], (length - size) // step + 1, *tensor.shape[dim + 1 :], size),
        (*tensor.stride[:dim], step * tensor.stride[dim], *tensor.stride[dim + 1 :], tensor.stride[dim]),
        tensor.storage_offset,
    )


@primitive("Ints, Ints, Int? -> Strided")
def strided(size: Sequence[Any], stride: Sequence[Any], offset: Any) -> Strided:
    """As asked for: as_strided."""
    if len(size) != len(stride):
        undefined("as many strides as sizes")
    return Strided(tuple(size), tuple(stride), 0 if offset is None else offset)


@primitive("Strided -> Strided")
def as_real(tensor: Any) -> Strided:
    """view_as_real: each complex number as two real ones."""
    return Strided((*tensor.shape, 2), (*(2 * stride for stride in tensor.stride), 1), 2 * tensor.storage_offset)


@primitive("Strided -> Strided")
def as_complex(tensor: Any) -> Strided:
    """view_as_complex: each last pair of real numbers as a complex one."""
    if not tensor.shape or tensor.shape[-1] != 2 or tensor.stride[-1] != 1 or tensor.storage_offset % 2:
        undefined("no pairs")
    if any(stride % 2 for stride in tensor.stride[:-1]):
        undefined("no pairs")
    return Strided(
        tuple(tensor.shape[:-1]), tuple(stride // 2 for stride in tensor.stride[:-1]), tensor.storage_offset // 2
    )


@primitive("Strided, Int -> Strided")
def real_part(tensor: Any, start: Any) -> Strided:
    """The real (start 0) or imaginary (1) parts of complex numbers."""
    return Strided(
        tuple(tensor.shape), tuple(2 * stride for stride in tensor.stride), 2 * tensor.storage_offset + start
    )


@primitive("Strided, Int, Int, Int -> Strided")
def piece(tensor: Any, size: Any, dim: Any, number: Any) -> Strided:
    """The `number`-th of the parts of `size` along a dimension, the last one smaller (torch.split)."""
    dim = wrapped(dim, len(tensor.shape))
    if not tensor.shape or size < 0:
        undefined("cannot be split")
    start = number * size
    return narrow(tensor, dim, start, min(size, tensor.shape[dim] - start))


@primitive("Strided, Ints, Int, Int -> Strided")
def piece_of(tensor: Any, sizes: Sequence[Any], dim: Any, number: Any) -> Strided:
    """The `number`-th of the parts with these sizes along a dimension."""
    if not 0 <= number < len(sizes):
        undefined("no such part")
    return narrow(tensor, dim, sum(sizes[:number]), sizes[number])


@primitive("Strided, Int, Int -> Int")
def pieces(tensor: Any, size: Any, dim: Any) -> Any:
    """How many parts of `size` a dimension has."""
    if not tensor.shape:
        undefined("cannot be split")
    length = tensor.shape[wrapped(dim, len(tensor.shape))]
    if size <= 0:
        if length:
            undefined("parts of size 0")
        return 1
    return max((length + size - 1) // size, 1)


@primitive("Strided, Int, Int -> Int")
def chunk_size(tensor: Any, chunks: Any, dim: Any) -> Any:
    """Size of the parts of torch.chunk: the smallest that gives at most so many."""
    if not tensor.shape or chunks <= 0:
        undefined("cannot be split")
    return (tensor.shape[wrapped(dim, len(tensor.shape))] + chunks - 1) // chunks


@primitive("Strided, Int, Int, Int -> Strided")
def share(tensor: Any, parts: Any, dim: Any, number: Any) -> Strided:
    """The `number`-th of so many parts, the first ones one larger (torch.tensor_split)."""
    if not tensor.shape or parts <= 0:
        undefined("cannot be split")
    size, larger = divmod(tensor.shape[wrapped(dim, len(tensor.shape))], parts)
    start = number * size + min(number, larger)
    return narrow(tensor, dim, start, size + (1 if number < larger else 0))


@primitive("Strided, Ints, Int, Int -> Strided")
def between(tensor: Any, ends: Sequence[Any], dim: Any, number: Any) -> Strided:
    """The part between the `number`-th of some indices and the next (torch.tensor_split)."""
    if not tensor.shape:
        undefined("cannot be split")
    start = ends[number - 1] if number else 0
    end = ends[number] if number < len(ends) else tensor.shape[wrapped(dim, len(tensor.shape))]
    return slice_(tensor, dim, start, end, 1)


@primitive("Strided, Ints -> Strided")
def cropped(tensor: Any, padding: Sequence[Any]) -> Strided:
    """The part that is left where padding takes away: the same strides, other sizes."""
    return Strided(padded(tensor.shape, padding), tuple(tensor.stride), tensor.storage_offset)
