"""Operators and the special methods behind them: one row for each operator of the language.

Nothing here knows how a special method is found or called.
"""

from __future__ import annotations

import operator
from typing import Any

BINARY: dict[Any, tuple[str, str, str]] = {
    operator.add: ("__add__", "__radd__", "+"),
    operator.sub: ("__sub__", "__rsub__", "-"),
    operator.mul: ("__mul__", "__rmul__", "*"),
    operator.matmul: ("__matmul__", "__rmatmul__", "@"),
    operator.truediv: ("__truediv__", "__rtruediv__", "/"),
    operator.floordiv: ("__floordiv__", "__rfloordiv__", "//"),
    operator.mod: ("__mod__", "__rmod__", "%"),
    operator.pow: ("__pow__", "__rpow__", "** or pow()"),
    operator.lshift: ("__lshift__", "__rlshift__", "<<"),
    operator.rshift: ("__rshift__", "__rrshift__", ">>"),
    operator.and_: ("__and__", "__rand__", "&"),
    operator.or_: ("__or__", "__ror__", "|"),
    operator.xor: ("__xor__", "__rxor__", "^"),
}

INPLACE: dict[Any, tuple[str, Any, str]] = {
    operator.iadd: ("__iadd__", operator.add, "+="),
    operator.isub: ("__isub__", operator.sub, "-="),
    operator.imul: ("__imul__", operator.mul, "*="),
    operator.imatmul: ("__imatmul__", operator.matmul, "@="),
    operator.itruediv: ("__itruediv__", operator.truediv, "/="),
    operator.ifloordiv: ("__ifloordiv__", operator.floordiv, "//="),
    operator.imod: ("__imod__", operator.mod, "%="),
    operator.ipow: ("__ipow__", operator.pow, "**="),
    operator.ilshift: ("__ilshift__", operator.lshift, "<<="),
    operator.irshift: ("__irshift__", operator.rshift, ">>="),
    operator.iand: ("__iand__", operator.and_, "&="),
    operator.ior: ("__ior__", operator.or_, "|="),
    operator.ixor: ("__ixor__", operator.xor, "^="),
}

COMPARE: dict[Any, tuple[str, str, str]] = {
    operator.eq: ("__eq__", "__eq__", "=="),
    operator.ne: ("__ne__", "__ne__", "!="),
    operator.lt: ("__lt__", "__gt__", "<"),
    operator.le: ("__le__", "__ge__", "<="),
    operator.gt: ("__gt__", "__lt__", ">"),
    operator.ge: ("__ge__", "__le__", ">="),
}

UNARY: dict[Any, tuple[str, str]] = {
    operator.neg: ("__neg__", "-"),
    operator.pos: ("__pos__", "+"),
    operator.invert: ("__invert__", "~"),
    operator.abs: ("__abs__", "abs()"),
}
