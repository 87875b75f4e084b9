"""Opcode handlers, by canonical name. A name that does not exist is refused when it is registered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracer.code.decode import Op
from tracer.code.opcodes import OPCODES
from tracer.interpret.frame import Frame

OpHandler = Callable[[Frame, Op], Any]
"""Runs one instruction; answers True when the frame has returned or yielded."""

HANDLERS: dict[str, OpHandler] = {}


def handles(*names: str) -> Callable[[OpHandler], OpHandler]:
    """Register the decorated function as the handler of each of the opcodes `names`."""

    def register(handler: OpHandler) -> OpHandler:
        for name in names:
            assert name in OPCODES, f"no canonical opcode {name}"
            assert name not in HANDLERS, f"{name} has two handlers"
            HANDLERS[name] = handler
        return handler

    return register
