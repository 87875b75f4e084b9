"""New inputs for an operator, made by mutation from recorded calls: in and around what was recorded.

Nothing here knows what an operator means. Mutations are rows of MUTATIONS: each changes one thing about a call, or
declines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from passes.infer.search.kinds import is_equation
from passes.infer.trials.inputs import metas_of
from passes.infer.trials.mutate_numbers import (
    change_equation,
    change_list,
    change_number,
    change_output,
    change_type,
    cross,
    cross_constant,
    edge_int,
    flip_flag,
    give_none,
    multiply,
    negate_int,
    step_int,
)
from passes.infer.trials.mutate_tensors import (
    add_dim,
    add_leading,
    change_dim,
    change_dtype,
    change_layout,
    drop_dim,
    drop_leading,
    exchange_dtype,
    flip_bits,
    flip_grad,
    odd_one,
    rename_size,
    scale_sizes,
    to_one,
    to_scalar,
    unshare,
)
from passes.infer.trials.variant import (
    ArgumentFacts,
    CallVariant,
    Draw,
    Mutation,
    argument_facts,
    identity,
    is_small,
    on_metas,
    with_grad,
    with_metas,
)
from passes.record.calls import Call

MUTATIONS_AT_ONCE: Final = (1, 1, 1, 2, 2, 3)
PATIENCE: Final = 200  # mutations in a row without a new variant, after which there are no more


MUTATIONS: Final[dict[str, Mutation]] = {
    "size renamed": rename_size,
    "size renamed again": rename_size,
    "sizes scaled": scale_sizes,
    "one size": on_metas(change_dim, together=False),
    "size one": on_metas(to_one),
    "size one of odd stride": on_metas(odd_one),
    "layout": on_metas(change_layout, together=False),
    "layout of all": on_metas(change_layout, together=True),
    "layouts": lambda variant, facts, draw: with_metas(
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


def variants(
    calls: Sequence[Call], generator: Draw, budget: int, mutations: Mapping[str, Mutation] | None = None
) -> Iterator[CallVariant]:
    """At most `budget` different variants of calls of one operator at one level; none of them was recorded.

    They are made by `mutations`, by default those of MUTATIONS, in turns: the first few are of all kinds already. Equal
    calls and an equal state of `generator` give equal variants.
    """
    if not calls:
        return
    facts = argument_facts(calls)
    bases = [CallVariant(dict(call.arguments), call.shares) for call in calls]
    identities = {identity(base) for base in bases}
    kinds = list((mutations_for(facts) if mutations is None else mutations).values())
    count = idle = 0
    while count < budget and idle < PATIENCE:
        generator.shuffle(kinds)
        for kind in kinds:
            variant = _mutated(generator.choice(bases), kind, kinds, facts, generator)
            key = None if variant is None else identity(variant)
            if variant is None or key in identities or not is_small(variant, facts):
                idle += 1
                continue
            identities.add(key)
            idle = 0
            count += 1
            yield variant
            if count == budget:
                return


def _mutated(
    base: CallVariant, kind: Mutation, kinds: Sequence[Mutation], facts: ArgumentFacts, draw: Draw
) -> CallVariant | None:
    """`base` changed by this mutation, and sometimes by others too."""
    variant = kind(base, facts, draw)
    for _ in range(draw.choice(MUTATIONS_AT_ONCE) - 1):
        if variant is not None:
            variant = draw.choice(kinds)(variant, facts, draw) or variant
    return variant


def mutations_for(facts: ArgumentFacts) -> Mapping[str, Mutation]:
    """The mutations for such calls: those of equations too, if there is an equation among the arguments."""
    if any(is_equation(value) for values in facts.values.values() for value in values):
        return {**MUTATIONS, **EQUATIONS}
    return MUTATIONS
