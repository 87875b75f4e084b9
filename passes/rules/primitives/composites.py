"""Functions that ATen composes of others, and whose layouts follow from each step.

`dims` and numbers are parameters as they were given. Knows nothing of what is computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from passes.rules.language import primitive, undefined
from passes.rules.primitives.iterator import iterated, joined_strides
from passes.rules.primitives.layouts import contiguous, preserved
from passes.rules.primitives.shapes import joined, wrapped
from passes.rules.primitives.types import promoted
from passes.rules.primitives.views import Product, Strided, expand, narrow, transpose, view

Ints = tuple[Any, ...]


@primitive("Tensor, Given, Given -> Strided")
def rotated(tensor: Any, turns: int, dims: Sequence[int]) -> Strided:
    """torch.rot90: a flip, which keeps the layout, and for a quarter turn a transposition; no turn is a row-major copy.

    After ATen/native/TensorTransformations.cpp.
    """
    if len(dims) != 2 or wrapped(dims[0], len(tensor.shape)) == wrapped(dims[1], len(tensor.shape)):
        undefined("two dimensions are needed")
    if turns % 4 == 0:
        return Strided(tensor.shape, contiguous(tensor.shape), 0)
    flipped = Strided(tensor.shape, preserved(tensor), 0)
    return transpose(flipped, dims[0], dims[1]) if turns % 2 else flipped


@primitive("Tensor, Given, Given, Tensor?, Tensor? -> Product")
def differences(tensor: Any, times: int, dim: int, before: Any, after: Any) -> Product:
    """torch.diff: tensors joined, and neighbours subtracted so many times (`diff_helper` of ReduceOps.cpp)."""
    if not tensor.shape:
        undefined("no dimension to go along")
    if times == 0:
        return Product(tensor.shape, preserved(tensor), 0, tensor.dtype)
    dim, parts = wrapped(dim, len(tensor.shape)), [part for part in (before, tensor, after) if part is not None]
    whole = Product(tensor.shape, tensor.stride, 0, tensor.dtype, tensor.is_conj, tensor.is_neg)
    if len(parts) > 1:
        shape = joined(parts, dim)
        whole = Product(shape, joined_strides(shape, parts), 0, promoted(*parts))
    for _ in range(min(times, whole.shape[dim])):
        length = whole.shape[dim] - 1
        later, sooner = (narrow(whole, dim, start, length) for start in (1, 0))
        if whole.is_conj or whole.is_neg:  # which is applied to a copy
            later, sooner = (place._replace(stride=preserved(place)) for place in (later, sooner))
        whole = Product(later.shape, iterated(later.shape, later, sooner), 0, whole.dtype)
    return whole


@primitive("Tensor, Given, Bool -> Ints")
def combined(tensor: Any, count: int, repeated: bool) -> Ints:
    """torch.combinations: one row for each choice of `count` elements, each of them once or `repeated`."""
    if len(tensor.shape) != 1 or count < 0:
        undefined("a list of elements is needed")
    if count == 0:
        return (0,)
    elements = tensor.shape[0]
    return (math.comb(elements + count - 1 if repeated else elements, count) if elements else 0, count)


@primitive("Tensors, Given, Given -> Ints")
def in_chunks(tensors: Sequence[Any], dim: int, chunks: int) -> Ints:
    """torch._chunk_cat: each tensor in so many chunks along a dimension, the last one padded; then joined."""
    first = tensors[0].shape
    dim = wrapped(dim, min(len(tensor.shape) for tensor in tensors))
    if chunks < 1 or any(tensor.shape[:dim] != first[:dim] for tensor in tensors):
        undefined("sizes differ")
    sizes = (-(-tensor.shape[dim] // chunks) * math.prod(tensor.shape[dim + 1 :]) for tensor in tensors)
    return (*first[:dim], chunks, sum(sizes))


@primitive("Tensors, Int -> Strided")
def grid(tensors: Sequence[Any], place: int) -> Strided:
    """One of the views that torch.meshgrid gives with "ij": a list of elements repeated along all other dimensions.

    After `meshgrid` of ATen/native/TensorShape.cpp.
    """
    if any(len(tensor.shape) > 1 for tensor in tensors):
        undefined("lists of elements are needed")
    lengths = tuple(tensor.shape[0] if tensor.shape else 1 for tensor in tensors)
    ones = (1,) * len(tensors)
    return expand(view(tensors[place], (*ones[:place], lengths[place], *ones[place + 1 :])), lengths)


@primitive("Tensors, Int -> Strided")
def exchanged_grid(tensors: Sequence[Any], place: int) -> Strided:
    """The same with "xy": each of the first two lists has the dimension of the other."""
    if len(tensors) < 2:
        return grid(tensors, place)
    first, second, *rest = tensors
    return grid((second, first, *rest), 1 - place if place < 2 else place)


@primitive("Strided, Strided -> Strided")
def kronecker(one: Any, other: Any) -> Strided:
    """torch.kron: each dimension of `one` beside that of `other`, multiplied, and each pair viewed as one dimension.

    After ATen/native/LinearAlgebra.cpp, `KronImpl`, which refuses layouts in which a pair cannot be viewed so.
    """
    rank = max(len(one.shape), len(other.shape))
    left, right = _padded(one, rank), _padded(other, rank)
    shape, operands = [], []
    for size, size_other in zip(left.shape, right.shape, strict=True):
        shape += [size, size_other]
    for place, operand in enumerate((left, right)):
        sizes: list[Any] = []
        for size in operand.shape:
            sizes += [1, size] if place else [size, 1]
        operands.append(view(operand, tuple(sizes)))
    pairs = Strided(tuple(shape), iterated(tuple(shape), *operands), 0)
    return view(pairs, tuple(a * b for a, b in zip(left.shape, right.shape, strict=True)))


def _padded(tensor: Any, rank: int) -> Strided:
    """The view with dimensions of size 1 in front, up to `rank`."""
    return view(tensor, (1,) * (rank - len(tensor.shape)) + tuple(tensor.shape))


@primitive("Tensors -> Ints")
def block_diagonal(tensors: Sequence[Any]) -> Ints:
    """Shape of torch.block_diag: rows and columns of all matrices; a vector is one row, and a number one of one."""
    rows: Any = 0
    columns: Any = 0
    for tensor in tensors:
        if len(tensor.shape) > 2:
            undefined("more than two dimensions")
        row_count, column_count = (1, 1, *tensor.shape)[-2:]
        rows, columns = rows + row_count, columns + column_count
    return (rows, columns)
