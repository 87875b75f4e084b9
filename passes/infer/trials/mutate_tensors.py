"""Mutations of tensors: other sizes, layouts, types, dimensions, flags. Layouts are made in strides.py."""

from __future__ import annotations

from typing import Final

from passes.infer.trials.inputs import metas_of
from passes.infer.trials.strides import LAYOUTS, in_layout, reshaped
from passes.infer.trials.variant import (
    DTYPES,
    ArgumentFacts,
    CallVariant,
    Draw,
    each,
    on_metas,
)
from passes.meta import TensorMeta
from passes.operators.outcome import Argument

SIZES: Final = (0, 1, 2, 3, 4, 5, 7, 8, 11, 13, 16)
LAYOUT_NAMES: Final = tuple(LAYOUTS)


def rename_size(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """Another number for one size, wherever it occurs: in all shapes, and mostly among the integers too."""
    sizes = [size for meta in metas_of(variant.arguments) for size in meta.shape]
    if not sizes:
        return None
    before, after = draw.choice(sizes), draw.choice(SIZES)
    in_numbers = before > 1 or draw.random() < 0.2

    def change(leaf: Argument) -> Argument:
        if type(leaf) is TensorMeta:
            return reshaped(leaf, tuple(after if size == before else size for size in leaf.shape))
        return after if type(leaf) is int and leaf == before and in_numbers else leaf

    return CallVariant({name: each(value, change) for name, value in variant.arguments.items()}, variant.shares)


def scale_sizes(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """All sizes above 1 larger by the same number, and with them the integers that equal such a size."""
    sizes = {size for meta in metas_of(variant.arguments) for size in meta.shape if size > 1}
    if not sizes:
        return None
    more = draw.choice((1, 2, 3))

    def change(leaf: Argument) -> Argument:
        if type(leaf) is TensorMeta:
            return reshaped(leaf, tuple(size + more if size in sizes else size for size in leaf.shape))
        return leaf + more if type(leaf) is int and leaf in sizes else leaf

    return CallVariant({name: each(value, change) for name, value in variant.arguments.items()}, variant.shares)


def change_dim(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """Another number for one size of a tensor."""
    if not meta.shape:
        return None
    dim = draw.randrange(meta.rank)
    return reshaped(meta, (*meta.shape[:dim], draw.choice(SIZES), *meta.shape[dim + 1 :]))


def to_one(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """A size of 1 in one dimension, which broadcasts."""
    if not meta.shape:
        return None
    dim = draw.randrange(-meta.rank, 0) + meta.rank
    return reshaped(meta, (*meta.shape[:dim], 1, *meta.shape[dim + 1 :]))


def odd_one(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """A size of 1 with an unusual stride."""
    narrow = to_one(meta, draw)
    return None if narrow is None else in_layout(narrow, "odd strides of size 1", draw)


def change_layout(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """The same sizes in a memory layout drawn from LAYOUT_NAMES."""
    return in_layout(meta, draw.choice(LAYOUT_NAMES), draw)


def change_dtype(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """The same tensor with a dtype drawn from DTYPES, without the flags that the dtype cannot have."""
    dtype = draw.choice(DTYPES)
    differentiable = dtype.is_floating_point or dtype.is_complex
    return meta.replace(
        dtype=dtype,
        requires_grad=meta.requires_grad and differentiable,
        is_conj=meta.is_conj and dtype.is_complex,
        is_neg=meta.is_neg and differentiable,
    )


def exchange_dtype(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """Another dtype for every tensor of one dtype, and for that dtype among the arguments: equal dtypes stay equal."""
    metas = metas_of(variant.arguments)
    if not metas:
        return None
    before, after = draw.choice(metas).dtype, draw.choice(DTYPES)
    differentiable = after.is_floating_point or after.is_complex

    def change(leaf: Argument) -> Argument:
        if type(leaf) is TensorMeta and leaf.dtype is before:
            return leaf.replace(
                dtype=after,
                requires_grad=leaf.requires_grad and differentiable,
                is_conj=leaf.is_conj and after.is_complex,
                is_neg=leaf.is_neg and differentiable,
            )
        return after if leaf is before else leaf

    return CallVariant({name: each(value, change) for name, value in variant.arguments.items()}, variant.shares)


def to_scalar(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """A tensor without dimensions. None if it has none already."""
    return reshaped(meta, ()) if meta.shape else None


def drop_leading(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """The tensor without its first dimension. None if it has no dimension."""
    return reshaped(meta, meta.shape[1:]) if meta.shape else None


def add_leading(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """The tensor with a new first dimension of size 1 to 3. None from rank 6 on."""
    return reshaped(meta, (draw.choice((1, 2, 3)), *meta.shape)) if meta.rank < 6 else None


def drop_dim(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """The tensor without one of its dimensions, drawn. None if it has no dimension."""
    if not meta.shape:
        return None
    dim = draw.randrange(meta.rank)
    return reshaped(meta, (*meta.shape[:dim], *meta.shape[dim + 1 :]))


def add_dim(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """The tensor with a new dimension of size 1 to 3 at a place that is drawn. None from rank 6 on."""
    dim = draw.randrange(meta.rank + 1)
    return reshaped(meta, (*meta.shape[:dim], draw.choice((1, 2, 3)), *meta.shape[dim:])) if meta.rank < 6 else None


def flip_grad(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """The tensor with `requires_grad` negated. None for a dtype without gradients."""
    if not (meta.dtype.is_floating_point or meta.dtype.is_complex):
        return None
    return meta.replace(requires_grad=not meta.requires_grad)


def flip_bits(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """The conjugate bit of a complex tensor, or the negative bit."""
    if not facts.flags:
        return None

    def change(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
        if meta.dtype.is_complex:
            return meta.replace(is_conj=not meta.is_conj)
        return meta.replace(is_neg=not meta.is_neg) if meta.dtype.is_floating_point else None

    return on_metas(change)(variant, facts, draw)


def unshare(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """No shared memory; or, if none was shared, one tensor in all places that have equal metas."""
    unshared = tuple(range(len(variant.shares)))
    if variant.shares != unshared:
        return variant._replace(shares=unshared)
    metas = metas_of(variant.arguments)
    first = {meta: i for i, meta in reversed(list(enumerate(metas)))}
    shares = tuple(first[meta] for meta in metas)
    return variant._replace(shares=shares) if shares != unshared else None
