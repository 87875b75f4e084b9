"""sys: intern is pure, debuggers run natively; exc_info and exception are about what the program handles."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from tracer.guards.source import constant
from tracer.interpret.location import is_library_file
from tracer.interpret.policy import lookaside, pure, refuse
from tracer.interpret.trace import Trace
from tracer.reasons import DEBUGGER, FRAME_INSPECTION, FRAME_OBJECT, UNSUPPORTED_CALL
from tracer.values.base import realise
from tracer.values.exceptions import ExceptionValue
from tracer.values.item import Item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.tuples import make_tuple

pure(sys.intern)
refuse(DEBUGGER, sys.settrace, sys.setprofile)

NOTHING = (None, None, None)


@lookaside(sys._getframe)
def refuse_frame(trace: Trace, depth: Item = 0) -> NoReturn:
    """A break. If it is the captured frame that the program asks for, this runs as it is, so that there is one.

    Libraries ask for the frame of their callers, in order to read its globals (`namedtuple`): any one will do.
    """
    frame: Any = trace.frame
    depth = realise(trace, depth)
    is_captured = isinstance(depth, int) and depth == frame.depth
    if is_captured and depth:
        is_captured = not is_library_file(frame.code.filename)
    trace.stop(FRAME_OBJECT if is_captured else FRAME_INSPECTION, "a frame")


@lookaside(sys.exc_info)
def _exc_info(trace: Trace) -> Item:
    handled = _handled(trace, sys.exc_info, NOTHING)
    if handled is None:
        return NOTHING
    return make_tuple([handled.cls, handled, get_attribute(trace, handled, "__traceback__")])


@lookaside(sys.exception)
def _exception(trace: Trace) -> Item:
    return _handled(trace, sys.exception, None)


def _handled(trace: Trace, function: Callable[[], Any], nothing: Any) -> ExceptionValue | None:
    """What the captured code handles; if nothing, what its callers do, which must be nothing then, too."""
    handled = trace.handled
    if handled is None:
        if sys.exception() is not None:
            trace.stop(UNSUPPORTED_CALL, f"sys.{function.__name__} while a caller handles an exception")
        trace.guard(constant(function).child("call", None), "equal", nothing)
        return None
    if not isinstance(handled, ExceptionValue):
        trace.stop(UNSUPPORTED_CALL, f"sys.{function.__name__} of an exception from outside")
    return handled
