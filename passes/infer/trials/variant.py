"""Variants: inputs for a trial, and how they are taken apart and put together with one thing changed.

Which changes there are is listed in variants.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch

from passes.infer.trials.inputs import metas_of
from passes.meta import TensorMeta
from passes.operators.outcome import Argument, SliceArg, Wrapped
from passes.operators.resolve import Parameter, UnknownOperator, parameters, resolve
from passes.record.calls import Call

Named = dict[str, Argument]
Draw = random.Random
DTYPES: Final = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
)
MOST_ELEMENTS: Final = 10_000  # of a tensor of a variant, unless a recorded one is larger


class CallVariant(NamedTuple):
    """Inputs for a trial: arguments by name, and for each tensor the first one that it shares memory with."""

    arguments: Mapping[str, Argument]
    shares: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArgumentFacts:
    """Facts about the arguments of recorded calls: all values of each, its type, and which may be None."""

    values: Mapping[str, Sequence[Argument]]
    optional: frozenset[str]
    types: Mapping[str, str]  # as schemas write them
    level: str
    flags: bool  # whether a tensor had its conjugate or negative bit set
    largest: int  # elements


Mutation = Callable[[CallVariant, ArgumentFacts, Draw], CallVariant | None]


def argument_facts(calls: Sequence[Call]) -> ArgumentFacts:
    """The facts about calls of one operator at one level; there must be a call."""
    values: dict[str, dict[Any, Argument]] = {}
    for call in calls:
        for name, value in call.arguments.items():
            values.setdefault(name, {}).setdefault(key_of(value), value)
    metas = [meta for call in calls for meta in metas_of(call.arguments)]
    first = calls[0]
    declared = _parameters(first)
    return ArgumentFacts(
        values={name: list(by_key.values()) for name, by_key in values.items()},
        optional=_optional(declared) | {name for name, by_key in values.items() if key_of(None) in by_key},
        types={parameter.name: parameter.type for parameter in declared},
        level=first.level,
        flags=first.level == "function" or any(meta.is_conj or meta.is_neg for meta in metas),
        largest=max((int(meta.element_count) for meta in metas), default=0),
    )


def _parameters(call: Call) -> Sequence[Parameter]:
    try:
        return parameters(resolve(call.op, call.level), tuple(call.arguments))
    except UnknownOperator:
        return ()


def _optional(declared: Sequence[Parameter]) -> frozenset[str]:
    """Arguments that the schema lets be None."""
    return frozenset(parameter.name for parameter in declared if parameter.is_optional)


def identity(variant: CallVariant) -> Any:
    """A hashable key: equal for equal inputs."""
    return tuple((name, key_of(value)) for name, value in variant.arguments.items()), variant.shares


def key_of(value: Argument) -> Any:
    """A hashable form of an argument, in which 1, 1.0 and True differ."""
    if isinstance(value, tuple):
        return type(value), tuple(map(key_of, value))
    if type(value) is Wrapped:
        return Wrapped, type(value.number), repr(value.number)
    return type(value), repr(value) if type(value) in (float, complex) else value


def is_small(variant: CallVariant, facts: ArgumentFacts) -> bool:
    """Whether no tensor has more elements, or takes more memory, than MOST_ELEMENTS or the largest recorded one."""
    most = max(MOST_ELEMENTS, facts.largest)
    return all(
        meta.stride is not None
        and max(meta.element_count, 1 + sum((n - 1) * s for n, s in zip(meta.shape, meta.stride, strict=True))) <= most
        for meta in metas_of(variant.arguments)
    )


def each(value: Argument, change: Callable[[Argument], Argument]) -> Argument:
    """`value` with every part that is not a container replaced by `change(part)`."""
    if isinstance(value, tuple):
        parts = [each(part, change) for part in value]
        return SliceArg(*parts) if type(value) is SliceArg else type(value)(parts)
    return change(value)


def with_metas(variant: CallVariant, metas: Sequence[TensorMeta]) -> CallVariant:
    """The same inputs with other metas, one for each tensor."""
    rest = iter(metas)

    def change(leaf: Argument) -> Argument:
        return next(rest) if type(leaf) is TensorMeta else leaf

    return CallVariant({name: each(value, change) for name, value in variant.arguments.items()}, variant.shares)


def with_argument(variant: CallVariant, name: str, value: Argument) -> CallVariant:
    """The same inputs with another argument. If that changes the number of tensors, they share no memory."""
    arguments = {**variant.arguments, name: value}
    count = len(metas_of(arguments))
    shares = variant.shares if count == len(variant.shares) else tuple(range(count))
    return CallVariant(arguments, shares)


def on_metas(change: Callable[[TensorMeta, Draw], TensorMeta | None], together: bool | None = None) -> Mutation:
    """A mutation of one tensor, or of all of them alike (`together`), or of either."""

    def mutate(variant: CallVariant, facts: ArgumentFacts, draw: Draw) -> CallVariant | None:
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


def ints_in(variant: CallVariant) -> list[int]:
    """All integers among the arguments, those in lists too."""
    integers: list[int] = []

    def look(leaf: Argument) -> Argument:
        if type(leaf) is int:
            integers.append(leaf)
        return leaf

    for value in variant.arguments.values():
        each(value, look)
    return integers


def with_grad(mutation: Mutation) -> Mutation:
    """The mutation at the level of functions only, where it is recorded whether results require gradients."""
    return lambda variant, facts, draw: mutation(variant, facts, draw) if facts.level == "function" else None
