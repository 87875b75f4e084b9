"""Python's operators: symbol, function of the module `operator`, and the special methods behind them.

One row for each operator, in the order of the language reference; everyone else reads these tables. What the
operators are called in torch is in passes/operators/spellings.py.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, NamedTuple


class BinaryOperator(NamedTuple):
    """`left + right`: `left.__add__(right)`, else `right.__radd__(left)`; `left += right` tries `__iadd__` first."""

    symbol: str
    function: Callable[[Any, Any], Any]
    method: str
    reflected: str
    in_place: Callable[[Any, Any], Any]
    in_place_method: str

    @property
    def in_place_symbol(self) -> str:
        """As source code shows the assignment: `+=`."""
        return f"{self.symbol}="


class Comparison(NamedTuple):
    """`left < right`: `left.__lt__(right)`, else `right.__gt__(left)`."""

    symbol: str
    function: Callable[[Any, Any], Any]
    method: str
    reflected: str


class UnaryOperator(NamedTuple):
    """`-operand`: `operand.__neg__()`. `not operand` has no method of its own: it asks for the truth value."""

    symbol: str
    function: Callable[[Any], Any]
    method: str


BINARY: Final = (
    BinaryOperator("+", operator.add, "__add__", "__radd__", operator.iadd, "__iadd__"),
    BinaryOperator("-", operator.sub, "__sub__", "__rsub__", operator.isub, "__isub__"),
    BinaryOperator("*", operator.mul, "__mul__", "__rmul__", operator.imul, "__imul__"),
    BinaryOperator("@", operator.matmul, "__matmul__", "__rmatmul__", operator.imatmul, "__imatmul__"),
    BinaryOperator("/", operator.truediv, "__truediv__", "__rtruediv__", operator.itruediv, "__itruediv__"),
    BinaryOperator("//", operator.floordiv, "__floordiv__", "__rfloordiv__", operator.ifloordiv, "__ifloordiv__"),
    BinaryOperator("%", operator.mod, "__mod__", "__rmod__", operator.imod, "__imod__"),
    BinaryOperator("**", operator.pow, "__pow__", "__rpow__", operator.ipow, "__ipow__"),
    BinaryOperator("<<", operator.lshift, "__lshift__", "__rlshift__", operator.ilshift, "__ilshift__"),
    BinaryOperator(">>", operator.rshift, "__rshift__", "__rrshift__", operator.irshift, "__irshift__"),
    BinaryOperator("&", operator.and_, "__and__", "__rand__", operator.iand, "__iand__"),
    BinaryOperator("|", operator.or_, "__or__", "__ror__", operator.ior, "__ior__"),
    BinaryOperator("^", operator.xor, "__xor__", "__rxor__", operator.ixor, "__ixor__"),
)

COMPARISONS: Final = (
    Comparison("==", operator.eq, "__eq__", "__eq__"),
    Comparison("!=", operator.ne, "__ne__", "__ne__"),
    Comparison("<", operator.lt, "__lt__", "__gt__"),
    Comparison("<=", operator.le, "__le__", "__ge__"),
    Comparison(">", operator.gt, "__gt__", "__lt__"),
    Comparison(">=", operator.ge, "__ge__", "__le__"),
)

UNARY: Final = (
    UnaryOperator("-", operator.neg, "__neg__"),
    UnaryOperator("+", operator.pos, "__pos__"),
    UnaryOperator("~", operator.invert, "__invert__"),
)
NOT: Final = UnaryOperator("not ", operator.not_, "")

BY_FUNCTION: Final[dict[Callable[..., Any], BinaryOperator | Comparison | UnaryOperator]] = {
    row.function: row for row in (*BINARY, *COMPARISONS, *UNARY, NOT)
}
IN_PLACE: Final[dict[Callable[..., Any], BinaryOperator]] = {row.in_place: row for row in BINARY}
"""By the function of the module `operator` that stands for the assignment: `operator.iadd`."""
