"""New inputs for an operator, made from recorded calls by mutation: inside and at the edge of what was seen.

Nothing here knows what an operator means. Mutations are rows of MUTATIONS; each takes a call apart and puts
it together with one thing changed, or declines. Layouts are made in strides.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch

from passes.infer import equations
from passes.infer.inputs import metas_of
from passes.infer.resolve import Parameter, UnknownOperator, parameters, resolve
from passes.infer.strides import LAYOUTS, in_layout, reshaped
from passes.infer.terms import is_equation
from passes.meta import TensorMeta
from passes.outcome import Argument, ListArg, SliceArg
from passes.record.calls import Call
from passes.record.values import Wrapped

Named = dict[str, Argument]
Draw = random.Random

SIZES: Final = (0, 1, 2, 3, 4, 5, 7, 8, 11, 13, 16)
DTYPES: Final = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
)
NUMBERS: Final = (True, False, 0, 1, 2, 3, -1, 0.5, 1.0, 2.5, 1j)
MOST_ELEMENTS: Final = 10_000  # of a tensor of a variant, if the call that it is made from has no larger one
MUTATIONS_AT_ONCE: Final = (1, 1, 1, 2, 2, 3)
PATIENCE: Final = 200  # mutations in a row that give nothing new before the variants are at their end


class Variant(NamedTuple):
    """Inputs to try: arguments by name, and for each tensor the first one that it shares memory with."""

    arguments: Mapping[str, Argument]
    shares: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the recorded calls have in common: all values of each argument, its type, and which may be None."""

    values: Mapping[str, Sequence[Argument]]
    optional: frozenset[str]
    types: Mapping[str, str]  # as schemas write them
    level: str
    flags: bool  # whether a tensor had its conjugate or negative bit set
    largest: int  # elements


Mutation = Callable[[Variant, Seen, Draw], Variant | None]


def variants(
    calls: Sequence[Call], generator: Draw, budget: int, mutations: Mapping[str, Mutation] | None = None
) -> Iterator[Variant]:
    """At most `budget` different variants of calls of one operator at one level; none that was recorded.

    By these mutations, or by MUTATIONS. Any beginning of them is of all kinds. Equal calls and an equal state of
    `generator` give equal variants.
    """
    if not calls:
        return
    seen = seen_in(calls)
    bases = [Variant(dict(call.arguments), call.shares) for call in calls]
    known = {identity(base) for base in bases}
    kinds = list((mutations_for(seen) if mutations is None else mutations).values())
    made = idle = 0
    while made < budget and idle < PATIENCE:
        generator.shuffle(kinds)
        for kind in kinds:
            variant = _mutated(generator.choice(bases), kind, kinds, seen, generator)
            key = None if variant is None else identity(variant)
            if variant is None or key in known or not is_small(variant, seen):
                idle += 1
                continue
            known.add(key)
            idle = 0
            made += 1
            yield variant
            if made == budget:
                return


def _mutated(base: Variant, kind: Mutation, kinds: Sequence[Mutation], seen: Seen, draw: Draw) -> Variant | None:
    """`base` changed by a mutation of this kind, and sometimes by others besides."""
    variant = kind(base, seen, draw)
    for _ in range(draw.choice(MUTATIONS_AT_ONCE) - 1):
        if variant is not None:
            variant = draw.choice(kinds)(variant, seen, draw) or variant
    return variant


def seen_in(calls: Sequence[Call]) -> Seen:
    values: dict[str, dict[Any, Argument]] = {}
    for call in calls:
        for name, value in call.arguments.items():
            values.setdefault(name, {}).setdefault(key_of(value), value)
    metas = [meta for call in calls for meta in metas_of(call.arguments)]
    first = calls[0]
    known = _parameters(first)
    return Seen(
        values={name: list(found.values()) for name, found in values.items()},
        optional=_optional(known) | {name for name, found in values.items() if key_of(None) in found},
        types={parameter.name: parameter.type for parameter in known},
        level=first.level,
        flags=first.level == "function" or any(meta.is_conj or meta.is_neg for meta in metas),
        largest=max((int(meta.element_count) for meta in metas), default=0),
    )


def _parameters(call: Call) -> Sequence[Parameter]:
    try:
        return parameters(resolve(call.op, call.level), tuple(call.arguments))
    except UnknownOperator:
        return ()


def _optional(known: Sequence[Parameter]) -> frozenset[str]:
    """Arguments that the schema lets be None."""
    return frozenset(parameter.name for parameter in known if parameter.is_optional)


def identity(variant: Variant) -> Any:
    """What tells variants apart."""
    return tuple((name, key_of(value)) for name, value in variant.arguments.items()), variant.shares


def key_of(value: Argument) -> Any:
    """A hashable form of an argument, in which 1, 1.0 and True differ."""
    if isinstance(value, tuple):
        return type(value), tuple(map(key_of, value))
    if type(value) is Wrapped:
        return Wrapped, type(value.number), repr(value.number)
    return type(value), repr(value) if type(value) in (float, complex) else value


def is_small(variant: Variant, seen: Seen) -> bool:
    most = max(MOST_ELEMENTS, seen.largest)
    return all(
        meta.stride is not None
        and max(meta.element_count, 1 + sum((n - 1) * s for n, s in zip(meta.shape, meta.stride, strict=True))) <= most
        for meta in metas_of(variant.arguments)
    )


# Taking calls apart.


def each(value: Argument, change: Callable[[Argument], Argument]) -> Argument:
    """`value` with `change` made to every part of it that is no container."""
    if isinstance(value, tuple):
        parts = [each(part, change) for part in value]
        return SliceArg(*parts) if type(value) is SliceArg else type(value)(parts)
    return change(value)


def with_metas(variant: Variant, metas: Sequence[TensorMeta]) -> Variant:
    """The same with other metas, one for each."""
    rest = iter(metas)

    def change(leaf: Argument) -> Argument:
        return next(rest) if type(leaf) is TensorMeta else leaf

    return Variant({name: each(value, change) for name, value in variant.arguments.items()}, variant.shares)


def with_argument(variant: Variant, name: str, value: Argument) -> Variant:
    """The same with another argument; memory is shared no more if that changes the number of tensors."""
    arguments = {**variant.arguments, name: value}
    count = len(metas_of(arguments))
    shares = variant.shares if count == len(variant.shares) else tuple(range(count))
    return Variant(arguments, shares)


def on_metas(change: Callable[[TensorMeta, Draw], TensorMeta | None], together: bool | None = None) -> Mutation:
    """A mutation of one tensor, or of all of them alike (`together`), or of either."""

    def mutate(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
        metas = metas_of(variant.arguments)
        if not metas:
            return None
        everyone = draw.random() < 0.5 if together is None else together
        if not everyone or len(metas) == 1:
            chosen = draw.randrange(len(metas))
            changed = change(metas[chosen], draw)
            return None if changed is None else with_metas(variant, [*metas[:chosen], changed, *metas[chosen + 1 :]])
        seed = draw.random()
        return with_metas(variant, [change(meta, random.Random(seed)) or meta for meta in metas])

    return mutate


def ints_in(variant: Variant) -> list[int]:
    found: list[int] = []

    def look(leaf: Argument) -> Argument:
        if type(leaf) is int:
            found.append(leaf)
        return leaf

    for value in variant.arguments.values():
        each(value, look)
    return found


# The mutations.


def rename_size(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """One size by another wherever it occurs, in shapes and among the integers of more than one."""
    sizes = [size for meta in metas_of(variant.arguments) for size in meta.shape]
    if not sizes:
        return None
    before, after = draw.choice(sizes), draw.choice(SIZES)
    in_numbers = before > 1 or draw.random() < 0.2

    def change(leaf: Argument) -> Argument:
        if type(leaf) is TensorMeta:
            return reshaped(leaf, tuple(after if size == before else size for size in leaf.shape))
        return after if type(leaf) is int and leaf == before and in_numbers else leaf

    return Variant({name: each(value, change) for name, value in variant.arguments.items()}, variant.shares)


def scale_sizes(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """All sizes but 0 and 1 larger by the same, and with them the integers that are such sizes."""
    sizes = {size for meta in metas_of(variant.arguments) for size in meta.shape if size > 1}
    if not sizes:
        return None
    more = draw.choice((1, 2, 3))

    def change(leaf: Argument) -> Argument:
        if type(leaf) is TensorMeta:
            return reshaped(leaf, tuple(size + more if size in sizes else size for size in leaf.shape))
        return leaf + more if type(leaf) is int and leaf in sizes else leaf

    return Variant({name: each(value, change) for name, value in variant.arguments.items()}, variant.shares)


def change_dim(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """One size of a tensor."""
    if not meta.shape:
        return None
    dim = draw.randrange(meta.rank)
    return reshaped(meta, (*meta.shape[:dim], draw.choice(SIZES), *meta.shape[dim + 1 :]))


def to_one(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """A size of 1, to be broadcast."""
    if not meta.shape:
        return None
    dim = draw.randrange(-meta.rank, 0) + meta.rank
    return reshaped(meta, (*meta.shape[:dim], 1, *meta.shape[dim + 1 :]))


def odd_one(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    """A size of 1 whose stride is not what it would be by itself."""
    made = to_one(meta, draw)
    return None if made is None else in_layout(made, "odd strides of size 1", draw)


def change_layout(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    return in_layout(meta, draw.choice(LAYOUT_NAMES), draw)


LAYOUT_NAMES: Final = tuple(LAYOUTS)


def change_dtype(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    dtype = draw.choice(DTYPES)
    differentiable = dtype.is_floating_point or dtype.is_complex
    return meta.replace(
        dtype=dtype,
        requires_grad=meta.requires_grad and differentiable,
        is_conj=meta.is_conj and dtype.is_complex,
        is_neg=meta.is_neg and differentiable,
    )


def exchange_dtype(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """Every tensor of one dtype, and the dtype itself among the arguments, by another: signatures stay whole."""
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

    return Variant({name: each(value, change) for name, value in variant.arguments.items()}, variant.shares)


def to_scalar(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    return reshaped(meta, ()) if meta.shape else None


def drop_leading(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    return reshaped(meta, meta.shape[1:]) if meta.shape else None


def add_leading(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    return reshaped(meta, (draw.choice((1, 2, 3)), *meta.shape)) if meta.rank < 6 else None


def drop_dim(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    if not meta.shape:
        return None
    dim = draw.randrange(meta.rank)
    return reshaped(meta, (*meta.shape[:dim], *meta.shape[dim + 1 :]))


def add_dim(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    dim = draw.randrange(meta.rank + 1)
    return reshaped(meta, (*meta.shape[:dim], draw.choice((1, 2, 3)), *meta.shape[dim:])) if meta.rank < 6 else None


def flip_grad(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
    if not (meta.dtype.is_floating_point or meta.dtype.is_complex):
        return None
    return meta.replace(requires_grad=not meta.requires_grad)


def flip_bits(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """The conjugate bit of a complex tensor, or the negative bit."""
    if not seen.flags:
        return None

    def change(meta: TensorMeta, draw: Draw) -> TensorMeta | None:
        if meta.dtype.is_complex:
            return meta.replace(is_conj=not meta.is_conj)
        return meta.replace(is_neg=not meta.is_neg) if meta.dtype.is_floating_point else None

    return on_metas(change)(variant, seen, draw)


def change_number(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """A number in the place of a tensor, or where any number may be, by one of another type."""

    def fits(value: Argument) -> bool:
        return type(value) in (Wrapped, float, complex)

    names = [name for name, value in variant.arguments.items() if fits(value)]
    if not names:
        return None
    name = draw.choice(names)
    number = draw.choice(NUMBERS)
    return with_argument(variant, name, Wrapped(number) if type(variant.arguments[name]) is Wrapped else number)


def flip_flag(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    names = [name for name, value in variant.arguments.items() if type(value) is bool]
    if not names:
        return None
    name = draw.choice(names)
    return with_argument(variant, name, not variant.arguments[name])


def give_none(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    names = [n for n, value in variant.arguments.items() if n in seen.optional and value is not None]
    return with_argument(variant, draw.choice(names), None) if names else None


def step_int(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """One integer, alone or in a list, a little larger or smaller."""
    return _one_int(variant, draw, lambda number: number + draw.choice((-1, 1, -2, 2)))


def edge_int(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    return _one_int(variant, draw, lambda number: draw.choice((0, 1, -1, 2, 3)))


def negate_int(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """A dimension counted from the other end."""
    ranks = [meta.rank for meta in metas_of(variant.arguments)] or [0]
    rank = draw.choice(ranks)
    return _one_int(variant, draw, lambda number: number - rank if number >= 0 else number + rank)


def multiply(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """One integer, and with it a size by as much or by the square: groups, blocks and factors divide sizes."""
    metas = metas_of(variant.arguments)
    places = [(i, dim) for i, meta in enumerate(metas) for dim in range(meta.rank)]
    if not places:
        return None
    chosen, dim = draw.choice(places)
    factor, power = draw.choice((2, 3)), draw.choice((1, 2))
    shape = metas[chosen].shape
    larger = reshaped(metas[chosen], (*shape[:dim], shape[dim] * factor**power, *shape[dim + 1 :]))
    made = _one_int(variant, draw, lambda number: number * factor)
    return None if made is None else with_metas(made, [*metas[:chosen], larger, *metas[chosen + 1 :]])


def _one_int(variant: Variant, draw: Draw, change: Callable[[int], int]) -> Variant | None:
    count = len(ints_in(variant))
    if count == 0:
        return None
    places = iter(range(count))
    chosen = draw.randrange(count)

    def at(leaf: Argument) -> Argument:
        return change(leaf) if type(leaf) is int and next(places) == chosen else leaf

    return Variant({name: each(value, at) for name, value in variant.arguments.items()}, variant.shares)


def _shorter(items: list[Any], draw: Draw) -> list[Any]:
    return items[: draw.randrange(len(items))] if items else items


def _without_one(items: list[Any], draw: Draw) -> list[Any]:
    return [item for i, item in enumerate(items) if i != draw.randrange(len(items))]


def _permuted(items: list[Any], draw: Draw) -> list[Any]:
    return draw.sample(items, len(items))


def _longer(items: list[Any], draw: Draw) -> list[Any]:
    return [*items, draw.choice(items) if items else draw.choice((0, 1, -1))]


def _with_unknown(items: list[Any], draw: Draw) -> list[Any]:
    at = draw.randrange(len(items)) if items else 0
    return [*items[:at], -1, *items[at + 1 :]]


def _reversed(items: list[Any], draw: Draw) -> list[Any]:
    return items[::-1]


def change_list(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """A list shortened, emptied, permuted or lengthened; one of integers with a -1 somewhere."""
    names = [name for name, value in variant.arguments.items() if type(value) is ListArg]
    if not names:
        return None
    name = draw.choice(names)
    items = list(variant.arguments[name])
    whole = all(type(item) is int for item in items)
    changes = [_shorter, _without_one, _permuted, _longer, _reversed, *([_with_unknown] if whole else ())]
    return with_argument(variant, name, ListArg(draw.choice(changes)(items, draw)))


def cross(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """An argument of another call."""
    names = [name for name in variant.arguments if len(seen.values.get(name, ())) > 1]
    if not names:
        return None
    name = draw.choice(names)
    return with_argument(variant, name, draw.choice(seen.values[name]))


def cross_constant(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """As `cross`, for what holds no tensors: strings, dtypes, memory formats, numbers."""
    names = [
        name
        for name, value in variant.arguments.items()
        if not metas_of({name: value}) and len(seen.values.get(name, ())) > 1
    ]
    if not names:
        return None
    name = draw.choice(names)
    return with_argument(variant, name, draw.choice(seen.values[name]))


def change_output(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """An equation with another right side."""
    found = _equation_in(variant)
    changed = None if found is None else equations.with_another_output(str(variant.arguments[found[0]]), draw)
    return None if found is None or changed is None else with_argument(variant, found[0], changed)


def change_equation(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """Another equation, and other tensors in the list that it is for."""
    found = _equation_in(variant)
    if found is None:
        return None
    equation, operands = equations.with_other_tensors(metas_of(variant.arguments), draw)
    return with_argument(with_argument(variant, found[0], equation), found[1], ListArg(operands))


def _equation_in(variant: Variant) -> tuple[str, str] | None:
    """The names of an equation among the arguments, and of the list of tensors that it is for."""
    words = [name for name, value in variant.arguments.items() if is_equation(value)]
    lists = [
        name
        for name, value in variant.arguments.items()
        if type(value) is ListArg and value and all(type(part) is TensorMeta for part in value)
    ]
    return (words[0], lists[0]) if words and lists else None


def change_type(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """A dtype among the arguments, by any other."""
    names = [
        name
        for name, found in seen.values.items()
        if name in variant.arguments and any(type(value) is torch.dtype for value in found)
    ]
    return with_argument(variant, draw.choice(names), draw.choice(DTYPES)) if names else None


def unshare(variant: Variant, seen: Seen, draw: Draw) -> Variant | None:
    """Memory of its own for every tensor; or the same tensor twice, where two have equal metas."""
    own = tuple(range(len(variant.shares)))
    if variant.shares != own:
        return variant._replace(shares=own)
    metas = metas_of(variant.arguments)
    first = {meta: i for i, meta in reversed(list(enumerate(metas)))}
    shares = tuple(first[meta] for meta in metas)
    return variant._replace(shares=shares) if shares != own else None


def with_grad(mutation: Mutation) -> Mutation:
    """Only where it is recorded whether a result requires gradients."""
    return lambda variant, seen, draw: mutation(variant, seen, draw) if seen.level == "function" else None


MUTATIONS: Final[dict[str, Mutation]] = {
    "size renamed": rename_size,
    "size renamed again": rename_size,
    "sizes scaled": scale_sizes,
    "one size": on_metas(change_dim, together=False),
    "size one": on_metas(to_one),
    "size one of odd stride": on_metas(odd_one),
    "layout": on_metas(change_layout, together=False),
    "layout of all": on_metas(change_layout, together=True),
    "layouts": lambda variant, seen, draw: with_metas(
        variant, [change_layout(meta, draw) or meta for meta in metas_of(variant.arguments)]
    ),
    "dtype": on_metas(change_dtype, together=False),
    "dtype of all": on_metas(change_dtype, together=True),
    "dtype exchanged": exchange_dtype,
    "0-dim": on_metas(to_scalar),
    "leading dimension dropped": on_metas(drop_leading),
    "leading dimension added": on_metas(add_leading),
    "dimension dropped": on_metas(drop_dim),
    "dimension added": on_metas(add_dim),
    "gradient": with_grad(on_metas(flip_grad)),
    "bits": flip_bits,
    "number": change_number,
    "flag": flip_flag,
    "none": give_none,
    "integer stepped": step_int,
    "integer at an edge": edge_int,
    "integer multiplied with a size": multiply,
    "dimension from the end": negate_int,
    "list": change_list,
    "argument of another call": cross,
    "constant of another call": cross_constant,
    "dtype argument": change_type,
    "memory": unshare,
}

EQUATIONS: Final[dict[str, Mutation]] = {
    "output of an equation": change_output,
    "equation": change_equation,
    "equation again": change_equation,
    "equation once more": change_equation,
}


def mutations_for(seen: Seen) -> Mapping[str, Mutation]:
    """All kinds of mutations that calls like these allow."""
    if any(is_equation(value) for values in seen.values.values() for value in values):
        return {**MUTATIONS, **EQUATIONS}
    return MUTATIONS
