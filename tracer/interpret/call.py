"""`call`: what happens when the traced program calls something. Who decides is in `tracer/interpret/deciders.py`."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tracer.interpret.constants import describe
from tracer.interpret.deciders import decide
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import type_of
from tracer.values.class_attributes import METHOD_DESCRIPTORS
from tracer.values.item import Item
from tracer.values.numpy_arrays import ARRAY, NumpyArray

NO_KEYWORDS: Final[Mapping[str, Item]] = {}

REMEMBERED: Final = frozenset(
    (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, type)
)
"""Types of callables, equal only to themselves, whose action a trace remembers."""


def call(trace: Trace, function: Item, args: Sequence[Item], kwargs: Mapping[str, Item] = NO_KEYWORDS) -> Item:
    """`function(*args, **kwargs)` in the traced program."""
    kind = type(function)
    if kind not in REMEMBERED:
        return decide(function)(trace, function, args, kwargs)
    if kind in METHOD_DESCRIPTORS and (function.__objclass__ is not object or not args):
        require_receiver(trace, function, args)
    action = trace.actions.get(function)
    if action is None:
        action = trace.actions[function] = decide(function)
    return action(trace, function, args, kwargs)


def require_receiver(trace: Trace, method: Any, args: Sequence[Item]) -> None:
    """Leave the call of a C method to CPython, which refuses it, unless the first argument is of the method's class."""
    owner = method.__objclass__
    if not args or not issubclass(type_of(trace, args[0]), owner):
        if args and owner is ARRAY and isinstance(args[0], NumpyArray):
            return
        trace.stop(UNSUPPORTED_CALL, f"{describe(method)} of an object of another class")
