"""Breaks that a test asks for: in front of any instruction that may break, whatever the program does there.

A captured program must be the same wherever its graph ends. `forced_breaks` is a context manager for tests and for
debugging. It costs nothing outside: it puts other handlers into the table of opcodes, and takes them out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tracer.code.decode import Op, decoded
from tracer.code.resume import origin
from tracer.interpret.frame import Frame
from tracer.interpret.registry import HANDLERS, OpHandler
from tracer.reasons import EXPLICIT
from tracer.values.base import Lazy

Choice = Callable[[Frame, Op], bool]
"""Whether the graph is to break in front of an instruction of a captured frame."""

NAMES = """
POP_TOP PUSH_NULL COPY SWAP LOAD_CONST LOAD_FAST LOAD_FAST_AND_CLEAR STORE_FAST DELETE_FAST MAKE_CELL COPY_FREE_VARS
LOAD_CLOSURE LOAD_DEREF STORE_DEREF DELETE_DEREF LOAD_ASSERTION_ERROR LOAD_BUILD_CLASS IS_OP MAKE_FUNCTION BUILD_TUPLE
BUILD_LIST LIST_TO_TUPLE BUILD_SLICE LIST_APPEND JUMP RETURN_VALUE RERAISE PUSH_EXC_INFO POP_EXCEPT RETURN_GENERATOR
YIELD_VALUE SEND GET_AWAITABLE GET_AITER GET_ANEXT END_ASYNC_FOR BEFORE_ASYNC_WITH ASYNC_GEN_WRAP
"""
NEVER_BREAK = frozenset(NAMES.split())
"""Opcodes that only move what is there, and those of frames that are not captured."""


def everywhere(frame: Frame, op: Op) -> bool:
    """Break at every instruction that may break."""
    return True


def every_other(frame: Frame, op: Op) -> bool:
    """Break at each instruction with an odd number, so that graphs and breaks take turns."""
    return bool(op.index % 2)


def at_index(index: int) -> Choice:
    """Break at one instruction, by its number, and nowhere in a continuation after it."""
    return lambda frame, op: op.index == index and origin(frame.code.native) is None


@contextmanager
def forced_breaks(choice: Choice = everywhere) -> Iterator[None]:
    """While it is entered, captures break where `choice(frame, instruction)` says so.

    Only instructions of the captured frame itself are asked about; those of a callee are when it is captured on its
    own, which a break at its call leads to. Captures made before stay; `reset()` forgets them.
    """
    originals = dict(HANDLERS)
    for name, handler in originals.items():
        if name not in NEVER_BREAK:
            HANDLERS[name] = _breaking(handler, choice)
    _rebind()
    try:
        yield
    finally:
        HANDLERS.update(originals)
        _rebind()


def _breaking(handler: OpHandler, choice: Choice) -> OpHandler:
    def run(frame: Frame, op: Op) -> object:
        if frame.caller is None and choice(frame, op) and not _is_bound_to_its_frame(frame, op):
            frame.trace.stop(EXPLICIT, f"forced at {op.name}")
        return handler(frame, op)

    return run


def _is_bound_to_its_frame(frame: Frame, op: Op) -> bool:
    """Whether no other frame can execute an instruction, which then never breaks.

    Those are the prologue of a continuation, and a call of `super` without arguments.
    """
    continued = origin(frame.code.native)
    if continued is not None and op.offset not in continued.offsets:
        return True
    if op.name != "CALL" or op.arg:
        return False
    return any((item.object if type(item) is Lazy else item) is super for item in frame.stack[-2:])


def _rebind() -> None:
    """Have every instruction look up its handler again when its frame is run."""
    for code in decoded():
        code.ops[0].run = None
