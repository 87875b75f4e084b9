"""Advanced indexing: the shape and strides of tensor[indices] (ATen/native/TensorAdvancedIndexing.cpp).

`indices` has a tensor of integers or None for each dimension; masks are data-dependent, and undefined here.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType, NoneType
from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.operators.outcome import SliceArg
from passes.rules.language import Undefined, primitive, undefined
from passes.rules.primitives.iterator import broadcast, iterated
from passes.rules.primitives.views import Strided, fresh, selected, sliced, view

Ints = tuple[Any, ...]
BASIC: Final = frozenset((NoneType, EllipsisType, SliceArg, torch.SymInt, int))  # types of indices that make views
MASKS: Final = (torch.bool, torch.uint8)


@primitive("Strided, Tensors -> Strided")
def indexed(tensor: Any, indices: Sequence[Any]) -> Strided:
    """Where all indices are adjacent their shape replaces their dimensions, else it comes first."""
    rank = len(tensor.shape)
    indexed_dims = [(dim, index) for dim, index in enumerate(indices) if index is not None]
    if not indexed_dims or len(indices) > rank or any(not isinstance(index, TensorMeta) for _, index in indexed_dims):
        undefined("no indices")
    if any(index.dtype in MASKS for _, index in indexed_dims):
        undefined("a mask decides the shape")
    shape = broadcast(*(index for _, index in indexed_dims))
    dims = [dim for dim, _ in indexed_dims]
    adjacent = dims == list(range(dims[0], dims[-1] + 1))
    order = list(range(rank)) if adjacent else [*dims, *(dim for dim in range(rank) if dim not in dims)]
    source_shape = [tensor.shape[dim] for dim in order]
    source_stride = [tensor.stride[dim] for dim in order]
    before = dims[0] if adjacent else 0
    after = before + len(dims)
    result = (*source_shape[:before], *shape, *source_shape[after:])
    if 0 in source_shape[before:after] and 0 not in shape:
        undefined("an index into nothing")
    restrided = Strided(result, (*source_stride[:before], *(0,) * len(shape), *source_stride[after:]), 0)
    placed = [_placed(index, shape, before, len(source_shape) - after) for _, index in indexed_dims]
    return Strided(result, iterated(result, restrided, *placed), 0)


@primitive("Strided, Tensor -> Strided")
def picked(tensor: Any, index: Any) -> Strided:
    """tensor[index]: parts of the first dimension, as embeddings are looked up."""
    return indexed(tensor, (index,))


def _placed(index: TensorMeta, shape: Ints, before: int, after: int) -> Strided:
    """An index as TensorIterator sees it: expanded, then reshaped to size 1 for every dimension not indexed."""
    missing = len(shape) - len(index.shape)
    steps = (
        0 if size == 1 and wanted != 1 else step
        for size, step, wanted in zip(index.shape, index.stride or (), shape[missing:], strict=True)
    )
    spread = Strided(shape, ((0,) * missing + tuple(steps)), 0)
    wanted = ((1,) * before) + tuple(shape) + ((1,) * after)
    try:
        return view(spread, wanted)
    except Undefined:
        return fresh(wanted)


@primitive("Strided, Key -> Strided")
def item(tensor: Any, key: Any) -> Strided:
    """tensor[key], for numbers, slices, None, Ellipsis, tensors and lists of integers.

    After torch/csrc/autograd/python_variable_indexing.cpp, `applySlicing`: what is basic is done first, then all
    tensors index what is left.
    """
    parts = key if type(key) is tuple else (key,)
    used = len(parts) - sum([part is None or part is ... for part in parts])
    if used > len(tensor.shape):
        undefined("more indices than dimensions")
    shape, stride, offset = list(tensor.shape), list(tensor.stride), tensor.storage_offset
    dim = 0
    indices: list[Any] = []
    for part in parts:
        if isinstance(part, SliceArg):
            first, last, step = part
            if first is not None or last is not None or step is not None:
                if TensorMeta in map(type, part):
                    undefined("a tensor decides where to slice")
                step = 1 if step is None else step
                if step <= 0:
                    undefined("cannot be sliced")
                start, shape[dim] = sliced(shape[dim], first, last, step)
                offset, stride[dim] = offset + start * stride[dim], stride[dim] * step
        elif part is ...:
            skipped = len(tensor.shape) - used
            dim += skipped
            indices += [None] * skipped
            continue
        elif part is None:
            if dim > len(shape):
                undefined("no such dimension")
            stride.insert(dim, shape[dim] * stride[dim] if dim < len(shape) else 1)
            shape.insert(dim, 1)
        elif isinstance(part, bool):
            undefined("a truth value among indices")
        elif isinstance(part, int | torch.SymInt):
            offset = offset + selected(shape.pop(dim), part) * stride.pop(dim)
            continue
        else:
            indices.append(_index(part))
            dim += 1
            continue
        indices.append(None)
        dim += 1
    view = Strided(tuple(shape), tuple(stride), offset)
    return view if all(index is None for index in indices) else indexed(view, indices)


def _index(part: Any) -> TensorMeta:
    """A tensor among indices, or the one that torch makes of a list of integers."""
    if isinstance(part, TensorMeta):
        if not part.shape and part.dtype not in MASKS:
            undefined("a number in a tensor decides which part is selected")
        return part
    if isinstance(part, tuple) and part and all(type(number) is int for number in part):
        return TensorMeta((len(part),), (1,), torch.int64)
    undefined("an index of another kind")


@primitive("Key -> Bool")
def is_basic(key: Any) -> bool:
    """Whether tensor[key] is a view: no tensors or lists among the indices."""
    return BASIC.issuperset(map(type, key if type(key) is tuple else (key,)))


@primitive("Key -> Bool")
def hangs_on_values(key: Any) -> bool:
    """Whether values decide the shape or place of tensor[key]: truth values, and tensors that stand for one number."""
    return any(map(_is_value, key if type(key) is tuple else (key,)))


def _is_value(part: Any) -> bool:
    if type(part) is SliceArg:
        return TensorMeta in map(type, part)
    return type(part) is bool or (type(part) is TensorMeta and (not part.shape or part.dtype in MASKS))
