"""How CPython 3.12 writes down canonical instructions.

What it has combined is taken apart: `RETURN_CONST` is a load and a return. What it has split is put together: the end
of a loop or of a `yield from`, whose stack its evaluator cleans up in an instruction of its own.
"""

from __future__ import annotations

import dis
from typing import Final

from tracer.code.dialect import Dialect, Half
from tracer.code.opcodes import COMPARISONS

DIALECT: Final = Dialect(
    dropped=frozenset(
        (
            *("CACHE", "EXTENDED_ARG", "NOP", "RESUME", "KW_NAMES"),
            *("END_FOR", "END_SEND"),
            *("RESERVED", "INTERPRETER_EXIT"),  # never in a code object
        )
    ),
    unused=frozenset(
        (
            *("LOAD_CLASSDEREF", "IMPORT_STAR", "PRINT_EXPR"),
            *("JUMP_IF_TRUE_OR_POP", "JUMP_IF_FALSE_OR_POP"),
            *("CONVERT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "TO_BOOL"),
        )
    ),
    slots=frozenset(
        (
            *("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_AND_CLEAR", "STORE_FAST", "DELETE_FAST", "LOAD_CLOSURE"),
            *("LOAD_DEREF", "STORE_DEREF", "DELETE_DEREF", "LOAD_FROM_DICT_OR_DEREF"),
        )
    ),
    call=("CALL",),
    plain_loads={"LOAD_METHOD": "LOAD_ATTR", "LOAD_SUPER_METHOD": "LOAD_SUPER_ATTR"},
    plain_argument=lambda argument: argument & ~1,
    forward={"JUMP_BACKWARD": "JUMP_FORWARD", "JUMP_BACKWARD_NO_INTERRUPT": "JUMP_FORWARD"},
    renamed={"LOAD_FAST_CHECK": "LOAD_FAST"},
    flagged={"LOAD_ATTR": "LOAD_METHOD", "LOAD_SUPER_ATTR": "LOAD_SUPER_METHOD"},
    numbered={
        "CALL_INTRINSIC_1": {
            3: "STOPITERATION_ERROR",
            4: "ASYNC_GEN_WRAP",
            5: "UNARY_POSITIVE",
            6: "LIST_TO_TUPLE",
        },
        "CALL_INTRINSIC_2": {1: "PREP_RERAISE_STAR"},
    },
    halves={
        "RETURN_CONST": (
            Half("LOAD_CONST", lambda argument: argument),
            Half("RETURN_VALUE", lambda argument: 0),
        )
    },
    operands={
        "LOAD_ATTR": lambda native, name, argument: native.co_names[argument >> 1],
        "LOAD_METHOD": lambda native, name, argument: native.co_names[argument >> 1],
        "LOAD_SUPER_ATTR": lambda native, name, argument: native.co_names[argument >> 2],
        "LOAD_SUPER_METHOD": lambda native, name, argument: native.co_names[argument >> 2],
        "COMPARE_OP": lambda native, name, argument: COMPARISONS[dis.cmp_op[argument >> 4]],
    },
    hidden_handlers=frozenset({"CLEANUP_THROW", "STOPITERATION_ERROR"}),
    exit_of_loop=("END_FOR",),
)
