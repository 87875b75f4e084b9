"""math: all of its functions are pure; those that apply to any number ask its special methods."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from tracer.interpret.actions import compute
from tracer.interpret.call import call
from tracer.interpret.constants import computed
from tracer.interpret.policy import (
    lookaside,
    polyfill,
    pure_module,
)
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING, Value
from tracer.values.class_attributes import class_name
from tracer.values.computed_numbers import FUNCTIONS, computed_number, rounded_quotient
from tracer.values.item import Item
from tracer.values.protocols.special_methods import call_special, is_of_program
from tracer.values.raising import throw

pure_module("math")


@polyfill(math.prod, pure=True, returns_items=True)
def product_of(iterable: Iterable[Any], /, *, start: Any = 1) -> Any:
    total = start
    for item in iterable:
        total = total * item
    return total


def _real(function: Any) -> Any:
    """A function of numbers: of those that vary it gives a number that varies."""

    def run(trace: Trace, *args: Item, **kwargs: Item) -> Item:
        number = None if kwargs else computed_number(trace, function, args)
        return compute(trace, function, args, kwargs) if number is None else number

    return run


for _function in FUNCTIONS:
    lookaside(_function)(_real(_function))


def _rounding(function: Any, name: str) -> Any:
    """math.floor, math.ceil and math.trunc: by the special method, else what they make of the float."""

    def run(trace: Trace, number: Item) -> Item:
        if type(number) is torch.SymInt:
            return number
        whole = rounded_quotient(function, number)
        if whole is not None:
            return whole
        if not isinstance(number, Value) and not is_of_program(trace, number, name):
            return computed(trace, function, [number], {})
        result = call_special(trace, number, name)
        if result is not MISSING:
            return result
        if function is math.trunc:
            throw(trace, TypeError, f"type {class_name(number)} doesn't define __trunc__ method")
        return computed(trace, function, [call(trace, float, [number])], {})

    return run


for _function, _name in ((math.floor, "__floor__"), (math.ceil, "__ceil__"), (math.trunc, "__trunc__")):
    lookaside(_function)(_rounding(_function, _name))
