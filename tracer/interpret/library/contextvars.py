"""contextvars: a variable is read under a guard on its value, and what it is set to is set behind the graph.

The token of a change that the traced function makes is a value of the trace, which undoes that change in the log.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any, NoReturn

from tracer.guards.source import constant, kept
from tracer.interpret.policy import immutable, lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import MISSING, Value, realise
from tracer.values.class_attributes import class_name
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, no_parts, no_rebuild, register

immutable(ContextVar)  # but for its value, whose methods have rows of their own

VALUE = "value"
"""The name under which the effect log has what a variable is set to."""


class TokenValue(Value):
    """The token of a change made in the trace: `before` is what the trace had set the variable to, else MISSING."""

    __slots__ = ("before", "birth", "used", "variable")

    def __init__(self, variable: ContextVar[Any], before: Item, birth: int) -> None:
        super().__init__(Token)
        self.variable = variable
        self.before = before
        self.birth = birth
        self.used = False


register(Kind(BORN, no_parts, no_constant, no_graph_argument, no_rebuild), TokenValue)


@lookaside(ContextVar.get)
def _get(trace: Trace, variable: Item, *default: Item) -> Item:
    value = _value(trace, variable)
    if value is not MISSING:
        return value
    if default:
        return default[0]
    try:
        preset = variable.get()
    except LookupError:
        _refuse(trace, variable)
    return trace.wrap(preset, kept(preset))


@lookaside(ContextVar.set)
def _set(trace: Trace, variable: Item, item: Item) -> Item:
    _refuse_unknown(trace, variable)
    token = TokenValue(variable, trace.effects.read(variable, VALUE, MISSING), trace.step)
    trace.effects.write(variable, VALUE, item)
    return token


@lookaside(ContextVar.reset)
def _reset(trace: Trace, variable: Item, token: Item) -> None:
    if not isinstance(token, TokenValue) or token.used or token.variable is not variable:
        _refuse(trace, variable)
    token.used = True
    if token.before is MISSING:
        trace.effects.take_back(variable, VALUE)
    else:
        trace.effects.write(variable, VALUE, token.before)


def _value(trace: Trace, variable: Item) -> Item:
    """What a variable holds now; MISSING if it has no value."""
    _refuse_unknown(trace, variable)
    written = trace.effects.read(variable, VALUE, MISSING)
    if written is not MISSING:
        return written
    held = ContextVar.get(variable, variable)
    item = realise(trace, trace.wrap(held, constant(variable).child("held")))
    return MISSING if item is variable else item


def _refuse_unknown(trace: Trace, variable: Item) -> None:
    if type(variable) is not ContextVar:
        _refuse(trace, variable)


def _refuse(trace: Trace, variable: Item) -> NoReturn:
    trace.stop(UNSUPPORTED_CALL, f"a {class_name(variable)}, or a token, that only CPython knows")
