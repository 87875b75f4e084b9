"""The lines of the program that output is attributed to: those of frames that run now, some levels up."""

from __future__ import annotations

from typing import Any, NamedTuple

from tracer.guards.source import Source
from tracer.interpret.trace import Trace
from tracer.reasons import Reason

OWN_CALLER = "tracer.captured"
"""The module of the function in whose call a captured module is called, which the plain program does not have."""


class OutputPlace(NamedTuple):
    """A line of a running frame, the name of its function, and the globals of the frame."""

    globals: dict[str, Any]
    source: Source
    file: str
    line: int
    function: str


def place_of_caller(trace: Trace, level: int, reason: Reason, internal: str = "") -> OutputPlace:
    """The line that runs in the frame `level` - 1 above the one that calls now; a break where the trace has none.

    Frames of the file `internal` do not count, nor do those that stand for functions of C.
    """
    frame: Any = trace.frame
    while frame is not None:
        if frame.globals_source is not None and frame.code.filename != internal:
            if level <= 1:
                break
            level -= 1
        frame = frame.caller
    if frame is None or frame.globals.get("__name__") == OWN_CALLER:
        trace.stop(reason, "attributed to a caller of the captured function")
    return OutputPlace(frame.globals, frame.globals_source, frame.code.filename, frame.op.line or 0, frame.code.name)
