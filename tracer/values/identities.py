"""Objects known by identity: functions, classes, modules and other things that are their own item."""

from __future__ import annotations

import enum
import functools
import operator
import re
import types
import typing
from contextvars import ContextVar
from typing import Any

import torch

from tracer.guards.source import Source
from tracer.values.base import NUMPY_FUNCTIONS, require_identity
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, no_parts, register
from tracer.values.literals import as_it_is, by_name, itself
from tracer.values.recipes import Recipe
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
    type(typing.Callable[[int], int]),
    type(typing.Literal[1]),
    *(type(typing.List), type(typing.Tuple), type(typing.Callable), type(typing.Literal)),  # noqa: UP006
    typing.TypeVar,
    torch.jit.ScriptFunction,
    torch.nn.attention.SDPBackend,
    re.Pattern,
    re.Match,
    torch._ops.OpOverload,
    torch._ops.OpOverloadPacket,
    torch.Generator,
    ContextVar,
    object,
)
"""Known by identity: the object itself is the item."""


def identity(context: Context, obj: Any, source: Source) -> Item:
    """The object itself, guarded to be the same at every call."""
    context.guard(source, "same object", obj)
    return obj


def _class(context: Context, obj: type, source: Source) -> Item:
    """A class, known by identity."""
    require_identity(context, obj)
    return identity(context, obj, source)


def _pattern(context: Context, obj: re.Pattern[Any], source: Source) -> Item:
    """A pattern: one that comes with the call is known by what it was compiled from, as each call may bring another."""
    if source.root.accessor != "argument":
        return identity(context, obj, source)
    return _equal_object(context, obj, source, ("pattern", "flags"))


def _match(context: Context, obj: re.Match[Any], source: Source) -> Item:
    """The match of a pattern, known by its pattern, its text and its spans."""
    if type(obj.string) not in (str, bytes):
        return identity(context, obj, source)
    _pattern(context, obj.re, source.child("getattr", "re"))
    return _equal_object(context, obj, source, ("string", "regs", "pos", "endpos", "lastindex"))


def _equal_object(context: Context, obj: Any, source: Source, names: tuple[str, ...]) -> Item:
    """An immutable object for which any other of equal attributes may stand in another call."""
    context.guard(source, "type", type(obj))
    for name in names:
        context.guard(source.child("getattr", name), "equal", getattr(obj, name))
    context.recipes[id(obj)] = Recipe(obj, source=source)
    return obj


register(
    Kind(
        wraps=Wraps(
            exactly={
                **dict.fromkeys((*(cls for cls in IDENTITY_TYPES if cls is not types.FunctionType), type), identity),
                re.Pattern: _pattern,
                re.Match: _match,
            },
            subclasses={
                **dict.fromkeys(
                    (enum.Enum, types.ModuleType, torch._ops.HigherOrderOperator, *NUMPY_FUNCTIONS), identity
                ),
                type: _class,
            },
        ),
        parts=no_parts,
        constant=itself,
        graph_argument=as_it_is,
        rebuild=by_name,
    ),
    object,
)
