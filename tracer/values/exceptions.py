"""Exceptions, and the fields that those of single builtin classes keep in C.

Nothing here knows how an exception is raised or caught.
"""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import Any

from tracer.guards.source import Source
from tracer.values.base import MISSING
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, no_graph_argument, register, remember
from tracer.values.objects import ObjectValue, build_instance, object_constant, object_parts
from tracer.values.rebuilding import Emitter, Fragment, fragment, listed, named_class, tuple_of_items

Place = tuple[types.CodeType, int, int]
"""Where an exception passed through a frame: its code object, a line, and the offset of an instruction."""


class ExceptionValue(ObjectValue):
    """An exception born in the trace, or one that arrived from outside.

    `traceback` lists where it was raised and what it has passed through since, outermost first.
    """

    __slots__ = ("arguments", "cause", "handling", "suppress", "traceback")

    def __init__(self, cls: type, arguments: Item = (), source: Source | None = None, obj: object = MISSING) -> None:
        super().__init__(cls, source, obj)
        self.arguments: Item = arguments
        self.cause: Item = None
        self.handling: Item = None
        self.suppress = False
        self.traceback: tuple[Place, ...] = ()


def arguments_of(value: ExceptionValue) -> list[Item]:
    """What an exception was made with, one by one."""
    return list(value.arguments if isinstance(value.arguments, tuple) else value.arguments.items)


KEYWORD_FIELDS: tuple[tuple[type[BaseException], tuple[str, ...]], ...] = (
    (AttributeError, ("name", "obj")),
    (NameError, ("name",)),
    (ImportError, ("name", "path")),
)
"""Fields that a constructor takes by keyword, None by default."""

DERIVED_FIELDS: tuple[tuple[type[BaseException], tuple[str, ...]], ...] = (
    (StopIteration, ("value",)),
    (SystemExit, ("code",)),
    (ImportError, ("msg",)),
)
"""Fields that `__init__` derives from the positional arguments; before it ran, CPython has a null pointer there."""

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


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "type", type(obj))
    arguments = context.wrap(obj.args, source.child("getattr", "args"))
    return remember(context, ExceptionValue(type(obj), arguments, source, obj))


def _parts(value: ExceptionValue) -> list[Item]:
    return [*arguments_of(value), value.cause, value.handling, *object_parts(value)]


def _rebuild(emitter: Emitter, value: ExceptionValue) -> Fragment:
    arguments = value.arguments if isinstance(value.arguments, tuple) else value.arguments.items
    cls = named_class(emitter, value.cls)
    new = fragment("{}.__new__({})", cls, listed([cls, *(emitter.expression(argument) for argument in arguments)]))
    name = build_instance(emitter, value, new)
    emitter.say(fragment("{}.args = {}", name, tuple_of_items(emitter, arguments)))
    if value.cause is not None:
        emitter.say(fragment("{}.__cause__ = {}", name, emitter.expression(value.cause)))
    if value.handling is not None:
        emitter.say(fragment("{}.__context__ = {}", name, emitter.expression(value.handling)))
    if value.suppress:
        emitter.say(fragment("{}.__suppress_context__ = True", name))
    if value.traceback:
        places = emitter.constant(trace_back), name, emitter.constant(value.traceback, "places")
        emitter.say(fragment("{}({}, {})", *places))
    return name


def trace_back(exception: BaseException, places: tuple[Place, ...]) -> None:
    """Give an exception the traceback of having been raised at the last of `places` and passed on by the others."""
    exception.__traceback__ = traceback_through(places)


def traceback_through(places: tuple[Place, ...]) -> types.TracebackType | None:
    """The traceback of an exception that was raised at the last of `places` and passed on by the others."""
    following: types.TracebackType | None = None
    for code, line, offset in reversed(places):
        following = types.TracebackType(following, frame_like(code), offset, line)
    return following


def frame_like(code: types.CodeType) -> types.FrameType:
    """A frame, finished already, with the names of `code` and the lines and columns of its instructions.

    As a generator's, it keeps no caller alive.
    """
    like = _own_frame.__code__.replace(
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
        co_linetable=code.co_linetable,
    )
    return types.FunctionType(like, globals())().gi_frame


def _own_frame() -> Generator[None, None, None]:
    yield


register(
    Kind(
        wraps=Wraps(subclasses={BaseException: _wrap}),
        parts=_parts,
        constant=object_constant,
        graph_argument=no_graph_argument,
        rebuild=_rebuild,
    ),
    ExceptionValue,
)
