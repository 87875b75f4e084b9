"""inspect: signatures are read while tracing; whatever looks at frames or source breaks the graph."""

from __future__ import annotations

import inspect
import types
from typing import Any, NoReturn

from tracer.interpret.functions import FunctionFacts
from tracer.interpret.library.sys import refuse_frame
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
from tracer.values.base import MISSING, Value, realise
from tracer.values.concrete import concrete
from tracer.values.dicts import DictValue
from tracer.values.from_host import from_host
from tracer.values.functions import FunctionValue, NestedFunction
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.methods import BoundMethod
from tracer.values.objects import ObjectValue
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.optional_attributes import optional_attribute
from tracer.values.tuples import TupleValue

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


@lookaside(inspect.currentframe)
def _currentframe(trace: Trace) -> NoReturn:
    refuse_frame(trace)


@lookaside(inspect.signature)
def _signature(trace: Trace, function: Item, **kwargs: Item) -> Item:
    try:
        return from_host(trace, host(trace, inspect.signature, _like(trace, realise(trace, function)), **kwargs))
    except NotConcrete:
        trace.stop(UNSUPPORTED_CALL, "inspect.signature")


def _like(trace: Trace, function: Item) -> Any:
    """A real callable with the signature of `function`, all that it consists of guarded if that is a function."""
    if isinstance(function, BoundMethod):
        return types.MethodType(_like(trace, realise(trace, function.function)), inspect)
    if not isinstance(function, (types.FunctionType, NestedFunction, FunctionValue)):
        return concrete(trace, function, instances=True)
    like = _function_like(trace, function)
    for name in ("__wrapped__", "__signature__"):
        attribute = optional_attribute(trace, function, name)
        if attribute is not MISSING:
            vars(like)[name] = _like(trace, realise(trace, attribute))
    return like


def _function_like(trace: Trace, function: types.FunctionType | NestedFunction | FunctionValue) -> types.FunctionType:
    """A real function that has the parameters, defaults and annotations of another."""
    facts: Any = function
    if isinstance(function, NestedFunction):
        facts = FunctionFacts(trace, function.object, function.source)  # type: ignore[arg-type]
    elif isinstance(function, types.FunctionType):
        facts = FunctionFacts(trace, function)
    is_born = isinstance(function, FunctionValue)
    annotations = function.annotations if is_born else get_attribute(trace, function, "__annotations__")
    real: Any = function if is_born else facts.function
    code, space = (real.code, real.globals) if is_born else (real.__code__, real.__globals__)
    cells = tuple(types.CellType() for _ in code.co_freevars)
    like = types.FunctionType(code, space, code.co_name, tuple(_fixed(trace, item) for item in facts.defaults), cells)
    like.__kwdefaults__ = {name: _fixed(trace, item) for name, item in facts.keyword_defaults.items()}
    annotations = realise(trace, annotations)
    if isinstance(annotations, DictValue):
        like.__annotations__ = {name: _fixed(trace, item) for name, item in annotations.all(trace).items()}  # type: ignore[misc]
    return like


def _fixed(trace: Trace, item: Item) -> Any:
    """The object itself that an item stands for, from now on known by identity. Raises NotConcrete for another."""
    item = realise(trace, item)
    if isinstance(item, ObjectValue) and item.source is not None:
        trace.guard(item.source, "same object", item.object)
        return item.object
    if isinstance(item, Value) and not isinstance(item, TupleValue):
        raise NotConcrete
    return concrete(trace, item)
