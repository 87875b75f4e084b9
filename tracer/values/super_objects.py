"""What `super()` makes."""

from __future__ import annotations

from tracer.values.base import Value
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, register
from tracer.values.rebuilding import Emitter, Fragment, fragment, named_class


class SuperValue(Value):
    """`super(start, instance)`; `owner` is the class whose MRO is searched."""

    __slots__ = ("instance", "owner", "start")

    def __init__(self, start: type, instance: Item, owner: type) -> None:
        super().__init__(super)
        self.start = start
        self.instance = instance
        self.owner = owner


def _parts(value: SuperValue) -> tuple[Item, ...]:
    return (value.instance,)


def _rebuild(emitter: Emitter, value: SuperValue) -> Fragment:
    parts = named_class(emitter, value.start), emitter.expression(value.instance)
    return emitter.assign("bound", fragment("super({}, {})", *parts))  # it is one object wherever it is mentioned


register(
    Kind(wraps=BORN, parts=_parts, constant=no_constant, graph_argument=no_graph_argument, rebuild=_rebuild),
    SuperValue,
)
