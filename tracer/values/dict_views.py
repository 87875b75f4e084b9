"""Views of dicts: what `d.keys()`, `d.values()` and `d.items()` are."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from tracer.values.base import Value
from tracer.values.concrete import concrete, concrete_parts
from tracer.values.context import Context
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_graph_argument, register
from tracer.values.rebuilding import Emitter, Fragment, fragment
from tracer.values.tuples import make_tuple

VIEW_TYPES: dict[str, type] = {"keys": type({}.keys()), "values": type({}.values()), "items": type({}.items())}
"""How a view of a dict is made, to its class."""

ORDERED_VIEW_TYPES: dict[str, type] = {name: type(getattr(OrderedDict[Any, Any](), name)()) for name in VIEW_TYPES}
"""The same for an OrderedDict: subclasses of the classes above."""


class DictView(Value):
    """`d.keys()`, `d.values()` or `d.items()`: alive, as in CPython."""

    __slots__ = ("dictionary", "kind")

    def __init__(self, dictionary: DictValue, kind: str) -> None:
        super().__init__((ORDERED_VIEW_TYPES if issubclass(dictionary.cls, OrderedDict) else VIEW_TYPES)[kind])
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
    """A view of a dict of real objects; what the class of the program's dict adds to dict does not show in a view."""
    payload = value.dictionary.all(context)
    keys = [concrete(context, key, instances) for key in payload] if value.kind != "values" else range(len(payload))
    items = payload.values() if value.kind != "keys" else [None] * len(payload)
    kind = OrderedDict if issubclass(value.dictionary.cls, OrderedDict) else dict
    real = kind(zip(keys, concrete_parts(context, value, items, instances), strict=True))
    return getattr(real, value.kind)()


def _rebuild(emitter: Emitter, value: DictView) -> Fragment:
    view = fragment("{}.{}()", emitter.expression(value.dictionary), Fragment(value.kind))
    return emitter.assign(value.kind, view)  # it is one object wherever the program mentions it


register(
    Kind(wraps=BORN, parts=_parts, constant=_constant, graph_argument=no_graph_argument, rebuild=_rebuild),
    DictView,
)
