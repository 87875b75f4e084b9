"""Numbers that vary and are no sizes: floats from outside that have been seen to change, and what is read from tensors.

A symbol is what the program takes for the float. Sums, products and quotients of symbols are symbols again: the graph,
or the residual program, computes them in each run, by the same operations in the same order as the plain program.
torch's algebra is not used, as it would reorder sums of floats. Whatever else asks for the number fixes it: the symbol
is a constant from then on, guarded by equality.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

import torch

from tracer.guards.source import Source
from tracer.reasons import DATA_TO_PYTHON, NeedsNumber, Reason

ANY_NUMBER: Final = 0.5
"""What the evaluator of operators is asked about in the place of a float that varies."""

LARGEST_INT: Final = 1 << 53
"""Ints up to this are floats as well, so that no operation with one raises."""

SIGNS: Final[dict[Callable[..., Any], str]] = {
    operator.add: "({} + {})",
    operator.sub: "({} - {})",
    operator.mul: "({} * {})",
    operator.truediv: "({} / {})",
    operator.neg: "(-{})",
    operator.pos: "(+{})",
    operator.abs: "abs({})",
}
"""Operators that raise for no floats (a quotient is one by a constant other than zero), and how they are written."""

RAISING: Final[dict[Callable[..., Any], str]] = {operator.pow: "({} ** {})"}
"""Operators that raise for some floats, likewise."""

FROM_DATA: Final = "a number that was read from a tensor is needed while tracing"

COMPARISONS: Final[dict[Callable[..., Any], str]] = {
    operator.eq: "({} == {})",
    operator.ne: "({} != {})",
    operator.lt: "({} < {})",
    operator.le: "({} <= {})",
    operator.gt: "({} > {})",
    operator.ge: "({} >= {})",
}
"""Those that compare floats, likewise. The truth is a symbol where it hangs on the data of a tensor."""

EXPRESSIONS: Final = {**SIGNS, **RAISING, **COMPARISONS}
"""How a residual program writes any of these operators."""

AddGuard = Callable[[Source | None, str, object], None]


class NumberSymbol:
    """A number that varies: one at an access path (`source`), what a call of the graph gives (its node is in `nodes`),
    what the program draws (`draw`, an entry of the effect log), or `function` of `operands`, floats and symbols.

    `value` is what it is in the call that is captured; None if that hangs on the data of a tensor, or is drawn. `nodes`
    are those that stand for it in the graph: at most one. `raises` says that an operator which Python refuses for some
    floats, such as a division by zero, is a symbol all the same: the graph raises then. `first` says that a program
    computes it before its graph, by a function of numbers that may be sizes.
    """

    __slots__ = ("add_guard", "draw", "first", "fixed", "function", "nodes", "operands", "raises", "source", "value")

    def __init__(
        self,
        value: float | None,
        source: Source | None = None,
        add_guard: AddGuard | None = None,
        function: Callable[..., Any] | None = None,
        operands: tuple[Any, ...] = (),
        nodes: tuple[Any, ...] = (),
        draw: Any = None,
        raises: bool = False,
        first: bool = False,
    ) -> None:
        self.value = value
        self.draw = draw
        self.source = source
        self.add_guard = add_guard
        self.function = function
        self.operands = operands
        self.nodes: list[Any] = list(nodes)
        self.raises = raises
        self.first = first
        self.fixed = False

    @property
    def node(self) -> Any:
        """The node that stands for it in the graph, which is there."""
        return self.nodes[0]

    def number(self) -> Any:
        """The number itself: what is traced depends on it from here on, so that it is guarded.

        Breaks if it hangs on the data of a tensor, or on what is drawn.
        """
        if self.value is None:
            raise NeedsNumber(*self.refusal(DATA_TO_PYTHON))
        self.fixed = True
        if self.source is not None:
            assert self.add_guard is not None
            self.add_guard(self.source, "equal", self.value)
        for operand in self.operands:
            if type(operand) is FloatSymbol:
                operand.number()
            elif type(operand) is torch.SymInt:
                int(operand)  # the algebra notes the guard
        return self.value

    def refusal(self, reason: Reason) -> tuple[Reason, str]:
        """Why nothing is known of the number while tracing; `reason` if that is the data of a tensor."""
        waiting: list[Any] = [self]
        while waiting:
            number = waiting.pop()
            if isinstance(number, NumberSymbol):
                if number.draw is not None:
                    return number.draw.reason, f"{number.draw.name} is needed while tracing"
                waiting += number.operands
        return reason, FROM_DATA


class FloatSymbol(NumberSymbol):
    """A float that varies."""

    __slots__ = ()


class IntSymbol(NumberSymbol):
    """An int that is drawn: it can be kept and handed on, and whatever else asks for it breaks."""

    __slots__ = ()


class BoolSymbol(NumberSymbol):
    """A truth that is read from a tensor."""

    __slots__ = ()


def combined(function: Callable[..., Any], operands: tuple[Any, ...]) -> NumberSymbol | None:
    """The symbol for an operator of Python applied to symbols and numbers; None if only the numbers can tell."""
    if function in COMPARISONS and all(map(_is_float, operands)):
        from_data = any(type(operand) is FloatSymbol and operand.value is None for operand in operands)
        return BoolSymbol(None, function=function, operands=operands) if from_data else None
    raises = any(type(operand) is FloatSymbol and operand.raises for operand in operands)
    if not (function in SIGNS or (raises and function in RAISING)) or not all(map(_is_float, operands)):
        return None
    if function is operator.truediv and not raises and (type(operands[1]) is FloatSymbol or not operands[1]):
        return None
    if all(type(operand) is not FloatSymbol or operand.fixed for operand in operands):
        return None
    values = [operand.value if type(operand) is FloatSymbol else operand for operand in operands]
    value = None if None in values else function(*values)
    return FloatSymbol(value, function=function, operands=operands, raises=raises)


def _is_float(operand: Any) -> bool:
    kind = type(operand)
    return kind is FloatSymbol or kind is float or (kind in (int, bool) and abs(operand) <= LARGEST_INT)
