"""Items for objects that CPython has just made: a pure function's result, an attribute that never changes."""

from __future__ import annotations

import enum
import types
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from tracer.guards.source import Source, constant, kept
from tracer.values.base import HOST_OBJECTS, LITERALS, NUMPY_SCALARS, SYMBOLS
from tracer.values.context import Context
from tracer.values.dicts import DictValue
from tracer.values.identities import IDENTITY_TYPES
from tracer.values.item import Item
from tracer.values.lists import ListValue
from tracer.values.literal_objects import PLAIN, LiteralObject, literal_base
from tracer.values.methods import BoundMethod
from tracer.values.sets import SetValue
from tracer.values.tuples import TupleValue, make_tuple
from tracer.values.wrap import wrap


def from_host(context: Context, obj: Any, root: Callable[[Any], Source] = constant) -> Item:
    """The item for an object that a pure function has just made; `root` gives the path to one known by identity."""
    cls = type(obj)
    if cls in LITERALS or cls in SYMBOLS or cls in IDENTITY_TYPES or issubclass(cls, (type, *NUMPY_SCALARS)):
        return obj
    if cls is tuple:
        return make_tuple([from_host(context, part, root) for part in obj])
    if cls is list or cls is deque:
        value = ListValue(cls, [from_host(context, part, root) for part in obj])
        value.maxlen = obj.maxlen if cls is deque else None
        return value
    if cls is dict or cls is OrderedDict:
        return DictValue(
            cls,
            {context.key(from_host(context, key, root)): from_host(context, part, root) for key, part in obj.items()},
        )
    if cls is set or cls is frozenset:
        if all(type(part) in LITERALS for part in obj):
            return obj if cls is frozenset else SetValue(cls, obj)
        return SetValue(cls, cls([context.key(from_host(context, part, root)) for part in obj]))
    if cls is types.MappingProxyType:
        return DictValue(
            cls,
            {context.key(from_host(context, key, root)): from_host(context, part, root) for key, part in obj.items()},
        )
    if issubclass(cls, tuple):
        return TupleValue(cls, [from_host(context, part, root) for part in obj])
    if issubclass(cls, (types.BuiltinFunctionType, types.MethodWrapperType, slice)):
        return obj
    if cls is types.MethodType:
        return BoundMethod(from_host(context, obj.__func__, root), from_host(context, obj.__self__, root))
    base = literal_base(cls)
    if base is not None and not issubclass(cls, enum.Enum) and not getattr(obj, "__dict__", None):
        return LiteralObject(cls, PLAIN[base](obj))
    return wrap(context, obj, kept(obj) if base is not None or issubclass(cls, HOST_OBJECTS) else root(obj))
