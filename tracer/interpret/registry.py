"""Opcode handlers, by canonical name. A name that does not exist is refused when it is registered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracer.code.decode import Code, Op
from tracer.code.opcodes import OPCODES
from tracer.reasons import UNSUPPORTED_OPCODE

if TYPE_CHECKING:
    from tracer.interpret.frame import Frame

OpHandler = Callable[["Frame", Op], Any]
"""Runs one instruction; answers True when the frame has returned or yielded."""

HANDLERS: dict[str, OpHandler] = {}


def handles(*names: str) -> Callable[[OpHandler], OpHandler]:
    def register(handler: OpHandler) -> OpHandler:
        for name in names:
            assert name in OPCODES, f"no canonical opcode {name}"
            assert name not in HANDLERS, f"{name} has two handlers"
            HANDLERS[name] = handler
        return handler

    return register


def bind(code: Code) -> None:
    """Give every instruction of `code` its handler, once."""
    for op in code.ops:
        op.run = HANDLERS.get(op.name, _unsupported)


def _unsupported(frame: Frame, op: Op) -> None:
    frame.trace.stop(UNSUPPORTED_OPCODE, op.name)
