"""warnings: `warn` becomes a call behind the graph, attributed to the line that issued the warning.

What makes the warning an error, or shows it by code of the program, breaks the graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from tracer.effects.log import OutputCall
from tracer.effects.warning_calls import can_warn, issue_warning
from tracer.interpret.call import call
from tracer.interpret.places import OutputPlace, place_of_caller
from tracer.interpret.policy import lookaside, refuse_modules
from tracer.interpret.trace import Trace
from tracer.reasons import WARNING
from tracer.values.base import realise
from tracer.values.class_attributes import HEAP_TYPE
from tracer.values.concrete import concrete
from tracer.values.exceptions import ExceptionValue
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete

refuse_modules(WARNING, "warnings", "_warnings")

PROGRAMMABLE = ("__new__", "__init__", "__str__", "__getattribute__")


@lookaside(warnings.warn)
def _warn(
    trace: Trace, message: Item, category: Item = None, stacklevel: Item = 1, source: Item = None, *rest: Item
) -> None:
    if rest or source is not None:
        trace.stop(WARNING, "warnings.warn with these arguments")
    kind, text = _category_and_text(trace, message, category)
    warn_at(trace, message, kind, text, place_of_caller(trace, _level(trace, stacklevel), WARNING))


def warn_at(trace: Trace, message: Item, kind: type, text: str, place: OutputPlace) -> None:
    """Issue a warning of class `kind`, whose message reads `text`, behind the graph: attributed to `place`."""
    lists = [value.object for value in trace.known.values() if value.cls is list]
    if not can_warn(kind, text, place.globals, place.line, *lists):
        trace.stop(WARNING, kind.__name__)
    trace.effects.output_calls.append(
        OutputCall(
            issue_warning,
            (message, kind, place.source, place.file, place.line),
            can_warn,
            (kind, text, place.source, place.line),
            trace.step,
            looks_at_lists=True,
        )
    )


def _category_and_text(trace: Trace, message: Item, category: Item) -> tuple[type, str]:
    """The class of a warning, and what it says; a break where CPython would refuse it, or run code of the program."""
    if isinstance(message, ExceptionValue) and issubclass(message.cls, Warning):
        kind, text = message.cls, call(trace, str, [message])
    else:
        kind, text = UserWarning if category is None else category, message
    is_category = isinstance(kind, type) and issubclass(kind, Warning)
    if type(text) is not str or not is_category or _is_programmed(kind.__mro__):
        trace.stop(WARNING, "warnings.warn with these arguments")
    return kind, text


def _is_programmed(classes: Iterable[type]) -> bool:
    return any(name in vars(cls) for cls in classes if cls.__flags__ & HEAP_TYPE for name in PROGRAMMABLE)


def _level(trace: Trace, stacklevel: Item) -> int:
    try:
        level = concrete(trace, realise(trace, stacklevel))
    except NotConcrete:
        level = None
    if type(level) is not int:
        trace.stop(WARNING, "warnings.warn with these arguments")
    return level
