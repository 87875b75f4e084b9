"""logging: calls of loggers.

A logger whose level leaves a call silent does nothing, once the level is guarded; one that would write
breaks the graph.
"""

from __future__ import annotations

import logging

from tracer.guards.source import constant
from tracer.interpret.policy import lookaside, refuse_modules
from tracer.interpret.trace import Trace
from tracer.reasons import PRINTING
from tracer.values.base import realise
from tracer.values.item import Item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.truth import truth

refuse_modules(PRINTING, "logging")

LEVELS = {
    logging.Logger.debug: logging.DEBUG,
    logging.Logger.info: logging.INFO,
    logging.Logger.warning: logging.WARNING,
    logging.Logger.warn: logging.WARNING,
    logging.Logger.error: logging.ERROR,
    logging.Logger.exception: logging.ERROR,
    logging.Logger.critical: logging.CRITICAL,
}
"""Methods that write a log message, and the level of the message."""


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
    if realise(trace, get_attribute(trace, get_attribute(trace, logger, "manager"), "_disable")) >= level:
        return False
    return level >= _effective_level(trace, logger)


@lookaside(logging.Logger.log)
def _log(trace: Trace, logger: Item, level: Item, *args: Item, **kwargs: Item) -> None:
    if _is_enabled(trace, logger, level):
        trace.stop(PRINTING, "a log message")


for _method, _level in LEVELS.items():
    lookaside(_method)(lambda trace, logger, *args, level=_level, **kwargs: _log(trace, logger, level))


@lookaside(logging.getLogger)
def _get_logger(trace: Trace, name: Item = None) -> Item:
    """The logger of a name, a constant once it exists."""
    if name and name not in logging.Logger.manager.loggerDict:
        trace.stop(PRINTING, "a logger is created")
    logger = logging.getLogger(name)
    return trace.wrap(logger, constant(logger))
