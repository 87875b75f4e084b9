"""Letting CPython itself run a C function on real objects, on behalf of the traced program."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tracer.reasons import EXCEPTION_STATE, WARNING, GraphBreak
from tracer.values.base import LITERALS, numpy
from tracer.values.context import Context
from tracer.values.exceptions import DERIVED_FIELDS, KEYWORD_FIELDS, NATIVE_FIELDS, ExceptionValue, fields_of
from tracer.values.from_host import from_host
from tracer.values.of_process import note_result
from tracer.values.raising import Raised, chain
from tracer.values.shapes import NUMBERS_OF_SYMBOLS, as_python


def host(context: Context, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)` by CPython, symbols as numbers; what it raises is raised in the traced program."""
    handled = sys.exception()
    try:
        for arg in args:
            if type(arg) in NUMBERS_OF_SYMBOLS:
                args = tuple(map(as_python, args))
                break
        result = function(*args, **kwargs)
        note_result(context, function, args, kwargs, result)
        return result
    except GraphBreak:
        raise
    except Exception as error:  # noqa: BLE001  (whatever a C function raises is the program's to handle)
        exception = innermost = born_exception(context, error, handled)
        while innermost.handling is not None:
            innermost = innermost.handling
        chain(context, innermost)
        raise Raised(exception) from None


def host_numpy(context: Context, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`host` for a function of numpy; a break where numpy would warn, since each run must do that itself."""
    try:
        with numpy.errstate(all="raise"):
            return host(context, function, *args, **kwargs)
    except Raised as raised:
        if raised.value.cls is not FloatingPointError:
            raise
    context.stop(WARNING, f"numpy.{function.__name__}")


def born_exception(context: Context, error: BaseException, handled: BaseException | None = None) -> ExceptionValue:
    """The item for an exception that CPython has just raised, with its attributes and those that led to it.

    `handled` is what the tracer itself was handling meanwhile, where the chain of contexts ends for the program.
    """
    exception = ExceptionValue(type(error), from_host(context, error.args))
    for rows in (DERIVED_FIELDS, KEYWORD_FIELDS, NATIVE_FIELDS):
        for name in fields_of(type(error), rows):
            if rows is DERIVED_FIELDS or getattr(error, name) is not None:
                exception.keep_field(name, from_host(context, getattr(error, name)))
    for name, attribute in vars(error).items():
        parts = attribute if type(attribute) in (list, tuple) else (attribute,)
        if any(type(part) not in LITERALS for part in parts):
            context.stop(EXCEPTION_STATE, f"{type(error).__name__}.{name} is a {type(attribute).__name__}")
        exception.attributes[name] = from_host(context, attribute)
    if error.__context__ is not None and error.__context__ is not handled:
        exception.handling = born_exception(context, error.__context__, handled)
    if error.__cause__ is not None:
        is_context = error.__cause__ is error.__context__
        exception.cause = exception.handling if is_context else born_exception(context, error.__cause__, handled)
    exception.suppress = error.__suppress_context__
    return exception
