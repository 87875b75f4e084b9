"""Numbers of numpy from outside that are known to vary: operators are given the symbol for the plain number.

That is what torch makes of them in arithmetic and in indices. Whatever else asks for one fixes it: it is a constant
from then on, guarded by equality, as those are that have not been seen to vary.
"""

from __future__ import annotations

from typing import Any, Final

from tracer.guards.source import Source
from tracer.values.base import NUMPY_SCALARS, Value, numpy
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, no_parts, no_rebuild, register, remember

VARYING: Final[tuple[type, ...]] = () if numpy is None else (numpy.integer, numpy.floating)
"""Classes of numbers that operators take as an int or a float of Python."""


class NumpyNumber(Value):
    """A number of numpy. `symbol` is for what its `item()` gives, `fixed` says that the number itself is guarded."""

    __slots__ = ("fixed", "object", "symbol")

    def __init__(self, obj: Any, source: Source, symbol: Item) -> None:
        super().__init__(type(obj), source)
        self.object = obj
        self.symbol = symbol
        self.fixed = False

    def fix(self, context: Context) -> Any:
        """The number itself: what is traced depends on it from here on."""
        if not self.fixed:
            self.fixed = True
            context.guard(self.source, "equal", self.object)
        return self.object


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    symbol = _symbol(context, obj, source) if isinstance(obj, VARYING) else None
    if symbol is None:
        return context.constant(obj, source)
    context.guard(source, "type", type(obj))
    return remember(context, NumpyNumber(obj, source, symbol))


def _symbol(context: Context, obj: Any, source: Source) -> Item:
    """The symbol for the plain number at `source`; None if it is not known to vary."""
    number, place = obj.item(), source.child("getattr", "item").child("call")
    if context.shapes is None:
        return None
    if type(number) is int:
        return context.shapes.integer(context.guard, number, place)
    return context.shapes.floating(context.guard, number, place) if type(number) is float else None


def _constant(context: Context, value: NumpyNumber, instances: bool) -> Any:
    return value.fix(context)


def _graph_argument(arguments: GraphArguments, value: NumpyNumber) -> GraphArgument:
    return arguments.numpy_number(value)


register(
    Kind(
        wraps=Wraps(subclasses=dict.fromkeys(NUMPY_SCALARS, _wrap)),
        parts=no_parts,
        constant=_constant,
        graph_argument=_graph_argument,
        rebuild=no_rebuild,
    ),
    NumpyNumber,
)
