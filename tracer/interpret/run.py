"""Interpreting a function without capturing it: for tests of the interpreter itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracer.guards.source import constant
from tracer.interpret.call import call
from tracer.interpret.interpreter import MACHINE
from tracer.interpret.trace import Trace
from tracer.reasons import ESCAPING_OBJECT
from tracer.values.concrete import concrete
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.raising import Raised


def run(function: Callable[..., Any]) -> Callable[..., Any]:
    """`run(f)(*args) == f(*args)`, every instruction interpreted.

    Raises GraphBreak where the interpreter cannot follow, or when the result holds an object of the
    trace. Arguments are never changed: mutations stay in the trace.
    """

    def interpreted(*args: Any, **kwargs: Any) -> Any:
        trace = Trace(MACHINE)
        items = [trace.wrap(arg, constant(arg)) for arg in args]
        keywords = {name: trace.wrap(arg, constant(arg)) for name, arg in kwargs.items()}
        try:
            result = call(trace, function, items, keywords)
        except Raised as raised:
            error = _real(trace, raised.value.arguments)
            raise raised.value.cls(*error) from None
        return _real(trace, result)

    return interpreted


def _real(trace: Trace, item: Item) -> Any:
    try:
        return concrete(trace, item, instances=True)
    except NotConcrete:
        trace.stop(ESCAPING_OBJECT, repr(item))
