"""What exceptions keep in C: arguments, cause and context, traceback, and the fields of single classes.

Nothing here knows how an exception is raised or caught.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from tracer.reasons import UNSUPPORTED_ATTRIBUTE, UNSUPPORTED_MUTATION
from tracer.values.base import MISSING, UNREAD, Item, Value
from tracer.values.containers import make_tuple
from tracer.values.objects import ExceptionValue

if TYPE_CHECKING:
    from tracer.values.context import Context


class TracebackValue(Value):
    """The traceback of an exception that the traced program raised: known to be there, and no more."""

    __slots__ = ("exception",)

    def __init__(self, exception: ExceptionValue) -> None:
        super().__init__(types.TracebackType)
        self.exception = exception


KEYWORD_FIELDS: tuple[tuple[type[BaseException], tuple[str, ...]], ...] = (
    (AttributeError, ("name", "obj")),
    (NameError, ("name",)),
    (ImportError, ("name", "path")),
)
"""Fields that a constructor takes by keyword, None by default."""

NATIVE_FIELDS: tuple[tuple[type[BaseException], tuple[str, ...]], ...] = (
    (OSError, ("errno", "strerror", "filename", "filename2")),
    (UnicodeDecodeError, ("encoding", "object", "start", "end", "reason")),
    (UnicodeEncodeError, ("encoding", "object", "start", "end", "reason")),
    (UnicodeTranslateError, ("object", "start", "end", "reason")),
    (SyntaxError, ("msg", "filename", "lineno", "offset", "text", "end_lineno", "end_offset", "print_file_and_line")),
)
"""Fields that a constructor works out from its arguments; its exceptions are made by CPython."""


def fields_of(
    cls: type[BaseException], rows: tuple[tuple[type[BaseException], tuple[str, ...]], ...]
) -> tuple[str, ...]:
    """The names that a table of fields gives for an exception class."""
    return next((names for base, names in rows if issubclass(cls, base)), ())


def arguments_of(value: ExceptionValue) -> list[Item]:
    """What an exception was made with, one by one."""
    return list(value.arguments if isinstance(value.arguments, tuple) else value.arguments.items)


def read_field(context: Context, value: ExceptionValue, name: str) -> Item:
    """A C-level attribute of an exception."""
    known = value.field(name)
    if known is not UNREAD:
        return known
    if value.object is not MISSING:
        return _read_outside(context, value, name)
    if name == "args":
        return value.arguments
    if name in DIRECT:
        return getattr(value, DIRECT[name])
    if name == "__traceback__":
        return TracebackValue(value) if value.traceback else None
    arguments = arguments_of(value)
    if name == "value" and issubclass(value.cls, StopIteration):
        return arguments[0] if arguments else None
    if name == "code" and issubclass(value.cls, SystemExit):
        return make_tuple(arguments) if len(arguments) > 1 else arguments[0] if arguments else None
    if name in fields_of(value.cls, KEYWORD_FIELDS) or name in fields_of(value.cls, NATIVE_FIELDS):
        return None
    if name == "msg" and issubclass(value.cls, ImportError):
        return arguments[0] if len(arguments) == 1 else None
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
        value.arguments = make_tuple(context.unpack(item))
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
    elif not isinstance(item, TracebackValue) or item.exception is not value:
        context.stop(UNSUPPORTED_MUTATION, f"{value.cls.__name__}.__traceback__ is set")


DIRECT = {"__cause__": "cause", "__context__": "handling", "__suppress_context__": "suppress"}
"""Attributes that the value keeps itself."""
