"""Numbers that a residual program computes in Python before its graph, from floats and sizes that vary.

The graph is given them as it is given floats from outside. The functions are pure, and may refuse some numbers: a
program begins with them, and runs the original if one raises or gives no float. The order of two floats is a guard.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from tracer.guards.checks import Expression, float_order
from tracer.guards.source import Source
from tracer.values.context import Context
from tracer.values.number_symbols import COMPARISONS, LARGEST_INT, RAISING, SIGNS, FloatSymbol
from tracer.values.shapes import decided

REFUSALS: Final = (ArithmeticError, ValueError)
"""What functions of numbers raise where they refuse one."""

OPERATORS: Final = SIGNS.keys() | RAISING.keys()

FUNCTIONS: Final[tuple[Callable[..., Any], ...]] = (
    *(math.acos, math.acosh, math.asin, math.asinh, math.atan, math.atan2, math.atanh, math.cbrt, math.copysign),
    *(math.cos, math.cosh, math.degrees, math.dist, math.erf, math.erfc, math.exp, math.exp2, math.expm1, math.fabs),
    *(math.fmod, math.gamma, math.hypot, math.ldexp, math.lgamma, math.log, math.log10, math.log1p, math.log2),
    *(math.nextafter, math.pow, math.radians, math.remainder, math.sin, math.sinh, math.sqrt, math.tan, math.tanh),
    math.ulp,
)
"""Functions of `math` that give a float for numbers."""

EXACT: Final = 1 << 52
"""The quotient of an int below this by another, as a float, lies between the same ints as the quotient itself."""

NAMES: Final = {function: text.split()[1] for function, text in COMPARISONS.items()}
"""Comparisons by their names in guards."""


def computed_number(context: Context, function: Callable[..., Any], operands: Sequence[Any]) -> FloatSymbol | None:
    """The symbol for what a pure function gives for numbers; None if none of them varies, or the result is no float.

    It hangs neither on data nor on what the program draws: only a graph, or what follows it, knows those.
    """
    if context.shapes is None or not context.shapes.draws:
        return None
    numbers = [_number_now(context, operand) for operand in operands]
    if None in numbers or not any(map(_varies, operands)):
        return None
    try:
        value = function(*numbers)
    except REFUSALS:
        return None
    return FloatSymbol(value, function=function, operands=tuple(operands), first=True) if type(value) is float else None


def _number_now(context: Context, operand: Any) -> float | None:
    """What an operand is in the call that is captured; None if it is no number, or not known by then."""
    kind = type(operand)
    if kind is FloatSymbol:
        return operand.value
    if kind is torch.SymInt:
        assert context.shapes is not None
        has_number = operand.node.has_hint() and operand.node.expr.free_symbols <= context.shapes.sources.keys()
        return operand.node.hint if has_number else None
    return operand if _is_number(operand) else None


def _is_number(operand: Any) -> bool:
    """Whether an operand is a float, or an int that is one as well."""
    kind = type(operand)
    return kind is float or (kind in (int, bool) and abs(operand) <= LARGEST_INT)


def _varies(operand: Any) -> bool:
    return type(operand) is torch.SymInt or (type(operand) is FloatSymbol and not operand.fixed)


def rounded_quotient(function: Callable[..., Any], number: Any) -> torch.SymInt | None:
    """`floor`, `ceil` or `trunc` of the quotient of a size by an int, by division of ints; None of any other number."""
    if type(number) is not FloatSymbol or number.fixed or number.function is not operator.truediv:
        return None
    size, divisor = number.operands
    if type(size) is not torch.SymInt or type(divisor) is not int or divisor <= 0 or not decided(size < EXACT):
        return None
    if not decided(size >= 0):
        return None
    return -(-size // divisor) if function is math.ceil else size // divisor


def compared(context: Context, function: Callable[..., Any], left: Any, right: Any) -> bool | None:
    """How floats from outside and constants compare now, which is guarded; None for any others."""
    operands = (left, right)
    if function not in COMPARISONS or not any(type(one) is FloatSymbol and one.source is not None for one in operands):
        return None
    sources: list[Source] = []
    program: list[tuple[str, int]] = []
    texts: list[str] = []
    values: list[float] = []
    for operand in operands:
        value: Any = operand
        if type(operand) is FloatSymbol and operand.source is not None:
            value = operand.value
            program.append(("load float", len(sources)))
            sources.append(operand.source)
            texts.append(operand.source.text)
        elif _is_number(value):
            program.append(("constant", float_order(float(value))))
            texts.append(repr(value))
        else:
            return None
        if value != value:
            return None
        values.append(value)
    holds = bool(function(*values))
    name = NAMES[function]
    text = f"{texts[0]} {name} {texts[1]}"
    program += [(name, 0)] if holds else [(name, 0), ("not", 0)]
    context.guard(None, "expression", Expression(tuple(sources), tuple(program), text if holds else f"not {text}"))
    return holds


def differs_from_zero(context: Context, number: FloatSymbol) -> bool | None:
    """The truth of a float, which is guarded; None if no guard says it."""
    return compared(context, operator.ne, number, 0.0)
