"""random: what a generator from outside gives, each run draws from it for itself, in the order of the program.

What one gives that the program makes and seeds is known while tracing.
"""

from __future__ import annotations

import _random
import random
import types
from collections.abc import Sequence
from typing import Any, Final

from tracer.interpret.draws import drawn
from tracer.interpret.functions import interpret_function
from tracer.interpret.policy import interpret, lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import PYTHON_RANDOM
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.number_symbols import FloatSymbol, IntSymbol
from tracer.values.objects import ObjectValue
from tracer.values.random_generators import RandomGenerator

interpret(random.Random, random.Random.__init__, random.Random.uniform)

OUTSIDE: Final = frozenset({random.Random.uniform, random.Random.randint, random.Random.randrange, random.Random.seed})
"""Functions of Python that generators from outside may be asked for, too."""


def _own_method(function: Any) -> Any:
    """A method that computes with what `random` and `getrandbits` draw, for a generator whose numbers are known."""

    def run(trace: Trace, generator: Item, *args: Item, **kwargs: Item) -> Item:
        if not isinstance(generator, RandomGenerator):
            trace.stop(PYTHON_RANDOM, f"random.{function.__qualname__}")
        return interpret_function(trace, function, [generator, *args], kwargs)

    return run


for _name, _method in vars(random.Random).items():
    _is_own = isinstance(_method, types.FunctionType) and _method not in OUTSIDE and _method.__name__ == _name
    if _is_own and not _name.startswith("__") and not _name.endswith("state"):
        lookaside(_method)(_own_method(_method))


def _known(trace: Trace, generator: RandomGenerator, function: Any, args: Sequence[Item]) -> Item:
    """What a seeded generator gives: the trace has one in the same state."""
    if generator.real is None or not all(type(arg) is int for arg in args):
        trace.stop(PYTHON_RANDOM, f"random.{function.__name__} of a generator that is not seeded, or of no numbers")
    trace.effects.record(generator)
    return host(trace, function, generator.real, *args)


@lookaside(_random.Random.getrandbits)
def _random_bits(trace: Trace, generator: Item, count: Item, /) -> Item:
    if not isinstance(generator, RandomGenerator):
        trace.stop(PYTHON_RANDOM, "random.getrandbits")
    return _known(trace, generator, _random.Random.getrandbits, (count,))


@lookaside(_random.Random.random)
def _random_float(trace: Trace, generator: Item) -> Item:
    if isinstance(generator, RandomGenerator):
        return _known(trace, generator, _random.Random.random, ())
    return _from_generator(trace, generator, _random.Random.random, (), FloatSymbol)


@lookaside(random.Random.randint)
def _random_int(trace: Trace, generator: Item, low: Item, high: Item, /) -> Item:
    """A number from `low` to `high`, if these are ints between which there is one."""
    if isinstance(generator, RandomGenerator):
        return interpret_function(trace, random.Random.randint, [generator, low, high], {})
    if not (type(low) is int and type(high) is int and low <= high):
        trace.stop(PYTHON_RANDOM, "random.randint with these arguments")
    return _from_generator(trace, generator, random.Random.randint, (low, high), IntSymbol)


@lookaside(random.Random.randrange)
def _random_of_range(trace: Trace, generator: Item, start: Item, stop: Item = None, step: Item = 1) -> Item:
    """A number of `range(start, stop, step)`, if these are ints and it has any."""
    if isinstance(generator, RandomGenerator):
        return interpret_function(trace, random.Random.randrange, [generator, start, stop, step], {})
    bounds = (start,) if stop is None else (start, stop, step)
    if not all(type(bound) is int for bound in bounds) or not bounds[-1] or not range(*bounds):
        trace.stop(PYTHON_RANDOM, "random.randrange with these arguments")
    return _from_generator(trace, generator, random.Random.randrange, bounds, IntSymbol)


@lookaside(random.Random.seed)
def _seed(trace: Trace, generator: Item, seed: Item) -> None:
    """Each run seeds the generator, in its turn among the draws."""
    if type(seed) is not int:
        trace.stop(PYTHON_RANDOM, "random.seed with these arguments")
    if isinstance(generator, RandomGenerator):
        generator.real = random.Random(seed)
        trace.effects.record(generator)
        return
    _from_generator(trace, generator, random.Random.seed, (seed,), IntSymbol)


def _from_generator(
    trace: Trace, generator: Item, function: Any, args: Sequence[Item], kind: type[FloatSymbol | IntSymbol]
) -> Item:
    """What a generator from outside gives, if its class is Python's own."""
    if not isinstance(generator, ObjectValue) or generator.cls is not random.Random or generator.source is None:
        trace.stop(PYTHON_RANDOM, f"random.{function.__name__}")
    return drawn(trace, function, (generator, *args), PYTHON_RANDOM, kind, generator)
