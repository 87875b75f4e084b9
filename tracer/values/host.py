"""Letting CPython itself run a C function on real objects, on behalf of the traced program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracer.reasons import WARNING, GraphBreak
from tracer.values.base import numpy
from tracer.values.context import Context
from tracer.values.exceptions import DERIVED_FIELDS, KEYWORD_FIELDS, NATIVE_FIELDS, ExceptionValue, fields_of
from tracer.values.from_host import from_host
from tracer.values.raising import Raised, chain
from tracer.values.shapes import as_python


def host(context: Context, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)` by CPython, symbols as numbers; what it raises is raised in the traced program."""
    try:
        return function(*map(as_python, args), **kwargs)
    except GraphBreak:
        raise
    except Exception as error:  # noqa: BLE001  (whatever a C function raises is the program's to handle)
        raise Raised(chain(context, born_exception(context, error))) from None


def host_numpy(context: Context, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`host` for a function of numpy; a break where numpy would warn, since each run must do that itself."""
    try:
        with numpy.errstate(all="raise"):
            return host(context, function, *args, **kwargs)
    except Raised as raised:
        if raised.value.cls is not FloatingPointError:
            raise
    context.stop(WARNING, f"numpy.{function.__name__}")


def born_exception(context: Context, error: BaseException) -> ExceptionValue:
    """The item for an exception that CPython has just raised."""
    exception = ExceptionValue(type(error), from_host(context, error.args))
    for rows in (DERIVED_FIELDS, KEYWORD_FIELDS, NATIVE_FIELDS):
        for name in fields_of(type(error), rows):
            if rows is DERIVED_FIELDS or getattr(error, name) is not None:
                exception.keep_field(name, from_host(context, getattr(error, name)))
    return exception
