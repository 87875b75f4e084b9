"""Mutations of arguments that are not tensors: numbers, flags, lists, words; and exchange between calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from passes.infer.search.kinds import is_equation
from passes.infer.trials import equations
from passes.infer.trials.inputs import metas_of
from passes.infer.trials.strides import reshaped
from passes.infer.trials.variant import (
    DTYPES,
    ArgumentFacts,
    CallVariant,
    Draw,
    each,
    ints_in,
    with_argument,
    with_metas,
)
from passes.meta import TensorMeta
from passes.operators.outcome import Argument, ListArg, Wrapped

NUMBERS: Final = (True, False, 0, 1, 2, 3, -1, 0.5, 1.0, 2.5, 1j)


def change_number(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """Another number, maybe of another type, for one that stands in the place of a tensor or of any number."""

    def fits(value: Argument) -> bool:
        return type(value) in (Wrapped, float, complex)

    names = [name for name, value in variant.arguments.items() if fits(value)]
    if not names:
        return None
    name = draw.choice(names)
    number = draw.choice(NUMBERS)
    return with_argument(variant, name, Wrapped(number) if type(variant.arguments[name]) is Wrapped else number)


def flip_flag(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """A boolean argument, or one in a list of them (`output_mask`), negated. None if there is none."""
    names = [name for name, value in variant.arguments.items() if type(value) is bool or _are_flags(value)]
    if not names:
        return None
    name = draw.choice(names)
    value = variant.arguments[name]
    if type(value) is bool:
        return with_argument(variant, name, not value)
    flags = list(value)
    place = draw.randrange(len(flags))
    flags[place] = not flags[place]
    return with_argument(variant, name, ListArg(flags))


def _are_flags(value: Argument) -> bool:
    return type(value) is ListArg and bool(value) and all(type(part) is bool for part in value)


def give_none(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """None for an argument that may be left out. None as the result if there is no such argument."""
    names = [n for n, value in variant.arguments.items() if n in facts.optional and value is not None]
    return with_argument(variant, draw.choice(names), None) if names else None


def step_int(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """One integer, alone or in a list, a little larger or smaller."""
    return _one_int(variant, draw, lambda number: number + draw.choice((-1, 1, -2, 2)))


def edge_int(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """One of the integers where behaviour tends to change (0, 1, -1, 2, 3) in the place of another."""
    return _one_int(variant, draw, lambda number: draw.choice((0, 1, -1, 2, 3)))


def negate_int(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """A dimension counted from the other end."""
    ranks = [meta.rank for meta in metas_of(variant.arguments)] or [0]
    rank = draw.choice(ranks)
    return _one_int(variant, draw, lambda number: number - rank if number >= 0 else number + rank)


def multiply(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """One integer times a factor, and a size times the same or its square: groups, blocks and factors divide sizes."""
    metas = metas_of(variant.arguments)
    places = [(i, dim) for i, meta in enumerate(metas) for dim in range(meta.rank)]
    if not places:
        return None
    chosen, dim = draw.choice(places)
    factor, power = draw.choice((2, 3)), draw.choice((1, 2))
    shape = metas[chosen].shape
    larger = reshaped(metas[chosen], (*shape[:dim], shape[dim] * factor**power, *shape[dim + 1 :]))
    multiplied = _one_int(variant, draw, lambda number: number * factor)
    return None if multiplied is None else with_metas(multiplied, [*metas[:chosen], larger, *metas[chosen + 1 :]])


def _one_int(variant: CallVariant, draw: Draw, change: Callable[[int], int]) -> CallVariant | None:
    count = len(ints_in(variant))
    if count == 0:
        return None
    places = iter(range(count))
    chosen = draw.randrange(count)

    def at(leaf: Argument) -> Argument:
        return change(leaf) if type(leaf) is int and next(places) == chosen else leaf

    return CallVariant({name: each(value, at) for name, value in variant.arguments.items()}, variant.shares)


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


def change_list(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """A list shortened, emptied, permuted or lengthened; one of integers with a -1 somewhere."""
    names = [name for name, value in variant.arguments.items() if type(value) is ListArg]
    if not names:
        return None
    name = draw.choice(names)
    items = list(variant.arguments[name])
    whole = all(type(item) is int for item in items)
    changes = [_shorter, _without_one, _permuted, _longer, _reversed, *([_with_unknown] if whole else ())]
    return with_argument(variant, name, ListArg(draw.choice(changes)(items, draw)))


def cross(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """An argument of another call."""
    names = [name for name in variant.arguments if len(facts.values.get(name, ())) > 1]
    if not names:
        return None
    name = draw.choice(names)
    return with_argument(variant, name, draw.choice(facts.values[name]))


def cross_constant(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """As `cross`, for what holds no tensors: strings, dtypes, memory formats, numbers."""
    names = [
        name
        for name, value in variant.arguments.items()
        if not metas_of({name: value}) and len(facts.values.get(name, ())) > 1
    ]
    if not names:
        return None
    name = draw.choice(names)
    return with_argument(variant, name, draw.choice(facts.values[name]))


def change_output(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """The equation with another right side."""
    names = _equation_in(variant)
    changed = None if names is None else equations.with_another_output(str(variant.arguments[names[0]]), draw)
    return None if names is None or changed is None else with_argument(variant, names[0], changed)


def change_equation(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """Another equation, and tensors that fit it."""
    names = _equation_in(variant)
    if names is None:
        return None
    equation, operands = equations.with_other_tensors(metas_of(variant.arguments), draw)
    return with_argument(with_argument(variant, names[0], equation), names[1], ListArg(operands))


def _equation_in(variant: CallVariant) -> tuple[str, str] | None:
    """The names of the argument that is an equation, and of the list of tensors that it is about."""
    words = [name for name, value in variant.arguments.items() if is_equation(value)]
    lists = [
        name
        for name, value in variant.arguments.items()
        if type(value) is ListArg and value and all(type(part) is TensorMeta for part in value)
    ]
    return (words[0], lists[0]) if words and lists else None


def change_type(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """Another dtype for a dtype argument."""
    names = [
        name
        for name, values in facts.values.items()
        if name in variant.arguments and any(type(value) is torch.dtype for value in values)
    ]
    return with_argument(variant, draw.choice(names), draw.choice(DTYPES)) if names else None
