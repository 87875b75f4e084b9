"""`call`: what happens when the traced program calls something. Who decides is in `tracer/interpret/deciders.py`."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Final

from tracer.interpret.deciders import decide
from tracer.interpret.trace import Trace
from tracer.values.item import Item

NO_KEYWORDS: Final[Mapping[str, Item]] = {}

REMEMBERED: Final = frozenset(
    (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, type)
)
"""Types of callables, equal only to themselves, whose action a trace remembers."""


def call(trace: Trace, function: Item, args: Sequence[Item], kwargs: Mapping[str, Item] = NO_KEYWORDS) -> Item:
    """`function(*args, **kwargs)` in the traced program."""
    if type(function) not in REMEMBERED:
        return decide(function)(trace, function, args, kwargs)
    action = trace.actions.get(function)
    if action is None:
        action = trace.actions[function] = decide(function)
    return action(trace, function, args, kwargs)
