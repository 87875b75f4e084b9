"""What a kind is given to answer what the graph holds for one of its items.

Nothing here knows of nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

from passes.operators.outcome import ListArg
from tracer.values.context import Context
from tracer.values.item import Item

GraphArgument: TypeAlias = tuple[Any, Any]
"""An argument as the graph holds it, and as the evaluator of operators is asked about it."""


class GraphArguments(Protocol):
    """The arguments of one call of an operator, while they become graph arguments."""

    @property
    def context(self) -> Context:
        """The trace that the call is part of."""
        ...

    def lower(self, item: Item) -> GraphArgument:
        """Any item as a graph argument."""
        ...

    def tensor(self, value: Any) -> GraphArgument:
        """A tensor, by its node and its meta."""
        ...

    def wrapper(self, value: Any) -> GraphArgument:
        """A tensor that holds others."""
        ...

    def size(self, symbol: Any) -> Any:
        """The node for a symbolic size."""
        ...

    def numpy_number(self, value: Any) -> GraphArgument:
        """A number of numpy that varies."""
        ...

    def array_number(self, value: Any) -> GraphArgument:
        """A number of numpy that the graph computes."""
        ...

    def number(self, symbol: Any) -> Any:
        """The node for a float that varies."""
        ...


def sequence_argument(arguments: GraphArguments, items: Iterable[Item], cls: Any) -> GraphArgument:
    """A list (`cls` is ListArg) or tuple of arguments."""
    pairs = [arguments.lower(item) for item in items]
    nodes = [pair[0] for pair in pairs]
    return (nodes if cls is ListArg else tuple(nodes)), cls([pair[1] for pair in pairs])
