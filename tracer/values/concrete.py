"""Real objects equal to items: what a pure C function is given."""

from __future__ import annotations

import types
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any

import torch

from tracer.values.base import MISSING, PYTHON_TYPES, Lazy, Value
from tracer.values.containers import DictValue, DictView, SetValue, TupleValue
from tracer.values.context import Context
from tracer.values.functions import BoundMethod
from tracer.values.item import Item
from tracer.values.objects import ObjectValue
from tracer.values.shapes import as_python
from tracer.values.tensors import TensorValue


class NotConcrete(Exception):
    """The item holds a tensor, a symbol, or an object whose state only the trace knows."""


def concrete(context: Context, item: Item, instances: bool = False) -> Any:
    """A real object equal to the item; containers are copied.

    With `instances`, an unchanged object from outside stands for itself. Raises NotConcrete.
    """
    if not isinstance(item, Value):
        if type(item) in PYTHON_TYPES:
            return as_python(item)
        if type(item) is tuple or type(item) is torch.Size:
            return type(item)([concrete(context, part, instances) for part in item])
        if type(item) is slice:
            return slice(*(concrete(context, part, instances) for part in (item.start, item.stop, item.step)))
        return item
    if isinstance(item, Lazy):
        return concrete(context, item.realise(context), instances)
    if isinstance(item, TensorValue):
        raise NotConcrete
    if isinstance(item, ObjectValue) and (item.attributes or item.fields) and item.object is MISSING:
        raise NotConcrete
    build = _BUILDERS.get(item.cls)
    if build is not None:
        return build(context, item, instances)
    if isinstance(item, TupleValue) and hasattr(item.cls, "_make"):
        make: Any = item.cls
        return make._make([concrete(context, part, instances) for part in item.all(context)])
    if isinstance(item, DictView):
        return [concrete(context, part, instances) for part in item.all(context)]
    if instances and isinstance(item, ObjectValue) and item.object is not MISSING and not item.written:
        return item.object
    if instances and isinstance(item, BoundMethod):
        return types.MethodType(concrete(context, item.function, True), concrete(context, item.instance, True))
    raise NotConcrete


def _parts(context: Context, item: Any, parts: Iterable[Item], instances: bool) -> list[Any]:
    """Real objects equal to what a container holds; one that holds itself is not concrete."""
    if id(item) in context.opened:
        raise NotConcrete
    context.opened.add(id(item))
    try:
        return [concrete(context, part, instances) for part in parts]
    finally:
        context.opened.discard(id(item))


def _sequence(kind: Any) -> Any:
    return lambda context, item, instances: kind(_parts(context, item, item.all(context), instances))


def _mapping(kind: Any) -> Any:
    def build(context: Context, item: DictValue, instances: bool) -> Any:
        payload = item.all(context)
        keys = [concrete(context, key, instances) for key in payload]
        return kind(zip(keys, _parts(context, item, payload.values(), instances), strict=True))

    return build


def _set(kind: Any) -> Any:
    def build(context: Context, item: SetValue, instances: bool) -> Any:
        payload = item.all(context)
        plain = all(not isinstance(part, Value) for part in payload)
        return kind(payload if plain else _parts(context, item, payload, instances))

    return build


_BUILDERS: dict[type, Any] = {
    list: _sequence(list),
    tuple: _sequence(tuple),
    set: _set(set),
    frozenset: _set(frozenset),
    deque: lambda context, item, instances: deque(_parts(context, item, item.all(context), instances), item.maxlen),
    dict: _mapping(dict),
    OrderedDict: _mapping(OrderedDict),
}
