"""Objects from outside that nothing has looked at yet: every question makes them what they are."""

from __future__ import annotations

from typing import Any

from tracer.values.base import Lazy
from tracer.values.concrete import concrete
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, register


def _parts(value: Lazy) -> tuple[Item, ...]:
    return (value.known,)


def _constant(context: Context, value: Lazy, instances: bool) -> Any:
    return concrete(context, value.realise(context), instances)


def _graph_argument(arguments: GraphArguments, value: Lazy) -> GraphArgument:
    return arguments.lower(value.realise(arguments.context))


register(
    Kind(wraps=BORN, parts=_parts, constant=_constant, graph_argument=_graph_argument),
    Lazy,
)
