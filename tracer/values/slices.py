"""Slices: raw objects whose bounds may be values."""

from __future__ import annotations

from typing import Any

from passes.operators.outcome import SliceArg
from tracer.guards.source import Source
from tracer.reasons import DATA_DEPENDENT_INDEX
from tracer.values.base import class_of
from tracer.values.class_attributes import METHOD_DESCRIPTORS, class_attribute
from tracer.values.concrete import concrete
from tracer.values.context import Context
from tracer.values.from_host import from_host
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, register
from tracer.values.methods import BoundMethod
from tracer.values.rebuilding import Emitter, Fragment, fragment, items_of
from tracer.values.tensors import TensorValue

BOUNDS = ("start", "stop", "step")


def _wrap(context: Context, obj: slice, source: Source) -> Item:
    """A slice whose bounds are items: a bound that varies is a symbol, and one that is an object a value."""
    context.guard(source, "type", slice)
    bounds = [context.wrap(getattr(obj, name), source.child("getattr", name)) for name in BOUNDS]
    if all(item is getattr(obj, name) for item, name in zip(bounds, BOUNDS, strict=True)):
        context.note_place(obj, source)
        return obj
    return slice(*bounds)


def slice_attribute(context: Context, item: slice, name: str) -> Item:
    """An attribute of a slice. Methods are bound here, since CPython's would see the values of the trace."""
    if name in BOUNDS:
        return getattr(item, name)
    stored = class_attribute(context, slice, name)
    if class_of(stored) in METHOD_DESCRIPTORS:
        return BoundMethod(stored, item)
    return from_host(context, host(context, getattr, item, name))


def _parts(item: slice) -> tuple[Item, ...]:
    return (item.start, item.stop, item.step)


def _constant(context: Context, item: slice, instances: bool) -> Any:
    return slice(*(concrete(context, part, instances) for part in _parts(item)))


def _graph_argument(arguments: GraphArguments, item: slice) -> GraphArgument:
    bounds = [arguments.lower(_bound(arguments.context, part)) for part in _parts(item)]
    return slice(*(bound[0] for bound in bounds)), SliceArg(*(bound[1] for bound in bounds))


def _bound(context: Context, bound: Item) -> Item:
    """A bound of a slice; that of a tensor is its value."""
    if not isinstance(bound, TensorValue):
        return bound
    if context.shapes is None or not context.shapes.data:
        context.stop(DATA_DEPENDENT_INDEX, f"a slice bounded by {bound.meta.text}")
    return context.machine.tensor_op(context, ("method", "item"), (bound,))


def _rebuild(emitter: Emitter, item: slice) -> Fragment:
    return emitter.once("bounds", fragment("slice({})", items_of(emitter, _parts(item))))


register(
    Kind(
        wraps=Wraps(exactly={slice: _wrap}),
        parts=_parts,
        constant=_constant,
        graph_argument=_graph_argument,
        rebuild=_rebuild,
    ),
    slice,
)
