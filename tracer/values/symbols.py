"""Symbolic sizes as items: raw objects that stand for a number which varies.

How they are made is in shapes.py.
"""

from __future__ import annotations

from typing import Any

from tracer.values.base import SYMBOLS
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.kinds import BORN, Kind, no_parts, register
from tracer.values.rebuilding import Emitter, Fragment
from tracer.values.shapes import as_python


def _constant(context: Context, item: Any, instances: bool) -> Any:
    return as_python(item)


def _graph_argument(arguments: GraphArguments, item: Any) -> GraphArgument:
    return arguments.size(item), item


def _rebuild(emitter: Emitter, item: Any) -> Fragment:
    return emitter.symbol(item)


register(
    Kind(wraps=BORN, parts=no_parts, constant=_constant, graph_argument=_graph_argument, rebuild=_rebuild),
    *SYMBOLS,
)
