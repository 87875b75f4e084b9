"""Attribute dictionaries: what `instance.__dict__` is."""

from __future__ import annotations

from tracer.values.base import MISSING
from tracer.values.context import Context
from tracer.values.dicts import DictValue, dict_constant, dict_graph_argument, dict_parts
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, register
from tracer.values.objects import ObjectValue
from tracer.values.rebuilding import Emitter, Fragment, fragment


class AttributeDict(DictValue):
    """`instance.__dict__`: its payload is the instance's attributes themselves."""

    __slots__ = ("owner",)

    def __init__(self, owner: ObjectValue) -> None:
        source = owner.source.child("dict") if owner.source is not None else None
        real = MISSING if owner.object is MISSING else object.__getattribute__(owner.object, "__dict__")
        super().__init__(dict, None, source, real)
        self.owner = owner
        if owner.object is MISSING:
            self.items = owner.attributes

    def one_place(self, context: Context, writes: bool = False) -> None:
        self.owner.one_place(context, writes)

    def has_kept_its_size(self, context: Context) -> bool:
        """No attribute of the owner was set or deleted."""
        return super().has_kept_its_size(context) and not (self.owner.written or self.owner.rewritten)

    def lookup(self, context: Context, key: Item) -> Item:
        return self.owner.instance_attribute(context, key)

    def all(self, context: Context) -> dict[Item, Item]:
        """From now on the owner's attributes hold every name in order, and none that is MISSING."""
        self.owner.one_place(context)
        if not self.complete:
            owner = self.owner
            attributes = owner.attributes
            present = {name: item for name, item in attributes.items() if item is not MISSING}
            self.items = dict(present)
            ordered = self.read_all(context)
            for name in attributes:
                if name not in present or owner.written.get(name):
                    ordered.pop(name, None)
            ordered.update(present)
            attributes.clear()
            attributes.update(ordered)
            self.items = attributes
        return self.items

    def change(self, context: Context) -> dict[Item, Item]:
        """The items, open for a change of the whole dictionary, which the effect log then writes back."""
        self.owner.one_place(context, writes=True)
        items = self.all(context)
        self.owner.rewritten = True
        context.effects.record(self.owner)
        return items


def _rebuild(emitter: Emitter, value: AttributeDict) -> Fragment:
    return fragment("object.__getattribute__({}, '__dict__')", emitter.expression(value.owner))


register(
    Kind(wraps=BORN, parts=dict_parts, constant=dict_constant, graph_argument=dict_graph_argument, rebuild=_rebuild),
    AttributeDict,
)
