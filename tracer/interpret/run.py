"""Interpreting a function without capturing it: for tests of the interpreter itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracer.guards.source import constant
from tracer.interpret.concrete import NotConcrete, concrete
from tracer.interpret.trace import Trace
from tracer.reasons import ESCAPING_OBJECT
from tracer.values.context import Raised


def run(function: Callable[..., Any]) -> Callable[..., Any]:
    """`run(f)(*args) == f(*args)`, every instruction interpreted.

    Raises GraphBreak where the interpreter cannot follow, or when the result holds an object of the
    trace. Arguments are never changed: mutations stay in the trace.
    """

    def interpreted(*args: Any, **kwargs: Any) -> Any:
        trace = Trace()
        items = [trace.wrap(arg, constant(arg)) for arg in args]
        named = {name: trace.wrap(arg, constant(arg)) for name, arg in kwargs.items()}
        try:
            result = trace.call(function, items, named)
        except Raised as raised:
            raise raised.value.cls(*concrete(trace, raised.value.arguments)) from None
        try:
            return concrete(trace, result, instances=True)
        except NotConcrete:
            trace.stop(ESCAPING_OBJECT, repr(result))

    return interpreted
