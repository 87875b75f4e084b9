"""Canonical opcodes: one row says what an instruction takes, leaves and means.

A canonical opcode is CPython's own, minus what only the native evaluator needs (caches, prefixes, jump
directions). Nothing here knows how instructions are encoded, nor about tensors, guards or graphs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from passes import python_operators

StackCount = int | Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Opcode:
    """One canonical opcode.

    `operand` names the row of `OPERANDS` in `decode.py` that turns the numeric argument into `Op.operand`.
    `pops` and `pushes` hold when execution falls through; `jump_pops` and `jump_pushes` when it jumps.
    """

    name: str
    operand: str = "none"
    pops: StackCount = 0
    pushes: StackCount = 0
    jump_pops: StackCount | None = None
    jump_pushes: StackCount | None = None
    falls_through: bool = True
    suspends: bool = False

    @property
    def jumps(self) -> bool:
        """Whether the operand is the target of a jump."""
        return self.operand == "jump"

    def effect(self, argument: int, jump: bool = False) -> tuple[int, int]:
        """(items popped, items pushed) for this argument, when falling through or when jumping."""
        pops: StackCount = self.pops
        pushes: StackCount = self.pushes
        if jump and self.jump_pops is not None and self.jump_pushes is not None:
            pops, pushes = self.jump_pops, self.jump_pushes
        return (
            pops if isinstance(pops, int) else pops(argument),
            pushes if isinstance(pushes, int) else pushes(argument),
        )


def same(count: int) -> int:
    """As many items as the operand says."""
    return count


def one_more(count: int) -> int:
    """One item more than the operand says."""
    return count + 1


def both(count: int) -> int:
    """Two items for each that the operand counts, such as keys and values."""
    return 2 * count


def flag(argument: int) -> int:
    """One item if the lowest bit of the operand is set."""
    return argument & 1


def unpacked(argument: int) -> int:
    """What UNPACK_EX pushes: the items before the star, those behind it, and the list between."""
    return (argument & 0xFF) + (argument >> 8) + 1


ROWS = (
    # Stack
    Opcode("POP_TOP", pops=1),
    Opcode("PUSH_NULL", pushes=1),
    Opcode("COPY", "count", pops=same, pushes=one_more),
    Opcode("SWAP", "count", pops=same, pushes=same),
    # Constants and variables
    Opcode("LOAD_CONST", "constant", pushes=1),
    Opcode("LOAD_FAST", "slot", pushes=1),
    Opcode("STORE_FAST", "slot", pops=1),
    Opcode("DELETE_FAST", "slot"),
    Opcode("LOAD_FAST_AND_CLEAR", "slot", pushes=1),
    Opcode("LOAD_GLOBAL", "global", pushes=lambda argument: 1 + flag(argument)),
    Opcode("STORE_GLOBAL", "name", pops=1),
    Opcode("DELETE_GLOBAL", "name"),
    Opcode("LOAD_NAME", "name", pushes=1),
    Opcode("STORE_NAME", "name", pops=1),
    Opcode("DELETE_NAME", "name"),
    Opcode("MAKE_CELL", "slot"),
    Opcode("COPY_FREE_VARS", "count"),
    Opcode("LOAD_CLOSURE", "slot", pushes=1),
    Opcode("LOAD_DEREF", "slot", pushes=1),
    Opcode("STORE_DEREF", "slot", pops=1),
    Opcode("DELETE_DEREF", "slot"),
    Opcode("LOAD_CLASSDEREF", "slot", pushes=1),
    Opcode("LOAD_LOCALS", pushes=1),
    Opcode("LOAD_FROM_DICT_OR_DEREF", "slot", pops=1, pushes=1),
    Opcode("LOAD_FROM_DICT_OR_GLOBALS", "name", pops=1, pushes=1),
    Opcode("LOAD_ASSERTION_ERROR", "assertion error", pushes=1),
    Opcode("LOAD_BUILD_CLASS", pushes=1),
    Opcode("SETUP_ANNOTATIONS"),
    # Operators
    Opcode("UNARY_POSITIVE", "unary", pops=1, pushes=1),
    Opcode("UNARY_NEGATIVE", "unary", pops=1, pushes=1),
    Opcode("UNARY_NOT", "unary", pops=1, pushes=1),
    Opcode("UNARY_INVERT", "unary", pops=1, pushes=1),
    Opcode("TO_BOOL", pops=1, pushes=1),
    Opcode("BINARY_OP", "binary", pops=2, pushes=1),
    Opcode("COMPARE_OP", "comparison", pops=2, pushes=1),
    Opcode("IS_OP", "identity", pops=2, pushes=1),
    Opcode("CONTAINS_OP", "membership", pops=2, pushes=1),
    Opcode("BINARY_SUBSCR", pops=2, pushes=1),
    Opcode("STORE_SUBSCR", pops=3),
    Opcode("DELETE_SUBSCR", pops=2),
    Opcode("BINARY_SLICE", pops=3, pushes=1),
    Opcode("STORE_SLICE", pops=4),
    # Attributes and calls
    Opcode("LOAD_ATTR", "name", pops=1, pushes=1),
    Opcode("STORE_ATTR", "name", pops=2),
    Opcode("DELETE_ATTR", "name", pops=1),
    Opcode("LOAD_METHOD", "name", pops=1, pushes=2),
    Opcode("LOAD_SUPER_ATTR", "name", pops=3, pushes=1),
    Opcode("LOAD_SUPER_METHOD", "name", pops=3, pushes=2),
    Opcode("CALL", "count", pops=lambda count: count + 2, pushes=1),
    Opcode("CALL_FUNCTION_EX", "flag", pops=lambda argument: 3 + flag(argument), pushes=1),
    Opcode("MAKE_FUNCTION", "count", pops=lambda flags: 1 + (flags & 0xF).bit_count(), pushes=1),
    # Containers and strings
    Opcode("BUILD_TUPLE", "count", pops=same, pushes=1),
    Opcode("BUILD_LIST", "count", pops=same, pushes=1),
    Opcode("BUILD_SET", "count", pops=same, pushes=1),
    Opcode("BUILD_MAP", "count", pops=both, pushes=1),
    Opcode("BUILD_CONST_KEY_MAP", "count", pops=one_more, pushes=1),
    Opcode("BUILD_SLICE", "count", pops=same, pushes=1),
    Opcode("BUILD_STRING", "count", pops=same, pushes=1),
    Opcode("CONVERT_VALUE", "conversion", pops=1, pushes=1),
    Opcode("FORMAT_SIMPLE", pops=1, pushes=1),
    Opcode("FORMAT_WITH_SPEC", pops=2, pushes=1),
    Opcode("FORMAT_VALUE", "format", pops=lambda argument: 1 + (argument >> 2 & 1), pushes=1),
    Opcode("LIST_TO_TUPLE", pops=1, pushes=1),
    Opcode("LIST_APPEND", "count", pops=1),
    Opcode("SET_ADD", "count", pops=1),
    Opcode("MAP_ADD", "count", pops=2),
    Opcode("LIST_EXTEND", "count", pops=1),
    Opcode("SET_UPDATE", "count", pops=1),
    Opcode("DICT_UPDATE", "count", pops=1),
    Opcode("DICT_MERGE", "count", pops=1),
    Opcode("UNPACK_SEQUENCE", "count", pops=1, pushes=same),
    Opcode("UNPACK_EX", "unpack", pops=1, pushes=unpacked),
    # Jumps and loops
    Opcode("JUMP", "jump", falls_through=False),
    Opcode("POP_JUMP_IF_TRUE", "jump", pops=1),
    Opcode("POP_JUMP_IF_FALSE", "jump", pops=1),
    Opcode("POP_JUMP_IF_NONE", "jump", pops=1),
    Opcode("POP_JUMP_IF_NOT_NONE", "jump", pops=1),
    Opcode("JUMP_IF_TRUE_OR_POP", "jump", pops=1, jump_pops=1, jump_pushes=1),
    Opcode("JUMP_IF_FALSE_OR_POP", "jump", pops=1, jump_pops=1, jump_pushes=1),
    Opcode("GET_ITER", pops=1, pushes=1),
    Opcode("FOR_ITER", "jump", pops=1, pushes=2, jump_pops=1, jump_pushes=0),
    Opcode("RETURN_VALUE", pops=1, falls_through=False),
    # Exceptions and contexts
    Opcode("RAISE_VARARGS", "count", pops=same, falls_through=False),
    Opcode("RERAISE", "count", pops=1, falls_through=False),
    Opcode("PUSH_EXC_INFO", pops=1, pushes=2),
    Opcode("POP_EXCEPT", pops=1),
    Opcode("CHECK_EXC_MATCH", pops=1, pushes=1),
    Opcode("CHECK_EG_MATCH", pops=2, pushes=2),
    Opcode("PREP_RERAISE_STAR", pops=2, pushes=1),
    Opcode("BEFORE_WITH", pops=1, pushes=2),
    Opcode("WITH_EXCEPT_START", pushes=1),
    # Patterns
    Opcode("GET_LEN", pushes=1),
    Opcode("MATCH_MAPPING", pushes=1),
    Opcode("MATCH_SEQUENCE", pushes=1),
    Opcode("MATCH_KEYS", pushes=1),
    Opcode("MATCH_CLASS", "count", pops=3, pushes=1),
    # Imports
    Opcode("IMPORT_NAME", "name", pops=2, pushes=1),
    Opcode("IMPORT_FROM", "name", pushes=1),
    Opcode("IMPORT_STAR", pops=1),
    Opcode("PRINT_EXPR", pops=1),
    # What has a number instead of an opcode
    Opcode("CALL_INTRINSIC_1", "count", pops=1, pushes=1),
    Opcode("CALL_INTRINSIC_2", "count", pops=2, pushes=1),
    # Generators and coroutines
    Opcode("RETURN_GENERATOR", pushes=1, suspends=True),
    Opcode("YIELD_VALUE", pops=1, pushes=1, suspends=True),
    Opcode("GET_YIELD_FROM_ITER", pops=1, pushes=1),
    Opcode("SEND", "jump", pops=2, pushes=2, jump_pops=2, jump_pushes=1),
    Opcode("GET_AWAITABLE", "count", pops=1, pushes=1),
    Opcode("GET_AITER", pops=1, pushes=1),
    Opcode("GET_ANEXT", pushes=1),
    Opcode("END_ASYNC_FOR", pops=2),
    Opcode("BEFORE_ASYNC_WITH", pops=1, pushes=2),
    Opcode("ASYNC_GEN_WRAP", pops=1, pushes=1),
    Opcode("STOPITERATION_ERROR", pops=1, pushes=1),
    Opcode("CLEANUP_THROW", pops=3, pushes=1),
)

OPCODES: dict[str, Opcode] = {row.name: row for row in ROWS}


def contained(item: Any, container: Any) -> bool:
    """`item in container`: the operands in the order in which the stack holds them."""
    return item in container


def not_contained(item: Any, container: Any) -> bool:
    """`item not in container`."""
    return item not in container


UNARY_OPERATORS: dict[str, Callable[[Any], Any]] = {
    "UNARY_POSITIVE": operator.pos,
    "UNARY_NEGATIVE": operator.neg,
    "UNARY_NOT": operator.not_,
    "UNARY_INVERT": operator.invert,
}
"""By opcode name."""

BINARY_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    **{row.symbol: row.function for row in python_operators.BINARY},
    **{row.in_place_symbol: row.in_place for row in python_operators.BINARY},
}
"""By the symbol that source code shows."""

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {row.symbol: row.function for row in python_operators.COMPARISONS}

IDENTITY: tuple[Callable[[Any, Any], bool], ...] = (operator.is_, operator.is_not)
MEMBERSHIP: tuple[Callable[[Any, Any], bool], ...] = (contained, not_contained)
CONVERSIONS: tuple[Callable[[Any], str] | None, ...] = (None, str, repr, ascii)
"""What `FORMAT_VALUE`, or `CONVERT_VALUE`, applies before formatting: nothing, `!s`, `!r`, `!a`."""
