"""Objects known by identity: functions, classes, modules and other things that are their own item."""

from __future__ import annotations

import enum
import functools
import operator
import re
import types
import typing
from typing import Any

import torch

from tracer.guards.source import Source
from tracer.values.base import NUMPY_FUNCTIONS
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, no_parts, register
from tracer.values.literals import as_it_is, by_name, itself
from tracer.values.tuples import TUPLE_FIELD

IDENTITY_TYPES: tuple[Any, ...] = (
    types.FunctionType,
    types.ModuleType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.GenericAlias,
    types.UnionType,
    functools._lru_cache_wrapper,
    operator.itemgetter,
    operator.attrgetter,
    operator.methodcaller,
    TUPLE_FIELD,
    property,
    staticmethod,
    classmethod,
    type(typing.Any),
    type(typing.Optional),
    type(typing.List[int]),  # noqa: UP006  the private alias class itself is meant
    type(typing.Optional[int]),  # noqa: UP045
    typing.TypeVar,
    torch.jit.ScriptFunction,
    torch.nn.attention.SDPBackend,
    re.Pattern,
    re.Match,
    torch._ops.OpOverload,
    torch._ops.OpOverloadPacket,
    torch.Generator,
    object,
)
"""Known by identity: the object itself is the item."""


def identity(context: Context, obj: Any, source: Source) -> Item:
    """The object itself, guarded to be the same at every call."""
    context.guard(source, "same object", obj)
    return obj


register(
    Kind(
        wraps=Wraps(
            exactly=dict.fromkeys((*(cls for cls in IDENTITY_TYPES if cls is not types.FunctionType), type), identity),
            subclasses=dict.fromkeys((type, enum.Enum, types.ModuleType, *NUMPY_FUNCTIONS), identity),
        ),
        parts=no_parts,
        constant=itself,
        graph_argument=as_it_is,
        rebuild=by_name,
    ),
    object,
)
