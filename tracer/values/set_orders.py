"""Where the orders of sets in a trace come from.

How a set lists its members depends on how it was filled, so equal sets from outside may list theirs in another order. A
trace computes with real sets, which take over the orders of those that they are made of. Where an order is used, those
of the sets from outside that it comes from are guarded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tracer.guards.source import Source

Result = TypeVar("Result")


class SetOrders:
    """For each real set of a trace: the sets from outside from which its order comes, by the paths to them."""

    __slots__ = ("_origins",)

    def __init__(self) -> None:
        self._origins: dict[int, tuple[Any, dict[Source, Any]]] = {}  # with the set, so that it keeps its identity

    @property
    def count(self) -> int:
        """How many sets of the trace have an order that comes from outside."""
        return len(self._origins)

    def begin(self, payload: Any, source: Source, real: Any) -> None:
        """The trace computes with `payload` instead of `real`, which `source` leads to."""
        if len(payload) > 1:
            self._of(payload)[source] = real

    def follow(self, result: Result, *operands: Any) -> Result:
        """`result`, a set that was made of the operands, or has just taken in their members."""
        if self._origins:
            for operand in operands:
                for source, real in self.origins(operand):
                    self._of(result)[source] = real
        return result

    def origins(self, payload: Any) -> Iterable[tuple[Source, Any]]:
        """The paths to sets from outside on which the order of a real set depends, and those sets."""
        row = self._origins.get(id(payload))
        return () if row is None else tuple(row[1].items())

    def _of(self, payload: Any) -> dict[Source, Any]:
        return self._origins.setdefault(id(payload), (payload, {}))[1]


def sets_in(parts: Iterable[Any]) -> Iterator[Any]:
    """The real sets among `parts`, and in the containers of C among them."""
    for part in parts:
        kind = type(part)
        if kind is list or kind is tuple:
            yield from sets_in(part)
        elif kind is dict:
            yield from sets_in(part)
            yield from sets_in(part.values())
        elif isinstance(part, set | frozenset):
            yield part
            yield from sets_in(part)
