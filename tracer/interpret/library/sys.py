"""sys: intern is pure, debuggers run natively; exc_info is about the exception that the program handles."""

from __future__ import annotations

import sys

from tracer.guards.source import constant
from tracer.interpret.policy import lookaside, pure, refuse
from tracer.interpret.trace import Trace
from tracer.reasons import DEBUGGER, UNSUPPORTED_CALL
from tracer.values.exceptions import ExceptionValue
from tracer.values.item import Item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.tuples import make_tuple

pure(sys.intern)
refuse(DEBUGGER, sys.settrace, sys.setprofile)

NOTHING = (None, None, None)


@lookaside(sys.exc_info)
def _exc_info(trace: Trace) -> Item:
    """What the captured code handles; if nothing, what its callers do, which must be nothing then, too."""
    handled = trace.handled
    if handled is None:
        if sys.exc_info() != NOTHING:
            trace.stop(UNSUPPORTED_CALL, "sys.exc_info while a caller handles an exception")
        trace.guard(constant(sys.exc_info).child("call", None), "equal", NOTHING)
        return NOTHING
    if not isinstance(handled, ExceptionValue):
        trace.stop(UNSUPPORTED_CALL, "sys.exc_info of an exception from outside")
    return make_tuple([handled.cls, handled, get_attribute(trace, handled, "__traceback__")])
