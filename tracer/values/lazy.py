"""Objects from outside that nothing has looked at yet: every question makes them what they are."""

from __future__ import annotations

from typing import Any

from tracer.values.base import Lazy, Value
from tracer.values.concrete import concrete
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, register
from tracer.values.rebuilding import Emitter, Fragment


def _parts(value: Lazy) -> tuple[Item, ...]:
    return (value.known,)


def _constant(context: Context, value: Lazy, instances: bool) -> Any:
    return concrete(context, value.realise(context), instances)


def _graph_argument(arguments: GraphArguments, value: Lazy) -> GraphArgument:
    return arguments.lower(value.realise(arguments.context))


def _rebuild(emitter: Emitter, value: Lazy) -> Fragment:
    assert value.source is not None
    return emitter.expression(value.known) if isinstance(value.known, Value) else emitter.parameter(value.source)


register(
    Kind(wraps=BORN, parts=_parts, constant=_constant, graph_argument=_graph_argument, rebuild=_rebuild),
    Lazy,
)
