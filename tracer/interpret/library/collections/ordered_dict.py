"""collections.OrderedDict: what it shares with dict, and what depends on the order of its keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from tracer.interpret.construct import dict_init
from tracer.interpret.library.builtins.comparisons import equal_dictionaries, equal_sequences
from tracer.interpret.library.builtins.dictionaries import (
    dict_clear,
    dict_copy,
    dict_delitem,
    dict_items,
    dict_keys,
    dict_or,
    dict_pop,
    dict_reversed,
    dict_setdefault,
    dict_setitem,
    dict_update,
    dict_values,
    from_keys,
)
from tracer.interpret.library.builtins.representation import represent_ordered
from tracer.interpret.policy import lookaside, polyfill
from tracer.interpret.trace import Trace
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.protocols.iteration import builtin_iterator
from tracer.values.protocols.truth import truth
from tracer.values.raising import throw
from tracer.values.tuples import make_tuple

Ordered = OrderedDict[Any, Any]
lookaside(OrderedDict.__init__)(dict_init)
lookaside(OrderedDict.__iter__)(lambda trace, container: builtin_iterator(trace, container))
lookaside(OrderedDict.__setitem__, lazy=True)(dict_setitem)
lookaside(OrderedDict.__delitem__)(dict_delitem)
lookaside(OrderedDict.setdefault, lazy=True)(dict_setdefault)
lookaside(OrderedDict.pop, lazy=True)(dict_pop)
lookaside(OrderedDict.clear)(dict_clear)
lookaside(OrderedDict.copy)(dict_copy)
lookaside(OrderedDict.update, OrderedDict.__ior__)(dict_update)
lookaside(OrderedDict.__or__)(dict_or)
lookaside(OrderedDict.keys)(dict_keys)
lookaside(OrderedDict.values)(dict_values)
lookaside(OrderedDict.items)(dict_items)
lookaside(OrderedDict.__reversed__)(dict_reversed)
lookaside(OrderedDict.fromkeys)(from_keys(OrderedDict))


@polyfill(vars(OrderedDict)["fromkeys"])
def ordered_from_keys(cls: Any, iterable: Iterable[Any], value: Any = None) -> Any:
    result = cls()
    for key in iterable:
        result[key] = value
    return result


@lookaside(OrderedDict.popitem)
def _popitem_ordered(trace: Trace, mapping: DictValue, last: Item = True) -> Item:
    items = mapping.change(trace)
    if not items:
        throw(trace, KeyError, "dictionary is empty")
    key = next(reversed(items)) if truth(trace, last) else next(iter(items))
    return make_tuple((key, items.pop(key)))


@lookaside(OrderedDict.move_to_end)
def _move_to_end(trace: Trace, mapping: DictValue, key: Item, last: Item = True) -> None:
    key = trace.key(key)
    items = mapping.change(trace)
    if key not in items:
        throw(trace, KeyError, key)
    item = items.pop(key)
    rest = dict(items)
    items.clear()
    items.update({**rest, key: item} if truth(trace, last) else {key: item, **rest})


@polyfill(OrderedDict.__eq__)
def equal_ordered_dictionaries(self: OrderedDict[Any, Any], other: Any, /) -> Any:
    result = equal_dictionaries(self, other)
    if result is not True or not isinstance(other, OrderedDict):
        return result
    return equal_sequences(list, [*OrderedDict.__iter__(self)], [*OrderedDict.__iter__(other)])


@polyfill(OrderedDict.__ne__)
def unequal_ordered_dictionaries(self: OrderedDict[Any, Any], other: Any, /) -> Any:
    result = equal_ordered_dictionaries(self, other)
    return result if result is NotImplemented else not result


@polyfill(OrderedDict.__ror__)
def or_reflected(self: Ordered, other: Any, /) -> Any:
    if not isinstance(other, dict):
        return NotImplemented
    result: Any = type(self)(other)
    OrderedDict.update(result, self)
    return result


polyfill(OrderedDict.__repr__)(lambda self, /: represent_ordered(self, (self,)))
