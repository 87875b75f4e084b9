"""What can be read and set of an exception: arguments, cause, context, traceback, and fields of single classes."""

from __future__ import annotations

from typing import Any

from tracer.reasons import UNSUPPORTED_ATTRIBUTE, UNSUPPORTED_MUTATION
from tracer.values.base import MISSING, UNREAD
from tracer.values.context import Context
from tracer.values.exceptions import (
    DERIVED_FIELDS,
    KEYWORD_FIELDS,
    NATIVE_FIELDS,
    ExceptionValue,
    fields_of,
)
from tracer.values.item import Item
from tracer.values.protocols.iteration import unpack
from tracer.values.tracebacks import TracebackValue
from tracer.values.tuples import make_tuple


def read_field(context: Context, value: ExceptionValue, name: str) -> Item:
    """A C-level attribute of an exception."""
    field = value.field(name)
    if field is not UNREAD:
        return field
    if value.object is not MISSING:
        return _read_outside(context, value, name)
    if name == "args":
        return value.arguments
    if name in DIRECT:
        return getattr(value, DIRECT[name])
    if name == "__traceback__":
        return TracebackValue(value) if value.traceback else None
    if any(name in fields_of(value.cls, rows) for rows in (DERIVED_FIELDS, KEYWORD_FIELDS, NATIVE_FIELDS)):
        return None
    context.stop(UNSUPPORTED_ATTRIBUTE, f"{value.cls.__name__}.{name}")


def _read_outside(context: Context, value: ExceptionValue, name: str) -> Item:
    assert value.source is not None
    if name == "__traceback__":
        context.stop(UNSUPPORTED_ATTRIBUTE, f"{value.cls.__name__}.{name}")
    real: Any = value.object
    item = context.wrap(getattr(real, name), value.source.child("getattr", name))
    value.keep_field(name, item)
    return item


def write_field(context: Context, value: ExceptionValue, name: str, item: Item) -> None:
    """Set a C-level attribute of an exception."""
    if value.object is not MISSING or item is MISSING:
        context.stop(UNSUPPORTED_MUTATION, f"{value.cls.__name__}.{name} is set")
    if name == "args":
        value.arguments = make_tuple(unpack(context, item))
    elif name in DIRECT:
        setattr(value, DIRECT[name], item)
        value.suppress = value.suppress or name == "__cause__"
    elif name == "__traceback__":
        _set_traceback(context, value, item)
    else:
        value.write_field(context, name, item)


def _set_traceback(context: Context, value: ExceptionValue, item: Item) -> None:
    if item is None:
        value.traceback = ()
    elif isinstance(item, TracebackValue) and item.exception is value:
        value.traceback = item.places
    else:
        context.stop(UNSUPPORTED_MUTATION, f"{value.cls.__name__}.__traceback__ is set")


DIRECT = {"__cause__": "cause", "__context__": "handling", "__suppress_context__": "suppress"}
"""Attributes that the value keeps itself."""
