"""random: what a generator from outside gives, each run draws from it for itself, in the order of the program."""

from __future__ import annotations

import _random
import random
from collections.abc import Sequence
from typing import Any

from tracer.interpret.draws import drawn
from tracer.interpret.policy import interpret, lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import PYTHON_RANDOM
from tracer.values.item import Item
from tracer.values.number_symbols import FloatSymbol, IntSymbol
from tracer.values.objects import ObjectValue

interpret(random.Random.uniform)


@lookaside(_random.Random.random)
def _random_float(trace: Trace, generator: Item) -> Item:
    return _from_generator(trace, generator, _random.Random.random, (), FloatSymbol)


@lookaside(random.Random.randint)
def _random_int(trace: Trace, generator: Item, low: Item, high: Item, /) -> Item:
    """A number from `low` to `high`, if these are ints between which there is one."""
    if not (type(low) is int and type(high) is int and low <= high):
        trace.stop(PYTHON_RANDOM, "random.randint with these arguments")
    return _from_generator(trace, generator, random.Random.randint, (low, high), IntSymbol)


@lookaside(random.Random.randrange)
def _random_of_range(trace: Trace, generator: Item, start: Item, stop: Item = None, step: Item = 1) -> Item:
    """A number of `range(start, stop, step)`, if these are ints and it has any."""
    bounds = (start,) if stop is None else (start, stop, step)
    if not all(type(bound) is int for bound in bounds) or not bounds[-1] or not range(*bounds):
        trace.stop(PYTHON_RANDOM, "random.randrange with these arguments")
    return _from_generator(trace, generator, random.Random.randrange, bounds, IntSymbol)


@lookaside(random.Random.seed)
def _seed(trace: Trace, generator: Item, seed: Item) -> None:
    """Each run seeds the generator, in its turn among the draws."""
    if type(seed) is not int:
        trace.stop(PYTHON_RANDOM, "random.seed with these arguments")
    _from_generator(trace, generator, random.Random.seed, (seed,), IntSymbol)


def _from_generator(
    trace: Trace, generator: Item, function: Any, args: Sequence[Item], kind: type[FloatSymbol | IntSymbol]
) -> Item:
    """What a generator from outside gives, if its class is Python's own."""
    if not isinstance(generator, ObjectValue) or generator.cls is not random.Random or generator.source is None:
        trace.stop(PYTHON_RANDOM, f"random.{function.__name__}")
    return drawn(trace, function, (generator, *args), PYTHON_RANDOM, kind, generator)
