"""`call`: what happens when the traced program calls something. Who decides is in `tracer/interpret/deciders.py`."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tracer.interpret.constants import describe
from tracer.interpret.deciders import decide
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import Lazy, Value, type_of
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
    try:
        action = trace.actions[function]
    except KeyError:
        action = trace.actions[function] = decide(function)
    return action(trace, function, args, kwargs)


def require_receiver(trace: Trace, method: Any, args: Sequence[Item]) -> None:
    """Leave the call of a C method to CPython, which refuses it, unless the first argument is of the method's class."""
    owner = method.__objclass__
    receiver = args[0] if args else None
    cls = receiver.cls if isinstance(receiver, Value) and type(receiver) is not Lazy else type_of(trace, receiver)
    if not args or not (cls is owner or issubclass(cls, owner)):
        if args and owner is ARRAY and isinstance(args[0], NumpyArray):
            return
        trace.stop(UNSUPPORTED_CALL, f"{describe(method)} of an object of another class")
