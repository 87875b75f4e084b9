"""Tracebacks of exceptions."""

from __future__ import annotations

import types

from tracer.values.base import Value
from tracer.values.exceptions import ExceptionValue, traceback_through
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, no_parts, register
from tracer.values.rebuilding import Emitter, Fragment, fragment


class TracebackValue(Value):
    """The traceback of an exception that the traced program raised, as it was when it was asked for."""

    __slots__ = ("exception", "places")

    def __init__(self, exception: ExceptionValue) -> None:
        super().__init__(types.TracebackType)
        self.exception = exception
        self.places = exception.traceback


def _rebuild(emitter: Emitter, value: TracebackValue) -> Fragment:
    if value.places == value.exception.traceback:
        return fragment("{}.__traceback__", emitter.expression(value.exception))
    return fragment("{}({})", emitter.constant(traceback_through), emitter.constant(value.places, "places"))


register(
    Kind(wraps=BORN, parts=no_parts, constant=no_constant, graph_argument=no_graph_argument, rebuild=_rebuild),
    TracebackValue,
)
