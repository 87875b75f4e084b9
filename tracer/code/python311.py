"""How CPython 3.11 writes down canonical instructions, which are its own but for caches, prefixes and jumps."""

from __future__ import annotations

from typing import Final

from tracer.code.dialect import Dialect

DIALECT: Final = Dialect(
    dropped=frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "RESUME", "KW_NAMES"}),
    unused=frozenset(
        (
            *("BINARY_SLICE", "STORE_SLICE", "LOAD_FAST_AND_CLEAR", "LOAD_SUPER_ATTR", "LOAD_SUPER_METHOD"),
            *("CALL_INTRINSIC_1", "CALL_INTRINSIC_2", "STOPITERATION_ERROR", "CLEANUP_THROW"),
            *("LOAD_LOCALS", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF"),
            *("CONVERT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "TO_BOOL"),
        )
    ),
    slots=frozenset(
        (
            *("LOAD_FAST", "STORE_FAST", "DELETE_FAST", "LOAD_CLOSURE"),
            *("LOAD_DEREF", "STORE_DEREF", "DELETE_DEREF", "LOAD_CLASSDEREF"),
        )
    ),
    call=("PRECALL", "CALL"),
    plain_loads={"LOAD_METHOD": "LOAD_ATTR"},
    plain_argument=lambda argument: argument,
    forward={
        "POP_JUMP_BACKWARD_IF_TRUE": "POP_JUMP_FORWARD_IF_TRUE",
        "POP_JUMP_BACKWARD_IF_FALSE": "POP_JUMP_FORWARD_IF_FALSE",
        "POP_JUMP_BACKWARD_IF_NONE": "POP_JUMP_FORWARD_IF_NONE",
        "POP_JUMP_BACKWARD_IF_NOT_NONE": "POP_JUMP_FORWARD_IF_NOT_NONE",
        "JUMP_BACKWARD": "JUMP_FORWARD",
        "JUMP_BACKWARD_NO_INTERRUPT": "JUMP_FORWARD",
    },
)
