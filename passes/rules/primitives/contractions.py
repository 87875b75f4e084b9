"""Contractions: what torch.einsum gives, computed from its equation (ATen/native/Linear.cpp, `einsum`).

Every operand is viewed with one dimension for each label, in one order: those of the output first, then those that
are summed. Two at a time, from the left, are multiplied or, where something is summed, go through a product of
batches of matrices (`sumproduct_pair`). Knows nothing of paths: contractions in another order have no answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final, NamedTuple

import torch

from passes.rules.language import primitive, undefined
from passes.rules.primitives.iterator import iterated, laid_out_like
from passes.rules.primitives.layouts import contiguous, preserved
from passes.rules.primitives.shapes import broadcast_shapes, wrapped
from passes.rules.primitives.types import summed
from passes.rules.primitives.views import Product, view

Ints = tuple[Any, ...]

ELLIPSIS: Final = "..."
LABELS: Final = ascii_uppercase + ascii_lowercase  # in the order in which torch sums or returns them


class Order(NamedTuple):
    """The common order of dimensions: for each operand where its own are in it, how many are returned, and all."""

    places: tuple[tuple[int, ...], ...]
    returned: int
    total: int


@primitive("Equation, Tensors -> Product")
def contracted(equation: str, tensors: Sequence[Any]) -> Product:
    """The result of torch.einsum, operands taken from the left; a view of the operand if `keeps_all`."""
    if any(tensor.symbolic for tensor in tensors):
        return _contracted(equation, tensors)
    return _known(equation, tuple(tensors))


@primitive("Equation, Tensors -> Bool")
def keeps_all(equation: str, tensors: Sequence[Any]) -> bool:
    """Whether nothing is multiplied or summed: one operand, all of whose labels are in the output."""
    if len(tensors) != 1:
        return False
    order = order_of(equation, (len(tensors[0].shape),))
    return order.returned == order.total


@primitive("Ints, Ints, IntOrInts, IntOrInts -> Ints")
def contracted_along(shape: Sequence[Any], other: Sequence[Any], dims: Any, other_dims: Any) -> Ints:
    """Shape of torch.tensordot: what is left of `shape`, then of `other`, when pairs of dimensions are summed over."""
    one, two = _wrapped(dims, len(shape)), _wrapped(other_dims, len(other))
    if len(one) != len(two) or len(set(one)) < len(one) or len(set(two)) < len(two):
        undefined("as many dimensions of both, and none twice")
    for left, right in zip((shape[dim] for dim in one), (other[dim] for dim in two), strict=True):
        if left != right and left != 1 and right != 1:
            undefined("sizes that differ")
    kept = (size for dim, size in enumerate(shape) if dim not in one)
    return (*kept, *(size for dim, size in enumerate(other) if dim not in two))


def _wrapped(dims: Any, rank: int) -> list[int]:
    return [wrapped(dim, rank) for dim in ((dims,) if isinstance(dims, int) else dims)]


def _contracted(equation: str, tensors: Sequence[Any]) -> Product:
    order = order_of(equation, tuple(len(tensor.shape) for tensor in tensors))
    returned, count = order.returned, order.total
    operands = [_aligned(tensor, places, count) for tensor, places in zip(tensors, order.places, strict=True)]
    if len(operands) == 1:
        only = operands[0]
        return only if returned == count else _new(only.shape[:returned], summed(only.dtype))
    shape = operands[0].shape
    for operand in operands[1:]:
        shape = broadcast_shapes(shape, operand.shape)
    left = [sum(operand.shape[dim] != 1 for operand in operands) for dim in range(count)]  # operands yet to be met
    operands = [_resolved(operand) for operand in operands]
    result = operands[0]
    for operand in operands[1:]:
        result = _pair(result, operand, returned, left)
    if returned == count:
        return result
    return Product(*view(result, result.shape[:returned]), result.dtype)


_known = lru_cache(maxsize=1 << 12)(_contracted)  # layers that are alike ask again and again


def _resolved(operand: Product) -> Product:
    """The operand, or the copy in its place if its conjugate or negative bit is set."""
    if operand.is_conj or operand.is_neg:
        return Product(operand.shape, preserved(operand), 0, operand.dtype)
    return operand


def _new(shape: Ints, dtype: torch.dtype) -> Product:
    return Product(shape, contiguous(shape), 0, dtype)


def _aligned(tensor: Any, places: Sequence[int], count: int) -> Product:
    """The tensor with its dimensions at these places of `count`: diagonals where two are at one, else sizes 1."""
    shape: list[Any] = [1] * count
    stride: list[Any] = [1] * count
    met: set[int] = set()
    for place, size, step in zip(places, tensor.shape, tensor.stride, strict=True):
        if place not in met:
            met.add(place)
            shape[place], stride[place] = size, step
        elif shape[place] == size:
            stride[place] = stride[place] + step
        else:
            undefined("a diagonal of sizes that differ")
    return Product(tuple(shape), tuple(stride), tensor.storage_offset, tensor.dtype, tensor.is_conj, tensor.is_neg)


def _pair(one: Product, other: Product, returned: int, left: list[int]) -> Product:
    """Two operands as one. What no operand after them has is summed; `left` counts down for each dimension."""
    both: list[int] = []
    alone: tuple[list[int], list[int]] = ([], [])
    for dim in range(returned, len(left)):
        in_one, in_other = one.shape[dim] != 1, other.shape[dim] != 1
        if in_one and in_other:
            left[dim] -= 1
            if left[dim] == 1:
                both.append(dim)
                left[dim] = 0
        elif left[dim] == 1 and (in_one or in_other):
            alone[in_other].append(dim)
            left[dim] = 0
    one, other = _without(one, alone[0]), _without(other, alone[1])
    if both:
        return _matrices(one, other, both)
    dtype = torch.promote_types(one.dtype, other.dtype)
    shape = broadcast_shapes(one.shape, other.shape)
    copied = [each if each.dtype is dtype else laid_out_like(each) for each in (one, other)]
    return Product(shape, iterated(shape, *copied), 0, dtype)


def _without(operand: Product, dims: Sequence[int]) -> Product:
    """The sum over some dimensions, which have size 1 then."""
    if not dims:
        return operand
    return _new(tuple(1 if dim in dims else size for dim, size in enumerate(operand.shape)), summed(operand.dtype))


def _matrices(one: Product, other: Product, both: Sequence[int]) -> Product:
    """A product summed over `both`: new memory in the order of what both have, one has, and the other has."""
    if one.dtype is not other.dtype:
        undefined("matrices of two types")
    shared: list[int] = []
    first: list[int] = []
    rest: list[int] = []
    for dim, (size, size_other) in enumerate(zip(one.shape, other.shape, strict=True)):
        if dim not in both:
            (rest if size == 1 else first if size_other == 1 else shared).append(dim)
    if first and rest and rest[-1] < first[0]:  # the other way round, nothing has to be permuted afterwards
        first, rest = rest, first
    sizes = broadcast_shapes(one.shape, other.shape)
    shape = tuple(1 if dim in both else size for dim, size in enumerate(sizes))
    order = (*shared, *first, *both, *rest)
    stride: list[Any] = [1] * len(order)
    for dim, step in zip(order, contiguous(tuple(shape[dim] for dim in order)), strict=True):
        stride[dim] = step
    return Product(shape, tuple(stride), 0, one.dtype)


# Reading equations.


@lru_cache(maxsize=1 << 12)
def order_of(equation: str, ranks: tuple[int, ...]) -> Order:
    """The order of dimensions that an equation means for operands with so many each; undefined if it fits none."""
    left, arrow, right = equation.partition("->")
    operands = [labels_of(side) for side in left.split(",")]
    if len(operands) != len(ranks):
        undefined("another number of operands")
    covered = [rank - len(labels) + 1 for labels, rank in zip(operands, ranks, strict=True) if ELLIPSIS in labels]
    most = max(covered, default=0)
    if min(covered, default=0) < 0:
        undefined("fewer dimensions than labels")
    rest = [f"{ELLIPSIS}{number}" for number in range(most)]  # labels of what the ellipsis stands for
    spelt = [list(_spelt(labels, rank, rest)) for labels, rank in zip(operands, ranks, strict=True)]
    labels_seen = [label for labels in spelt for label in labels]
    if arrow:
        returned = list(_spelt(labels_of(right), None, rest))
    else:
        returned = [*rest, *(label for label in LABELS if labels_seen.count(label) == 1)]
    if len(set(returned)) != len(returned) or not {*returned} <= {*labels_seen, *rest}:
        undefined("labels of the output")
    summed_over = [label for label in (*rest, *LABELS) if label in {*labels_seen, *rest} and label not in returned]
    places = {label: place for place, label in enumerate((*returned, *summed_over))}
    return Order(tuple(tuple(places[label] for label in labels) for labels in spelt), len(returned), len(places))


def labels_of(side: str) -> list[str]:
    """The letters of one operand or of the output, and the ellipsis as one of them."""
    side = side.replace(" ", "")
    before, dots, after = side.partition(ELLIPSIS)
    if not set(before + after) <= set(LABELS):
        undefined("no equation")
    return [*before, *([dots] if dots else []), *after]


def _spelt(labels: Sequence[str], rank: int | None, rest: Sequence[str]) -> Iterator[str]:
    """The labels with those in the place of the ellipsis, which stands for the last of them, as many as there are."""
    if ELLIPSIS not in labels:
        if rank is not None and rank != len(labels):
            undefined("another number of labels")
        yield from labels
        return
    for label in labels:
        if label == ELLIPSIS:
            yield from rest if rank is None else rest[len(rest) - (rank - len(labels) + 1) :]
        else:
            yield label
