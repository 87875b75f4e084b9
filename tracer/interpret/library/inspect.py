"""inspect: signatures are read while tracing; whatever looks at frames or source breaks the graph."""

from __future__ import annotations

import inspect
import types

from tracer.interpret.policy import (
    interpret,
    lookaside,
    refuse_modules,
)
from tracer.interpret.trace import Trace
from tracer.reasons import (
    FRAME_INSPECTION,
    UNSUPPORTED_CALL,
)
from tracer.values.base import realise
from tracer.values.concrete import concrete
from tracer.values.from_host import from_host
from tracer.values.functions import FunctionValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete

refuse_modules(FRAME_INSPECTION, "inspect")
interpret(
    *(inspect.isclass, inspect.isfunction, inspect.ismethod, inspect.isbuiltin, inspect.ismodule),
    *(inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect._has_code_flag),  # type: ignore[attr-defined]
)
interpret(
    inspect.BoundArguments,
    *{  # a set, as from 3.13 on one function has two names
        function
        for cls in (inspect.Signature, inspect.Parameter, inspect.BoundArguments)
        for attribute in vars(cls).values()
        for function in (attribute.fget if isinstance(attribute, property) else attribute,)
        if isinstance(function, types.FunctionType)
    },
)


@lookaside(inspect.signature)
def _signature(trace: Trace, function: Item, **kwargs: Item) -> Item:
    function = realise(trace, function)
    if isinstance(function, FunctionValue):
        trace.stop(UNSUPPORTED_CALL, "inspect.signature of a function defined in the captured function")
    try:
        return from_host(trace, host(trace, inspect.signature, concrete(trace, function, instances=True), **kwargs))
    except NotConcrete:
        trace.stop(UNSUPPORTED_CALL, "inspect.signature")
