"""logging: calls of loggers.

A logger whose level leaves a call silent does nothing, once the level is guarded. A message that is known while tracing
becomes a call behind the graph; what reaches code of the program breaks the graph.
"""

from __future__ import annotations

import logging
import operator
from typing import Any

from tracer.effects.log import OutputCall
from tracer.effects.logging_calls import can_log, log
from tracer.guards.source import constant
from tracer.interpret.places import place_of_caller
from tracer.interpret.policy import interpret, lookaside, refuse_modules
from tracer.interpret.trace import Trace
from tracer.reasons import PRINTING
from tracer.values.base import LITERALS, class_of, realise
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.objects import ObjectValue
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.operators import compare
from tracer.values.protocols.truth import truth
from tracer.values.raising import Raised

refuse_modules(PRINTING, "logging")

LEVELS = {
    logging.Logger.debug: logging.DEBUG,
    logging.Logger.info: logging.INFO,
    logging.Logger.warning: logging.WARNING,
    logging.Logger.error: logging.ERROR,
    logging.Logger.critical: logging.CRITICAL,
}
"""Methods that write a log message, and the level of the message."""

LEVELS_OF_OTHERS = {logging.Logger.warn: logging.WARNING, logging.Logger.exception: logging.ERROR}
"""Methods that also warn, or write a traceback."""

INTERNAL = logging.debug.__code__.co_filename
"""The file whose frames a message is never attributed to."""

interpret(logging.debug, logging.info, logging.warning, logging.error, logging.critical, logging.log)


@lookaside(logging.Logger.getEffectiveLevel)
def _effective_level(trace: Trace, logger: Item) -> Item:
    ancestor = realise(trace, logger)
    while ancestor is not None:
        level = realise(trace, get_attribute(trace, ancestor, "level"))
        if level:
            return level
        ancestor = realise(trace, get_attribute(trace, ancestor, "parent"))
    return logging.NOTSET


@lookaside(logging.Logger.isEnabledFor)
def _is_enabled(trace: Trace, logger: Item, level: Item) -> bool:
    """Logger.isEnabledFor, without its cache."""
    level = realise(trace, level)
    if truth(trace, get_attribute(trace, logger, "disabled")):
        return False
    disabled = get_attribute(trace, get_attribute(trace, logger, "manager"), "_disable")
    if truth(trace, compare(trace, operator.ge, disabled, level)):
        return False
    return truth(trace, compare(trace, operator.ge, level, _effective_level(trace, logger)))


@lookaside(logging.Logger.log)
def _log(trace: Trace, logger: Item, level: Item, message: Item, *args: Item, **options: Item) -> None:
    if not issubclass(class_of(realise(trace, level)), int):
        trace.stop(PRINTING, "the level of a log message is no number")  # logging.raiseExceptions says what is done
    if not _is_enabled(trace, logger, level):
        return
    text, parts = realise(trace, message), [realise(trace, arg) for arg in args]
    is_known = type(text) is str and type(level) is int and all(type(part) in LITERALS for part in parts)
    stacklevel = realise(trace, options.pop("stacklevel", 1))
    real: Any = logger.object if isinstance(logger, ObjectValue) and logger.source is not None else None
    if not (is_known and real is not None and type(stacklevel) is int) or options or not can_log(real):
        trace.stop(PRINTING, "a log message")
    try:
        if parts:
            host(trace, str.__mod__, text, tuple(parts))
    except Raised:
        trace.stop(PRINTING, "a log message that cannot be formatted")
    place = place_of_caller(trace, stacklevel, PRINTING, INTERNAL)
    arguments = (logger, level, place.file, place.line, place.function, text, *parts)
    trace.effects.output_calls.append(OutputCall(log, arguments, can_log, (logger,), trace.step))


def _method(level: int) -> Any:
    def write(trace: Trace, logger: Item, message: Item, *args: Item, **options: Item) -> None:
        _log(trace, logger, level, message, *args, **options)

    return write


def _method_that_does_more(level: int) -> Any:
    def write(trace: Trace, logger: Item, *args: Item, **options: Item) -> None:
        if _is_enabled(trace, logger, level):
            trace.stop(PRINTING, "a log message")

    return write


for _function, _level in LEVELS.items():
    lookaside(_function)(_method(_level))
for _function, _level in LEVELS_OF_OTHERS.items():
    lookaside(_function)(_method_that_does_more(_level))


@lookaside(logging.getLogger)
def _get_logger(trace: Trace, name: Item = None) -> Item:
    """The logger of a name, a constant once it exists."""
    if name and name not in logging.Logger.manager.loggerDict:
        trace.stop(PRINTING, "a logger is created")
    logger = logging.getLogger(name)
    return trace.wrap(logger, constant(logger))
