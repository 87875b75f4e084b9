"""Raising exceptions in the traced program: the exceptions that our own code raises on its behalf.

Nothing here knows how an exception is caught.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from tracer.reasons import EXCEPTION_STATE
from tracer.values.base import MISSING, Lazy
from tracer.values.context import Context
from tracer.values.exceptions import DERIVED_FIELDS, ExceptionValue, fields_of
from tracer.values.item import Item
from tracer.values.tuples import make_tuple


class Raised(Exception):
    """A Python exception raised by the traced program; `value` is the exception as an item."""

    def __init__(self, value: ExceptionValue) -> None:
        super().__init__(value)
        self.value = value


def throw(context: Context, cls: type[BaseException], *args: object, **fields: Item) -> NoReturn:
    """Raise `cls(*args)` inside the traced program; `fields` are attributes that the exception is born with."""
    exception = new_exception(cls, *args)
    for name, item in fields.items():
        exception.keep_field(name, item)
    raise Raised(chain(context, exception))


def throw_from(cls: type[BaseException], message: str, cause: ExceptionValue) -> NoReturn:
    """`raise cls(message) from cause` inside the traced program."""
    exception = new_exception(cls, message)
    exception.cause = exception.handling = cause
    exception.suppress = True
    raise Raised(exception)


def new_exception(cls: type[BaseException], *args: Item) -> ExceptionValue:
    """An exception that nothing has raised yet."""
    exception = ExceptionValue(cls)
    initialise(exception, args)
    return exception


def initialise(exception: ExceptionValue, arguments: Sequence[Item]) -> None:
    """What `__init__` of a builtin exception class leaves: the arguments, and the field derived from them."""
    exception.arguments = make_tuple(arguments)
    for name in fields_of(exception.cls, DERIVED_FIELDS):
        if name == "msg" and len(arguments) != 1:
            exception.keep_field(name, None)
        elif name == "code" and len(arguments) > 1:
            exception.keep_field(name, exception.arguments)
        else:
            exception.keep_field(name, arguments[0] if arguments else None)


def make_exception(context: Context, item: Item) -> ExceptionValue:
    """What `raise item` raises."""
    item = item.realise(context) if type(item) is Lazy else item
    if isinstance(item, type) and issubclass(item, BaseException):
        item = context.machine.call(context, item, [])
    if not isinstance(item, ExceptionValue):
        throw(context, TypeError, "exceptions must derive from BaseException")
    if item.object is not MISSING:
        context.stop(EXCEPTION_STATE, f"an exception from outside is raised, {item!r}")
    return item


def chain(context: Context, exception: ExceptionValue) -> ExceptionValue:
    """Set `__context__`, as raising inside a handler does; no chain may lead back to the exception.

    The program itself may have made a cycle: that is left as it is.
    """
    handled = context.handled
    if handled is None or exception is handled:
        return exception
    link, visited = handled, {id(handled)}
    while link.object is MISSING and link.handling is not None:
        if link.handling is exception:
            link.handling = None
            break
        link = link.handling
        if id(link) in visited:
            break
        visited.add(id(link))
    exception.handling = handled
    return exception
