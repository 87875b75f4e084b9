"""Log messages that a residual program writes after its graph, and whether it may: not through code of the program."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from tracer.effects.streams import is_plain

LAST_RESORT: Any = type(logging.lastResort)
HANDLERS = frozenset((logging.NullHandler, logging.StreamHandler, logging.FileHandler, LAST_RESORT))
"""Classes of handlers that write text to a stream, or nothing."""


def can_log(logger: logging.Logger) -> bool:
    """Whether the message of a logger reaches nothing but streams, and is formatted by the standard library."""
    if type(logger) not in (logging.Logger, logging.RootLogger) or logger.filters:
        return False
    if logging.getLogRecordFactory() is not logging.LogRecord or logger.manager.logRecordFactory is not None:
        return False
    handlers = list(_handlers(logger)) or [logging.lastResort]
    return all(handler is None or _is_plain_handler(handler) for handler in handlers)


def _handlers(logger: logging.Logger) -> Iterator[logging.Handler]:
    ancestor: logging.Logger | None = logger
    while ancestor is not None:
        yield from ancestor.handlers
        ancestor = ancestor.parent if ancestor.propagate else None


def _is_plain_handler(handler: Any) -> bool:
    if type(handler) not in HANDLERS or handler.filters or vars(handler).keys() & {"emit", "handle", "format"}:
        return False
    if handler.formatter is not None and type(handler.formatter) is not logging.Formatter:
        return False
    return type(handler) is logging.NullHandler or is_plain(handler.stream)


def log(logger: Any, level: int, file: str, line: int, function: str, message: str, *args: Any) -> None:
    """Write the message that a logger was given at a line of the program, as `Logger._log` does."""
    record = logger.makeRecord(logger.name, level, file, line, message, args, None, function, None, None)
    logger.handle(record)
