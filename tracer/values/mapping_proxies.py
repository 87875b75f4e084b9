"""Read-only views of dictionaries that the program makes: `types.MappingProxyType(mapping)`."""

from __future__ import annotations

import types

from tracer.values.context import Context
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, register
from tracer.values.rebuilding import Emitter, Fragment, fragment, named_class


class MappingProxy(DictValue):
    """A view of `mapping`, whose changes it shows."""

    __slots__ = ("mapping",)

    def __init__(self, mapping: DictValue) -> None:
        super().__init__(types.MappingProxyType)
        self.mapping = mapping

    def lookup(self, context: Context, key: Item) -> Item:
        return self.mapping.lookup(context, key)

    def all(self, context: Context) -> dict[Item, Item]:
        return self.mapping.all(context)


def _rebuild(emitter: Emitter, value: MappingProxy) -> Fragment:
    new = fragment("{}({})", named_class(emitter, value.cls), emitter.expression(value.mapping))
    return emitter.assign("proxy", new)


register(
    Kind(
        wraps=BORN,
        parts=lambda value: [value.mapping],
        constant=no_constant,
        graph_argument=no_graph_argument,
        rebuild=_rebuild,
    ),
    MappingProxy,
)
