"""Where an object from outside becomes an item: raw, or a value of the kind that its type is registered for.

What is inside an object is wrapped, and guarded, when it is read.
"""

from __future__ import annotations

import enum
from typing import Any

import torch

from tracer.guards.source import Source
from tracer.values.base import LITERALS, NUMPY_SCALARS, require_identity
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.kinds import SUBCLASS_WRAPPERS, WRAPPERS, Wrapper


def wrap(context: Context, obj: Any, source: Source) -> Item:
    """The item for `obj`, reached through `source`.

    An object met before gives the same item, with a guard that both paths still lead to it.
    """
    cls = type(obj)
    if type(cls) is not type:
        require_identity(context, cls)
    if cls in LITERALS:
        return context.constant(obj, source)
    value = context.known.get(id(obj))
    if value is not None:
        if value.source is not source:
            context.guard(source, "same as", value.source)
        return value
    wrapper = WRAPPERS.get(cls)
    if wrapper is None:
        wrapper = _for_subclass(cls)
    return wrapper(context, obj, source)


FIRST: tuple[type, ...] = (torch.nn.Module, type, enum.Enum, *NUMPY_SCALARS)
"""Bases that decide how an instance is wrapped, whatever else its class is a subclass of."""


def _for_subclass(cls: type) -> Wrapper:
    """What wraps instances of a class that is not registered itself: the answer for its nearest base that is."""
    for base in FIRST:
        if issubclass(cls, base):
            return SUBCLASS_WRAPPERS[base]
    return next(SUBCLASS_WRAPPERS[base] for base in cls.__mro__ if base in SUBCLASS_WRAPPERS)
