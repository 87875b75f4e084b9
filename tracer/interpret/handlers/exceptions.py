"""raise, try, with: the instructions behind exception handling."""

from __future__ import annotations

from tracer.code.decode import Op
from tracer.interpret.call import call
from tracer.interpret.frame import ExcInfoEntry, Frame, pop_value
from tracer.interpret.registry import handles
from tracer.interpret.trace import Trace
from tracer.reasons import EXCEPTION_STATE
from tracer.values.base import MISSING, realise
from tracer.values.class_attributes import class_name, special
from tracer.values.exceptions import ExceptionValue
from tracer.values.item import Item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.special_methods import bind_special
from tracer.values.raising import Raised, chain, make_exception, throw
from tracer.values.tuples import TupleValue


@handles("LOAD_ASSERTION_ERROR")
def load_assertion_error(frame: Frame, op: Op) -> None:
    frame.push(AssertionError)


@handles("RAISE_VARARGS")
def raise_varargs(frame: Frame, op: Op) -> None:
    trace = frame.trace
    if op.arg == 0:
        if trace.handled is None:
            throw(trace, RuntimeError, "No active exception to reraise")
        raise Raised(trace.handled)
    cause = pop_value(frame) if op.arg == 2 else None
    exception = make_exception(trace, frame.pop())
    if op.arg == 2:
        exception.cause = _cause(trace, cause)
        exception.suppress = True
    chain(trace, exception)
    raise Raised(exception)


def _cause(trace: Trace, cause: Item) -> Item:
    if isinstance(cause, type) and issubclass(cause, BaseException):
        cause = call(trace, cause, [])
    if cause is not None and not isinstance(cause, ExceptionValue):
        throw(trace, TypeError, "exception causes must derive from BaseException")
    return cause


@handles("PUSH_EXC_INFO")
def push_exc_info(frame: Frame, op: Op) -> None:
    exception = pop_value(frame)
    handling = frame.trace.handling
    frame.push(ExcInfoEntry(handling[-1], exception))
    frame.push(exception)
    handling[-1] = exception


@handles("POP_EXCEPT")
def pop_except(frame: Frame, op: Op) -> None:
    frame.trace.handling[-1] = frame.pop().before


@handles("RERAISE")
def reraise(frame: Frame, op: Op) -> None:
    raise Raised(pop_value(frame))


@handles("CHECK_EXC_MATCH")
def check_exc_match(frame: Frame, op: Op) -> None:
    kinds = pop_value(frame)
    frame.push(matches(frame, frame.peek(), kinds))


def matches(frame: Frame, exception: Item, kinds: Item) -> bool:
    """Whether `except kinds` catches the exception. Of a tuple, also of a subclass, CPython reads what it stores."""
    parts = kinds.all(frame.trace) if isinstance(kinds, TupleValue) else kinds if isinstance(kinds, tuple) else (kinds,)
    choices = tuple(realise(frame.trace, part) for part in parts)
    for kind in choices:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            throw(frame.trace, TypeError, "catching classes that do not inherit from BaseException is not allowed")
    return issubclass(exception.cls, choices)


@handles("CHECK_EG_MATCH", "PREP_RERAISE_STAR")
def exception_group(frame: Frame, op: Op) -> None:
    frame.trace.stop(EXCEPTION_STATE, "except*")


@handles("BEFORE_WITH")
def before_with(frame: Frame, op: Op) -> None:
    trace = frame.trace
    manager = pop_value(frame)
    enter, leave = special(trace, manager, "__enter__"), special(trace, manager, "__exit__")
    if enter is MISSING or leave is MISSING:
        detail = "" if enter is MISSING else " (missed __exit__ method)"
        throw(
            trace,
            TypeError,
            f"'{class_name(manager)}' object does not support the context manager protocol{detail}",
        )
    enter = bind_special(trace, enter, manager, "__enter__")
    leave = bind_special(trace, leave, manager, "__exit__")
    result = call(trace, enter, [])
    frame.push(leave)
    frame.push(result)


@handles("WITH_EXCEPT_START")
def with_except_start(frame: Frame, op: Op) -> None:
    exception: ExceptionValue = frame.peek()
    leave = frame.peek(4)
    traceback = get_attribute(frame.trace, exception, "__traceback__")
    frame.push(call(frame.trace, leave, [exception.cls, exception, traceback]))
