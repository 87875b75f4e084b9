"""Arithmetic with symbolic sizes, which the program takes for ints.

What the algebra computes as Python computes with ints stays symbolic: sums, products, small powers, and quotients and
remainders by what is not zero. A comparison is answered with a guard. For everything else the symbol becomes the int
that it stands for, and its value a guard; CPython then computes with that.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection
from typing import Any, Final

import torch

from passes.python_operators import IN_PLACE
from tracer.reasons import GraphBreak
from tracer.values.base import SYMBOLS
from tracer.values.computed_numbers import OPERATORS, compared, computed_number
from tracer.values.context import Context
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.number_symbols import NumberSymbol, combined
from tracer.values.shapes import decided, hint_of

LARGEST: Final = 1 << 62
"""Beyond this the algebra, whose ints have 64 bits, is not used: guards could not check what it assumes."""

OTHER: Final = (NumberSymbol, torch.SymBool)
"""Types of symbols that are no ints of the algebra."""

MOST_KEYS: Final = 32
"""Keys that a number is guarded to be none of."""

KEYS: Final = frozenset({int, float, bool, str, bytes, type(None)})
"""Types of keys that say without code of the program whether they equal a number."""

LARGEST_EXPONENT: Final = 8
"""Guards compute a power by repeated multiplication."""


def symbolic(context: Context, function: Callable[..., Any], *operands: Item) -> Item:
    """`function(*operands)` for an operator of Python; the operands are literals, one of them at least a symbol."""
    row = IN_PLACE.get(function)
    function = row.function if row is not None else function
    if any(isinstance(operand, OTHER) for operand in operands):
        number = combined(function, operands)
        return _computed(context, function, operands) if number is None else number
    if function in COMPARISONS:
        return _comparison(context, function, operands[0], operands[1])
    if all(map(_is_whole, operands)) and _is_algebraic(function, operands):
        result = function(*(operand + 0 if type(operand) is bool else operand for operand in operands))
        if abs(hint_of(result)) < LARGEST:
            return result
    return _computed(context, function, operands)


def _computed(context: Context, function: Callable[..., Any], operands: tuple[Item, ...]) -> Item:
    """What each run computes before the graph, or a guard answers; else symbols become their numbers."""
    number = computed_number(context, function, operands) if function in OPERATORS else None
    if number is None and len(operands) == 2:
        number = compared(context, function, *operands)
    return host(context, function, *operands) if number is None else number


def _is_whole(operand: Item) -> bool:
    return type(operand) is torch.SymInt or (type(operand) in (int, bool) and abs(operand) < LARGEST)


def _is_algebraic(function: Callable[..., Any], operands: tuple[Item, ...]) -> bool:
    """Whether the algebra means by an operator what Python means by it, for these operands; may add a guard."""
    if function in (operator.add, operator.sub, operator.mul, operator.neg, operator.pos):
        return True
    if function in (operator.floordiv, operator.mod):
        return decided(operands[1] != 0)
    if function is operator.abs:
        return decided(operands[0] >= 0)
    return function is operator.pow and type(operands[1]) is int and 1 <= operands[1] <= LARGEST_EXPONENT


COMPARISONS: Final[dict[Callable[..., Any], tuple[Callable[..., Any], Callable[[float], float]]]] = {
    operator.eq: (operator.eq, float),
    operator.ne: (operator.ne, float),
    operator.lt: (operator.gt, math.ceil),
    operator.le: (operator.ge, math.floor),
    operator.gt: (operator.lt, math.floor),
    operator.ge: (operator.le, math.ceil),
}
"""Comparison to the one that answers the same with the operands exchanged, and to the rounding of a finite float on
the right that does not change the answer for any int on the left."""


def _comparison(context: Context, function: Callable[..., Any], left: Item, right: Item) -> Item:
    """A comparison: its answer now, which is guarded where it hangs on the value of a symbol.

    One with the data of a tensor is a symbol, too: torch._check takes it.
    """
    if type(left) not in SYMBOLS:
        function, left, right = COMPARISONS[function][0], right, left
    if type(right) is float and math.isfinite(right):
        rounded = COMPARISONS[function][1](right)
        right = int(rounded) if rounded == int(rounded) else right
    if _is_whole(right):
        return known(function(left, right + 0))
    if _orders_all_ints(right):
        return host(context, function, 0, right)
    return host(context, function, left, right)


def is_none_of(context: Context, number: torch.SymInt, keys: Collection[Item]) -> bool:
    """Whether a number that varies equals none of a few constants, which is guarded."""
    if len(keys) > MOST_KEYS or not number.node.has_hint() or any(type(key) not in KEYS for key in keys):
        return False
    numbers = [key for key in keys if type(key) in (int, float, bool)]
    if any(key == number.node.hint for key in numbers):
        return False
    for key in numbers:
        _comparison(context, operator.ne, number, key)
    return True


def known(condition: Any) -> Any:
    """A condition on symbols as the truth that it is now, which is guarded; itself if that hangs on data."""
    try:
        return decided(condition)
    except GraphBreak:
        return condition


def _orders_all_ints(operand: Item) -> bool:
    """Whether comparing any int with `operand` gives the same: it is no number, no finite one, or between ints."""
    if type(operand) is float:
        return not math.isfinite(operand) or operand != int(operand)
    return type(operand) not in (int, complex)
