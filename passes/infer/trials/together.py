"""Tensors of one call beside each other: broadcast, empty, of other types, one tensor twice, in one memory.

Each relation changes the tensors of a call, or declines; what an operator makes of them is not known here.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from passes.infer.trials.from_domain import inputs_from, is_list
from passes.infer.trials.inputs import metas_of
from passes.infer.trials.strides import in_layout, reshaped
from passes.infer.trials.variant import CallVariant, Draw, identity, with_argument, with_metas
from passes.meta import DTYPE_BY_NAME, DTYPE_NAMES, TensorMeta
from passes.operators.outcome import leaves
from passes.rules.rule import Domain, Rule

ROUNDS: Final = 3  # relations that each input with tensors in some layouts is asked in
Metas = list[TensorMeta]


@dataclass(frozen=True, slots=True)
class Related:
    """Tensors after a relation: their metas, and for each the first tensor that it shares memory with."""

    metas: Metas
    shares: tuple[int, ...]


# Takes the tensors of a call, the dtypes that the domain has for each, and a draw.
Relation = Callable[[Sequence[TensorMeta], Sequence[Sequence[str]], Draw], Related | None]


def together(rule: Rule, seed: object, layouts: Sequence[str], choices: int) -> Iterator[CallVariant]:
    """Inputs in the domain of `rule`, whose tensors lie in `layouts` and stand in the relations of RELATIONS.

    None for a rule that takes fewer than two tensors. What is left open is drawn from `seed`.
    """
    draw = random.Random(f"{seed} together {rule.level} {rule.op} {rule.parameters}")
    relations = itertools.cycle(RELATIONS.values())
    seen: set[object] = set()
    for base in inputs_from(rule, f"{seed} together", layouts, every_dtype=False, choices=choices):
        for _ in range(ROUNDS):
            variant = _with_optional(base, rule.domain, draw)
            metas = metas_of(variant.arguments)
            related = next(relations)(metas, _dtypes(variant, rule.domain), draw) if len(metas) > 1 else None
            if related is None:
                continue
            changed = with_metas(variant, related.metas)._replace(shares=related.shares)
            if identity(changed) not in seen:
                seen.add(identity(changed))
                yield changed


def _with_optional(variant: CallVariant, domain: Domain, draw: Draw) -> CallVariant:
    """The inputs, mostly with tensors for some of the parameters that may be None: like the first, or one a channel."""
    first = metas_of(variant.arguments)[0]
    for name, value in variant.arguments.items():
        if value is not None or not domain.ranks.get(name) or draw.random() < 0.5:
            continue
        shapes = [first.shape, first.shape[1:2], first.shape[:1], first.shape[-1:], ()]
        able = [shape for shape in shapes if len(shape) in domain.ranks[name]]
        dtypes = domain.dtypes.get(name, ())
        if not able or not dtypes or is_list(domain, name):
            continue
        same = DTYPE_NAMES[first.dtype] in dtypes
        dtype = first.dtype if same else DTYPE_BY_NAME[draw.choice(dtypes)]
        variant = with_argument(variant, name, reshaped(first, draw.choice(able)).replace(dtype=dtype))
    return variant


def _dtypes(variant: CallVariant, domain: Domain) -> list[Sequence[str]]:
    """For each tensor of a call the dtypes that the domain has of its parameter."""
    return [
        domain.dtypes.get(name, ())
        for name, value in variant.arguments.items()
        for leaf in leaves((value,))
        if isinstance(leaf, TensorMeta)
    ]


def _apart(metas: Sequence[TensorMeta]) -> Related:
    """Tensors with memories of their own."""
    return Related(list(metas), tuple(range(len(metas))))


def _sized(metas: Sequence[TensorMeta], dim: int, size: int) -> Metas:
    """Every tensor with this size in one dimension, which is counted from the last."""
    return [
        reshaped(meta, (*meta.shape[: meta.rank - 1 - dim], size, *meta.shape[meta.rank - dim :]))
        if dim < meta.rank
        else meta
        for meta in metas
    ]


def broadcast(metas: Sequence[TensorMeta], dtypes: Sequence[Sequence[str]], draw: Draw) -> Related | None:
    """Sizes of 1 in some dimensions of all tensors but one."""
    full = draw.randrange(len(metas))

    def narrow(meta: TensorMeta) -> TensorMeta:
        return reshaped(meta, tuple(1 if draw.random() < 0.5 else size for size in meta.shape))

    return _apart([meta if number == full else narrow(meta) for number, meta in enumerate(metas)])


def each_other(metas: Sequence[TensorMeta], dtypes: Sequence[Sequence[str]], draw: Draw) -> Related | None:
    """Each dimension of 1 in one of the tensors, so that none has the shape of the result."""
    rank = max(meta.rank for meta in metas)
    narrow = [draw.randrange(len(metas)) for _ in range(rank)]
    changed = [
        reshaped(meta, tuple(1 if narrow[dim - meta.rank] == number else size for dim, size in enumerate(meta.shape)))
        for number, meta in enumerate(metas)
    ]
    return _apart(changed) if rank else None


def shorter(metas: Sequence[TensorMeta], dtypes: Sequence[Sequence[str]], draw: Draw) -> Related | None:
    """One tensor without some of its leading dimensions, down to none."""
    number = draw.randrange(len(metas))
    meta = metas[number]
    if not meta.rank:
        return None
    less = reshaped(meta, meta.shape[draw.randint(1, meta.rank) :])
    return _apart([*metas[:number], less, *metas[number + 1 :]])


def without_dimensions(metas: Sequence[TensorMeta], dtypes: Sequence[Sequence[str]], draw: Draw) -> Related | None:
    """One tensor without dimensions, of any dtype of its parameter."""
    number = draw.randrange(len(metas))
    one = _of_dtype(reshaped(metas[number], ()), dtypes[number], draw)
    return _apart([*metas[:number], one, *metas[number + 1 :]])


def size_one(metas: Sequence[TensorMeta], dtypes: Sequence[Sequence[str]], draw: Draw) -> Related | None:
    """One dimension of 1 in all tensors, with unusual strides there in some."""
    rank = max(meta.rank for meta in metas)
    if not rank:
        return None
    narrow = _sized(metas, draw.randrange(rank), 1)
    odd = "odd strides of size 1"
    return _apart([(draw.random() < 0.5 and in_layout(meta, odd, draw)) or meta for meta in narrow])


def empty(metas: Sequence[TensorMeta], dtypes: Sequence[Sequence[str]], draw: Draw) -> Related | None:
    """One dimension of 0 in all tensors."""
    rank = max(meta.rank for meta in metas)
    return _apart(_sized(metas, draw.randrange(rank), 0)) if rank else None


def other_types(metas: Sequence[TensorMeta], dtypes: Sequence[Sequence[str]], draw: Draw) -> Related | None:
    """A dtype drawn for each tensor, of those of its parameter."""
    return _apart([_of_dtype(meta, names, draw) for meta, names in zip(metas, dtypes, strict=True)])


def _of_dtype(meta: TensorMeta, names: Sequence[str], draw: Draw) -> TensorMeta:
    return meta.replace(dtype=DTYPE_BY_NAME[draw.choice(names)]) if names else meta


def twice(metas: Sequence[TensorMeta], dtypes: Sequence[Sequence[str]], draw: Draw) -> Related | None:
    """One tensor in two places."""
    first, second = sorted(draw.sample(range(len(metas)), 2))
    return _sharing(metas, first, second, metas[first])


def transposed(metas: Sequence[TensorMeta], dtypes: Sequence[Sequence[str]], draw: Draw) -> Related | None:
    """A tensor and the same memory with the last two dimensions swapped."""
    first, second = sorted(draw.sample(range(len(metas)), 2))
    meta = metas[first]
    if meta.rank < 2 or meta.stride is None:
        return None
    shape, stride = list(meta.shape), list(meta.stride)
    shape[-2:], stride[-2:] = shape[:-3:-1], stride[:-3:-1]
    return _sharing(metas, first, second, meta.replace(shape=tuple(shape), stride=tuple(stride)))


def overlapping(metas: Sequence[TensorMeta], dtypes: Sequence[Sequence[str]], draw: Draw) -> Related | None:
    """Two tensors in one memory, the second an element further on."""
    first, second = sorted(draw.sample(range(len(metas)), 2))
    meta = metas[first]
    return _sharing(metas, first, second, meta.replace(storage_offset=meta.storage_offset + 1))


def _sharing(metas: Sequence[TensorMeta], first: int, second: int, other: TensorMeta) -> Related:
    changed, shares = list(metas), list(range(len(metas)))
    changed[second], shares[second] = other, first
    return Related(changed, tuple(shares))


RELATIONS: Final[dict[str, Relation]] = {
    "broadcast": broadcast,
    "each broadcast to the other": each_other,
    "fewer dimensions": shorter,
    "no dimensions": without_dimensions,
    "sizes of 1": size_one,
    "empty": empty,
    "other types": other_types,
    "the same tensor": twice,
    "transposed in one memory": transposed,
    "overlapping": overlapping,
}
