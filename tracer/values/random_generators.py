"""Generators of random numbers that the traced program makes and seeds, `random.Random(seed)`.

What they give is known: the trace draws from a real generator in the same state.
"""

from __future__ import annotations

import random

from tracer.values.base import MISSING
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, register
from tracer.values.objects import ObjectValue, build_instance, object_parts
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable, fragment, named_class


class RandomGenerator(ObjectValue):
    """A `random.Random`; `real` is the generator in its state, None until it is seeded. `birth` is the step."""

    __slots__ = ("birth", "real")

    def __init__(self, birth: int) -> None:
        super().__init__(random.Random)
        self.birth = birth
        self.real: random.Random | None = None


def _rebuild(emitter: Emitter, value: RandomGenerator) -> Fragment:
    if value.real is None:
        raise Unrebuildable("a generator of random numbers that was not seeded", value.birth)
    name = build_instance(emitter, value, fragment("{}(0)", named_class(emitter, random.Random)))
    emitter.say(fragment("{}.setstate({})", name, emitter.constant(state_of(value), "state")))
    return name


def state_of(value: RandomGenerator) -> Item:
    """The state of a seeded generator, with the number that `gauss` has left for its next call."""
    assert value.real is not None
    version, internal, _ = value.real.getstate()
    left = value.attributes.get("gauss_next", MISSING)
    return version, internal, None if left is MISSING else left


register(
    Kind(BORN, object_parts, no_constant, no_graph_argument, _rebuild),
    RandomGenerator,
)
