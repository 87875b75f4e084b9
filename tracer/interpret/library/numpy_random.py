"""numpy.random: a number that a legacy generator of numpy gives, each run draws for itself, as those of `random`.

numpy says which arguments it takes: a generator of the trace's own draws once with them. Arrays of random numbers are
left to numpy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from tracer.interpret.draws import drawn
from tracer.interpret.policy import named_lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import PYTHON_RANDOM
from tracer.values.base import numpy
from tracer.values.item import Item
from tracer.values.number_symbols import FloatSymbol, IntSymbol
from tracer.values.objects import ObjectValue

DISTRIBUTIONS: Final = (
    *("rand", "random", "random_sample", "uniform", "triangular", "beta", "gamma", "standard_gamma", "exponential"),
    *("randn", "normal", "standard_normal", "lognormal", "laplace", "logistic", "gumbel", "chisquare", "weibull"),
    *("randint", "binomial", "poisson", "geometric", "hypergeometric", "negative_binomial", "vonmises", "rayleigh"),
)
"""Methods that give a Python number where no size is asked for, and change nothing but their generator."""

KINDS: Final[dict[type, type[FloatSymbol | IntSymbol]]] = {float: FloatSymbol, int: IntSymbol}


def _drawing(name: str) -> Callable[..., Item]:
    def draw(trace: Trace, generator: Item, *args: Item, **kwargs: Item) -> Item:
        cls = numpy.random.RandomState
        if not isinstance(generator, ObjectValue) or generator.cls is not cls or generator.source is None:
            trace.stop(PYTHON_RANDOM, f"numpy.random.{name}")
        method: Any = getattr(cls, name)
        try:
            bound = inspect.signature(method).bind(None, *args, **kwargs)
        except TypeError:
            trace.stop(PYTHON_RANDOM, f"numpy.random.{name} with these arguments")
        bound.apply_defaults()
        numbers = bound.args[1:]
        is_plain = all(type(arg) in (int, float, type(None)) or arg is int for arg in numbers)
        kind = KINDS.get(_type_of_draw(method, numbers)) if is_plain else None
        if kind is None:
            trace.stop(PYTHON_RANDOM, f"numpy.random.{name} with these arguments")
        return drawn(trace, method, (generator, *numbers), PYTHON_RANDOM, kind, generator)

    return draw


def _type_of_draw(method: Any, args: tuple[Any, ...]) -> Any:
    """The class of what a method of a generator gives with these arguments, None if it refuses them."""
    try:
        return type(method(numpy.random.RandomState(0), *args))
    except (TypeError, ValueError):
        return None


for _name in DISTRIBUTIONS:
    named_lookaside("numpy.random", f"RandomState.{_name}")(_drawing(_name))
