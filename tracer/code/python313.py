"""How CPython 3.13 writes down canonical instructions.

It combines loads and stores of variables that stand side by side, and comparisons with the test of their result: both
are taken apart. What it has split is put together: the test of a truth value and the jump, the names of a call's
keywords and the call, a function and its attributes.
"""

from __future__ import annotations

import dis
from typing import Final

from tracer.code import python312
from tracer.code.dialect import Dialect, Half
from tracer.code.opcodes import COMPARISONS

TESTS_RESULT: Final = 16
"""The bit of COMPARE_OP's argument that makes a bool of the result."""


def _first(argument: int) -> int:
    return argument >> 4


def _second(argument: int) -> int:
    return argument & 15


DIALECT: Final = Dialect(
    dropped=frozenset(
        (
            *("CACHE", "EXTENDED_ARG", "NOP", "RESUME", "SET_FUNCTION_ATTRIBUTE"),
            *("END_FOR", "END_SEND"),
            *("RESERVED", "INTERPRETER_EXIT", "EXIT_INIT_CHECK", "ENTER_EXECUTOR"),  # never in a code object
        )
    ),
    unused=frozenset(
        (
            *("LOAD_CLASSDEREF", "LOAD_CLOSURE", "IMPORT_STAR", "PRINT_EXPR", "FORMAT_VALUE"),
            *("JUMP_IF_TRUE_OR_POP", "JUMP_IF_FALSE_OR_POP"),
        )
    ),
    slots=frozenset(
        (
            *("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_AND_CLEAR", "STORE_FAST", "DELETE_FAST"),
            *("LOAD_DEREF", "STORE_DEREF", "DELETE_DEREF", "LOAD_FROM_DICT_OR_DEREF"),
        )
    ),
    call=("CALL",),
    plain_loads=python312.DIALECT.plain_loads,
    plain_argument=python312.DIALECT.plain_argument,
    forward=python312.DIALECT.forward,
    renamed={"LOAD_FAST_CHECK": "LOAD_FAST", "CALL_KW": "CALL"},
    flagged=python312.DIALECT.flagged,
    numbered=python312.DIALECT.numbered,
    halves={
        **python312.DIALECT.halves,
        "LOAD_FAST_LOAD_FAST": (Half("LOAD_FAST", _first), Half("LOAD_FAST", _second)),
        "STORE_FAST_STORE_FAST": (Half("STORE_FAST", _first), Half("STORE_FAST", _second)),
        "STORE_FAST_LOAD_FAST": (Half("STORE_FAST", _first), Half("LOAD_FAST", _second)),
        "COMPARE_OP": (
            Half("COMPARE_OP", lambda argument: argument & ~TESTS_RESULT),
            Half("TO_BOOL", lambda argument: 0),
        ),
    },
    halved_by={"COMPARE_OP": TESTS_RESULT},
    absorbing={
        "POP_JUMP_IF_TRUE": "TO_BOOL",
        "POP_JUMP_IF_FALSE": "TO_BOOL",
        "UNARY_NOT": "TO_BOOL",
        "CALL_KW": "LOAD_CONST",
    },
    completing={"SET_FUNCTION_ATTRIBUTE": "MAKE_FUNCTION"},
    operands={
        **python312.DIALECT.operands,
        "COMPARE_OP": lambda native, name, argument: COMPARISONS[dis.cmp_op[argument >> 5]],
    },
    hidden_handlers=python312.DIALECT.hidden_handlers,
    exit_of_loop=("END_FOR", "POP_TOP"),
    load_cell="LOAD_FAST",
    is_null_above=True,
    new_dict_of_locals=True,
    close_returns=True,
)
