"""Tuples: raw ones, whose items are all raw objects, and values, which hold at least one value.

Named tuples and struct sequences are values, too. Sizes of tensors are raw tuples that may hold symbols.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable
from typing import Any

import torch

from tracer.guards.source import Source
from tracer.values.base import LITERALS, Value
from tracer.values.concrete import concrete, concrete_parts
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments, sequence_argument
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, NotConcrete, Wraps, register, remember
from tracer.values.objects import build_instance, has_state_of_its_own, object_constant
from tracer.values.rebuilding import Emitter, Fragment, fragment, named_class, tuple_of_items
from tracer.values.sequences import SequenceValue, sequence_parts

TUPLE_FIELD: type = type(namedtuple("Single", ["field"]).field)  # pyright: ignore
"""The C descriptor that reads a field of a named tuple."""


class TupleValue(SequenceValue):
    """A tuple that holds at least one value, a named tuple, or a struct sequence.

    Hashes and compares by content, so that it can key a payload dict.
    """

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(tuple(self.items))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TupleValue):
            return self is other or self.items == other.items
        return isinstance(other, tuple) and tuple(self.items) == other


def make_tuple(items: Iterable[Item]) -> Item:
    """A tuple of items: raw when everything in it is."""
    items = tuple(items)
    for item in items:
        if isinstance(item, Value):
            return TupleValue(tuple, items)
    return items


def is_constant_tuple(obj: tuple[Any, ...]) -> bool:
    """Whether a plain tuple holds nothing but literals, however nested."""
    for item in obj:
        cls = type(item)
        if cls not in LITERALS and not (cls is tuple and is_constant_tuple(item)):
            return False
    return True


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    if is_constant_tuple(obj):
        return context.constant(obj, source)
    return _wrap_subclass(context, obj, source)


def _wrap_subclass(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "type", type(obj))
    return remember(context, TupleValue(type(obj), source=source, obj=obj))


def _raw_parts(item: tuple[Item, ...]) -> tuple[Item, ...]:
    return item


def _raw_constant(context: Context, item: tuple[Item, ...], instances: bool) -> Any:
    return type(item)([concrete(context, part, instances) for part in item])


def _raw_graph_argument(arguments: GraphArguments, item: tuple[Item, ...]) -> GraphArgument:
    return sequence_argument(arguments, item, tuple)


def _constant(context: Context, value: TupleValue, instances: bool) -> Any:
    if has_state_of_its_own(value):
        raise NotConcrete
    if value.cls is tuple:
        return tuple(concrete_parts(context, value, value.all(context), instances))
    if hasattr(value.cls, "_make"):
        cls: Any = value.cls
        return cls._make([concrete(context, part, instances) for part in value.all(context)])
    return object_constant(context, value, instances)


def _graph_argument(arguments: GraphArguments, value: TupleValue) -> GraphArgument:
    return sequence_argument(arguments, value.all(arguments.context), tuple)


def _raw_rebuild(emitter: Emitter, item: tuple[Item, ...]) -> Fragment:
    items = tuple_of_items(emitter, item)
    return emitter.once("items", items) if items.reads else items  # one of literals is a constant


def _rebuild_size(emitter: Emitter, item: torch.Size) -> Fragment:
    if all(type(size) is int for size in item):
        return emitter.constant(item)
    size = fragment("{}({})", named_class(emitter, torch.Size), tuple_of_items(emitter, item))
    return emitter.once("size", size)


def _rebuild(emitter: Emitter, value: TupleValue) -> Fragment:
    items = tuple_of_items(emitter, value.items)
    if value.cls is tuple:
        return emitter.once("items", items)
    cls = named_class(emitter, value.cls)
    if value.cls is torch.Size:
        return emitter.once("size", fragment("{}({})", cls, items))
    if value.cls.__module__.startswith("torch.return_types"):
        return emitter.assign("result", fragment("{}({})", cls, items))
    return build_instance(emitter, value, fragment("tuple.__new__({}, {})", cls, items))


register(
    Kind(BORN, _raw_parts, _raw_constant, _raw_graph_argument, _raw_rebuild),
    tuple,
)
register(
    Kind(BORN, _raw_parts, _raw_constant, _raw_graph_argument, _rebuild_size),
    torch.Size,
)
register(
    Kind(
        wraps=Wraps(exactly={tuple: _wrap}, subclasses={tuple: _wrap_subclass}),
        parts=sequence_parts,
        constant=_constant,
        graph_argument=_graph_argument,
        rebuild=_rebuild,
    ),
    TupleValue,
)
