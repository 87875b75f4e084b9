"""collections.OrderedDict: what it shares with dict, and what depends on the order of its keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from tracer.interpret.call import call
from tracer.interpret.construct import dict_init
from tracer.interpret.library.builtins.comparisons import equal_dictionaries, equal_sequences
from tracer.interpret.library.builtins.dictionaries import (
    dict_clear,
    dict_delitem,
    dict_items,
    dict_keys,
    dict_pop,
    dict_reversed,
    dict_setdefault,
    dict_setitem,
    dict_values,
    from_keys,
    has_keys,
    pairs_of_mapping,
)
from tracer.interpret.library.builtins.representation import represent_ordered
from tracer.interpret.policy import lookaside, polyfill
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.iterators import END, next_item
from tracer.values.protocols.items import get_item, set_item
from tracer.values.protocols.iteration import builtin_iterator, iterate, unpack
from tracer.values.protocols.truth import truth
from tracer.values.raising import throw
from tracer.values.tuples import make_tuple

Ordered = OrderedDict[Any, Any]
lookaside(OrderedDict.__init__)(dict_init)
lookaside(OrderedDict.__iter__)(builtin_iterator)
lookaside(OrderedDict.__setitem__, lazy=True)(dict_setitem)
lookaside(OrderedDict.__delitem__)(dict_delitem)
lookaside(OrderedDict.setdefault, lazy=True)(dict_setdefault)
lookaside(OrderedDict.clear)(dict_clear)
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


@lookaside(OrderedDict.pop, lazy=True)
def _pop(trace: Trace, mapping: DictValue, key: Item, default: Item = MISSING) -> Item:
    return dict_pop(trace, mapping, key, default)


@lookaside(OrderedDict.copy)
def _copy(trace: Trace, mapping: DictValue) -> Item:
    """A copy of the same class; one of the program's is made and filled by its own methods."""
    if mapping.cls is OrderedDict:
        return DictValue(OrderedDict, dict(mapping.all(trace)))
    result = call(trace, mapping.cls, [])
    for key in list(mapping.all(trace)):
        set_item(trace, result, key, get_item(trace, mapping, key))
    return result


@lookaside(OrderedDict.update)
def _update(trace: Trace, mapping: DictValue, other: Item = (), /, **kwargs: Item) -> None:
    _merge(trace, mapping, other)
    for name, item in kwargs.items():
        set_item(trace, mapping, name, item)


@lookaside(OrderedDict.__ior__)
def _ior(trace: Trace, mapping: DictValue, other: Item) -> Item:
    _merge(trace, mapping, other)
    return mapping


@lookaside(OrderedDict.__or__)
def _or(trace: Trace, left: DictValue, right: Item) -> Item:
    if not isinstance(right, DictValue):
        return NotImplemented
    result = call(trace, left.cls, [left])
    _merge(trace, result, right)
    return result


def _merge(trace: Trace, mapping: DictValue, other: Item) -> None:
    """What `OrderedDict.update` puts into a mapping, by the `__setitem__` of its class."""
    if has_keys(trace, other):
        for key, item in pairs_of_mapping(trace, other):
            set_item(trace, mapping, key, item)
        return
    pairs = iterate(trace, other)
    while (pair := next_item(trace, pairs)) is not END:
        parts = unpack(trace, pair)
        if len(parts) < 2:
            throw(trace, ValueError, f"need more than {len(parts)} value{'s' if not parts else ''} to unpack")
        if len(parts) > 2:
            throw(trace, ValueError, "too many values to unpack (expected 2)")
        set_item(trace, mapping, *parts)


@lookaside(OrderedDict.popitem)
def _popitem_ordered(trace: Trace, mapping: DictValue, last: Item = True) -> Item:
    items = mapping.change(trace)
    if not items:
        throw(trace, KeyError, "dictionary is empty")
    key = next(reversed(items)) if truth(trace, last) else next(iter(items))
    return make_tuple((key, mapping.take(trace, key)))


@lookaside(OrderedDict.move_to_end)
def _move_to_end(trace: Trace, mapping: DictValue, key: Item, last: Item = True) -> None:
    key = trace.key(key)
    items = mapping.change(trace)
    if key not in items:
        throw(trace, KeyError, key)
    at_end = truth(trace, last)
    key = next(candidate for candidate in items if candidate == key)
    if key is not next(reversed(items) if at_end else iter(items)):
        item, rest = mapping.take(trace, key), dict(items)
        items.clear()
        items.update({**rest, key: item} if at_end else {key: item, **rest})


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
