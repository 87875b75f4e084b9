"""numpy.random: what a legacy generator of numpy gives, each run draws for itself, as the numbers of `random`.

numpy says which arguments it takes, and whether it gives a number or an array: a generator of the trace's own draws
once with them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from tracer.interpret.draws import drawn, drawn_tensor
from tracer.interpret.policy import named_lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import PYTHON_RANDOM
from tracer.values.base import numpy, realise
from tracer.values.item import Item
from tracer.values.number_symbols import FloatSymbol, IntSymbol
from tracer.values.numpy_arrays import ARRAY, NumpyArray
from tracer.values.objects import ObjectValue
from tracer.values.tuples import TupleValue

DISTRIBUTIONS: Final = (
    *("rand", "random", "random_sample", "uniform", "triangular", "beta", "gamma", "standard_gamma", "exponential"),
    *("randn", "normal", "standard_normal", "lognormal", "laplace", "logistic", "gumbel", "chisquare", "weibull"),
    *("randint", "binomial", "poisson", "geometric", "hypergeometric", "negative_binomial", "vonmises", "rayleigh"),
    *("choice", "permutation"),
)
"""Methods that give a Python number or a new array, and change nothing but their generator."""

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
        plain_args = [_plain(trace, arg) for arg in bound.args[1:]]
        example: Any = None if UNKNOWN in plain_args else _example(method, plain_args)
        if type(example) is ARRAY and example.shape:
            return _drawn_array(trace, generator, name, plain_args, example)
        kind = KINDS.get(type(example))
        if kind is None:
            trace.stop(PYTHON_RANDOM, f"numpy.random.{name} with these arguments")
        return drawn(trace, method, (generator, *plain_args), PYTHON_RANDOM, kind, generator)

    return draw


def _drawn_array(trace: Trace, generator: ObjectValue, name: str, args: Sequence[Any], example: Any) -> Item:
    """The array that a method of a generator gives. A break where torch has no tensor of its numbers."""
    try:
        tensor = torch.from_numpy(example)
    except TypeError:
        trace.stop(PYTHON_RANDOM, f"numpy.random.{name} of {example.dtype}")
    item = drawn_tensor(trace, random_array, (generator, name, *args), PYTHON_RANDOM, tensor, generator)
    return NumpyArray(trace, item)


def random_array(generator: Any, name: str, *args: Any) -> torch.Tensor:
    """What a method of a generator draws, as a tensor with the memory of the array."""
    return torch.from_numpy(getattr(generator, name)(*args))


UNKNOWN: Final = object()
"""In the place of an argument that is no number, or not the same in each run."""


def _plain(trace: Trace, item: Item) -> Any:
    """An argument of numbers, or nested tuples of them, as numpy takes it; UNKNOWN for all others."""
    item = realise(trace, item)
    if isinstance(item, (TupleValue, tuple)):
        parts = item.all(trace) if isinstance(item, TupleValue) else item
        plain_parts = tuple(_plain(trace, part) for part in parts)
        return UNKNOWN if UNKNOWN in plain_parts else plain_parts
    return item if type(item) in (int, float, bool, type(None)) or item is int else UNKNOWN


def _example(method: Any, args: Sequence[Any]) -> Any:
    """What a method of a generator gives with these arguments, None if it refuses them."""
    try:
        return method(numpy.random.RandomState(0), *args)
    except (TypeError, ValueError):
        return None


for _name in DISTRIBUTIONS:
    named_lookaside("numpy.random", f"RandomState.{_name}")(_drawing(_name))
