"""Mutations out of distribution: another rank, a number for a tensor, a number of another type.

Their trials show how far a rule holds beyond the recorded calls. Knows nothing of rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from passes.infer.trials.inputs import metas_of
from passes.infer.trials.mutate_numbers import NUMBERS
from passes.infer.trials.strides import reshaped
from passes.infer.trials.variant import ArgumentFacts, CallVariant, Draw, Mutation, with_argument
from passes.infer.trials.variants import MUTATIONS
from passes.meta import TensorMeta
from passes.operators.outcome import Argument, ListArg, Wrapped

HIGHEST: Final = 6  # rank
TAKES_NUMBERS: Final = ("number", "float")  # types of schemas


def lift(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """A further leading dimension for every tensor, and an entry for every list with one integer per dimension."""
    metas = metas_of(variant.arguments)
    ranks = {meta.rank for meta in metas if meta.rank}
    if not ranks or max(ranks) >= HIGHEST:
        return None
    size, number = draw.choice((1, 2, 3)), draw.choice((0, 1, 2))

    def change(value: Argument) -> Argument:
        if type(value) is TensorMeta:
            return reshaped(value, (size, *value.shape)) if value.rank else value
        if type(value) is ListArg and len(value) in ranks and all(type(part) is int for part in value):
            return ListArg((number, *value))
        return type(value)(map(change, value)) if type(value) is ListArg else value

    return CallVariant({name: change(value) for name, value in variant.arguments.items()}, variant.shares)


def number_for_tensor(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """A number in the place of a tensor, or a 0-dim tensor in that of such a number; not for the first argument."""
    names = [name for name, type_ in list(facts.types.items())[1:] if type_ == "Tensor" and name in variant.arguments]
    if not names:
        return None
    name = draw.choice(names)
    if type(variant.arguments[name]) is TensorMeta:
        return with_argument(variant, name, Wrapped(draw.choice(NUMBERS)))
    like = next(iter(metas_of(variant.arguments)), None)
    return None if like is None else with_argument(variant, name, reshaped(like, ()))


def another_number(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """A number of any type where the schema takes numbers."""
    names = [name for name, type_ in facts.types.items() if type_ in TAKES_NUMBERS and name in variant.arguments]
    return with_argument(variant, draw.choice(names), draw.choice(NUMBERS)) if names else None


def longer_list(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
    """A list of tensors with one more, which is like the last."""
    names = [
        name
        for name, value in variant.arguments.items()
        if type(value) is ListArg and value and all(type(part) is TensorMeta for part in value)
    ]
    if not names:
        return None
    name = draw.choice(names)
    value = variant.arguments[name]
    return with_argument(variant, name, ListArg((*value, value[-1])))


EDGES: Final[Mapping[str, Mutation]] = {
    "lifted": lift,
    "lifted again": lift,
    "number for tensor": number_for_tensor,
    "another number": another_number,
    "one tensor more": longer_list,
    **{
        name: MUTATIONS[name]
        for name in (
            "leading dimension added",
            "leading dimension dropped",
            "dimension added",
            "0-dim",
            "dtype",
            "dtype of all",
            "dtype exchanged",
            "none",
            "bits",
            "constant of another call",
            "layout of all",
        )
    },
}
