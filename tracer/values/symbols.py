"""Symbols as items: raw objects that stand for a number which varies, a size or a float.

How they are made is in shapes.py.
"""

from __future__ import annotations

from typing import Any

import torch

from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.kinds import BORN, Kind, no_parts, register
from tracer.values.number_symbols import (
    ANY_NUMBER,
    EXPRESSIONS,
    BoolSymbol,
    FloatSymbol,
    IntSymbol,
    NumberSymbol,
)
from tracer.values.rebuilding import Emitter, Fragment, fragment
from tracer.values.shapes import as_python


def _constant(context: Context, item: Any, instances: bool) -> Any:
    return as_python(item)


def _graph_argument(arguments: GraphArguments, item: Any) -> GraphArgument:
    return arguments.size(item), item


def _rebuild(emitter: Emitter, item: Any) -> Fragment:
    return emitter.symbol(item)


def _number_argument(arguments: GraphArguments, symbol: NumberSymbol) -> GraphArgument:
    if symbol.fixed:
        return symbol.value, symbol.value
    if type(symbol) is IntSymbol:
        return symbol.number(), None
    return arguments.number(symbol), ANY_NUMBER if type(symbol) is FloatSymbol else True


def _rebuild_number(emitter: Emitter, symbol: NumberSymbol) -> Fragment:
    """The same operations as in the plain program, on what the program is given."""
    if symbol.fixed:
        return emitter.constant(symbol.value)
    if symbol.source is not None:
        return emitter.parameter(symbol.source)
    if symbol.draw is not None:
        return emitter.drawn(symbol.draw)
    if symbol.function is None:
        return emitter.output(symbol)
    if symbol.first or any(isinstance(one, NumberSymbol) and one.function is not None for one in symbol.operands):
        return emitter.computed(symbol)  # named, as a sum of sums may mention each of them many times
    return fragment(EXPRESSIONS[symbol.function], *map(emitter.expression, symbol.operands))


register(
    Kind(wraps=BORN, parts=no_parts, constant=_constant, graph_argument=_graph_argument, rebuild=_rebuild),
    *(torch.SymInt, torch.SymBool),
)
register(
    Kind(wraps=BORN, parts=no_parts, constant=_constant, graph_argument=_number_argument, rebuild=_rebuild_number),
    *(FloatSymbol, IntSymbol, BoolSymbol),
)
