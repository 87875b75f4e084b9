"""Between items and real Python objects: what a pure C function is given, and what it gives back."""

from __future__ import annotations

import types
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from tracer.guards.source import constant, kept
from tracer.interpret.policy import HOST_OBJECTS
from tracer.interpret.shapes import as_python
from tracer.values.base import LITERALS, MISSING, NUMPY_SCALARS, PYTHON_TYPES, Item, Lazy, Value
from tracer.values.containers import DictValue, ListValue, SetValue, TupleValue, make_tuple
from tracer.values.functions import BoundMethod
from tracer.values.iterators import DictView
from tracer.values.objects import ObjectValue
from tracer.values.tensors import TensorValue
from tracer.values.wrap import IDENTITY_TYPES, wrap

if TYPE_CHECKING:
    from tracer.interpret.trace import Trace


class NotConcrete(Exception):
    """The item holds a tensor, a symbol, or an object whose state only the trace knows."""


def concrete(trace: Trace, item: Item, instances: bool = False) -> Any:
    """A real object equal to the item; containers are copied.

    With `instances`, an unchanged object from outside stands for itself. Raises NotConcrete.
    """
    if not isinstance(item, Value):
        if type(item) in PYTHON_TYPES:
            return as_python(item)
        if type(item) is tuple or type(item) is torch.Size:
            return type(item)([concrete(trace, part, instances) for part in item])
        if type(item) is slice:
            return slice(*(concrete(trace, part, instances) for part in (item.start, item.stop, item.step)))
        return item
    if isinstance(item, Lazy):
        return concrete(trace, item.realise(trace), instances)
    if isinstance(item, TensorValue):
        raise NotConcrete
    if isinstance(item, ObjectValue) and (item.attributes or item.fields) and item.object is MISSING:
        raise NotConcrete
    build = _BUILDERS.get(item.cls)
    if build is not None:
        return build(trace, item, instances)
    if isinstance(item, TupleValue) and hasattr(item.cls, "_make"):
        make: Any = item.cls
        return make._make([concrete(trace, part, instances) for part in item.all(trace)])
    if isinstance(item, DictView):
        return [concrete(trace, part, instances) for part in item.all(trace)]
    if instances and isinstance(item, ObjectValue) and item.object is not MISSING and not item.written:
        return item.object
    if instances and isinstance(item, BoundMethod):
        return types.MethodType(concrete(trace, item.function, True), concrete(trace, item.instance, True))
    raise NotConcrete


def _parts(trace: Trace, item: Any, parts: Iterable[Item], instances: bool) -> list[Any]:
    """Real objects equal to what a container holds; one that holds itself is not concrete."""
    if id(item) in trace.opened:
        raise NotConcrete
    trace.opened.add(id(item))
    try:
        return [concrete(trace, part, instances) for part in parts]
    finally:
        trace.opened.discard(id(item))


def _sequence(kind: Any) -> Any:
    return lambda trace, item, instances: kind(_parts(trace, item, item.all(trace), instances))


def _mapping(kind: Any) -> Any:
    def build(trace: Trace, item: DictValue, instances: bool) -> Any:
        payload = item.all(trace)
        keys = [concrete(trace, key, instances) for key in payload]
        return kind(zip(keys, _parts(trace, item, payload.values(), instances), strict=True))

    return build


def _set(kind: Any) -> Any:
    def build(trace: Trace, item: SetValue, instances: bool) -> Any:
        payload = item.all(trace)
        plain = all(not isinstance(part, Value) for part in payload)
        return kind(payload if plain else _parts(trace, item, payload, instances))

    return build


_BUILDERS: dict[type, Any] = {
    list: _sequence(list),
    tuple: _sequence(tuple),
    set: _set(set),
    frozenset: _set(frozenset),
    deque: lambda trace, item, instances: deque(_parts(trace, item, item.all(trace), instances), item.maxlen),
    dict: _mapping(dict),
    OrderedDict: _mapping(OrderedDict),
}


def from_host(trace: Trace, obj: Any) -> Item:
    """The item for an object that a pure function has just made."""
    cls = type(obj)
    if cls in LITERALS or cls in IDENTITY_TYPES or isinstance(obj, (type, *NUMPY_SCALARS)):
        return obj
    if cls is tuple:
        return make_tuple([from_host(trace, part) for part in obj])
    if cls is list or cls is deque:
        made = ListValue(cls, [from_host(trace, part) for part in obj])
        made.maxlen = obj.maxlen if cls is deque else None
        return made
    if cls is dict or cls is OrderedDict:
        return DictValue(cls, {trace.key(from_host(trace, key)): from_host(trace, part) for key, part in obj.items()})
    if cls is set or cls is frozenset:
        if all(type(part) in LITERALS for part in obj):
            return obj if cls is frozenset else SetValue(cls, obj)
        return SetValue(cls, cls([trace.key(from_host(trace, part)) for part in obj]))
    if cls is types.MappingProxyType:
        return DictValue(cls, {trace.key(from_host(trace, key)): from_host(trace, part) for key, part in obj.items()})
    if isinstance(obj, tuple):
        return TupleValue(cls, [from_host(trace, part) for part in obj])
    if isinstance(obj, (types.BuiltinFunctionType, types.MethodWrapperType, slice)):
        return obj
    if cls is types.MethodType:
        return BoundMethod(from_host(trace, obj.__func__), from_host(trace, obj.__self__))
    return wrap(trace, obj, kept(obj) if isinstance(obj, HOST_OBJECTS) else constant(obj))
