"""Views of dicts: what `d.keys()`, `d.values()` and `d.items()` are."""

from __future__ import annotations

from typing import Any

from tracer.values.base import Value
from tracer.values.concrete import concrete
from tracer.values.context import Context
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_graph_argument, register
from tracer.values.rebuilding import Emitter, Fragment, fragment
from tracer.values.tuples import make_tuple

VIEW_TYPES: dict[str, type] = {"keys": type({}.keys()), "values": type({}.values()), "items": type({}.items())}
"""How a view of a dict is made, to its class."""


class DictView(Value):
    """`d.keys()`, `d.values()` or `d.items()`: alive, as in CPython."""

    __slots__ = ("dictionary", "kind")

    def __init__(self, dictionary: DictValue, kind: str) -> None:
        super().__init__(VIEW_TYPES[kind])
        self.dictionary = dictionary
        self.kind = kind

    def all(self, context: Context) -> list[Item]:
        """What the view shows now, in order."""
        payload = self.dictionary.all(context)
        if self.kind == "keys":
            return list(payload)
        if self.kind == "values":
            return list(payload.values())
        return [make_tuple(pair) for pair in payload.items()]


def _parts(value: DictView) -> tuple[Item, ...]:
    return (value.dictionary,)


def _constant(context: Context, value: DictView, instances: bool) -> Any:
    return [concrete(context, part, instances) for part in value.all(context)]


def _rebuild(emitter: Emitter, value: DictView) -> Fragment:
    return fragment("{}.{}()", emitter.expression(value.dictionary), Fragment(value.kind))


register(
    Kind(wraps=BORN, parts=_parts, constant=_constant, graph_argument=no_graph_argument, rebuild=_rebuild),
    DictView,
)
