"""collections.defaultdict: what it shares with dict, and its default factory."""

from __future__ import annotations

from collections import defaultdict

from tracer.interpret.call import call
from tracer.interpret.construct import dict_init
from tracer.interpret.library.builtins.representation import represent_defaultdict
from tracer.interpret.policy import lookaside, polyfill
from tracer.interpret.trace import Trace
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.items import set_item
from tracer.values.raising import throw

lookaside(defaultdict.__init__)(dict_init)


@lookaside(defaultdict.copy, defaultdict.__copy__)
def _copy(trace: Trace, mapping: DictValue) -> Item:
    return call(trace, mapping.cls, [get_attribute(trace, mapping, "default_factory"), mapping])


@lookaside(defaultdict.__missing__)
def _default(trace: Trace, mapping: DictValue, key: Item) -> Item:
    factory = get_attribute(trace, mapping, "default_factory")
    if factory is None:
        throw(trace, KeyError, key)
    item = call(trace, factory, [])
    set_item(trace, mapping, key, item)
    return item


polyfill(defaultdict.__repr__)(lambda self, /: represent_defaultdict(self, (self,)))
