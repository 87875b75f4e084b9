"""Methods of dict and its views. They run on the payloads."""

from __future__ import annotations

import operator
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from typing import Any

from tracer.interpret.call import call
from tracer.interpret.construct import dict_init
from tracer.interpret.policy import lookaside, polyfill
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING, Value, realise
from tracer.values.class_attributes import special
from tracer.values.dict_views import VIEW_TYPES, DictView
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.items_iterators import ItemsIterator
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.items import get_item
from tracer.values.protocols.iteration import builtin_iterator, unpack
from tracer.values.protocols.length import builtin_length
from tracer.values.protocols.special_methods import call_special, is_of_program
from tracer.values.protocols.truth import is_same, truth
from tracer.values.raising import throw
from tracer.values.tuples import make_tuple

KEYS, VALUES, ITEMS = VIEW_TYPES["keys"], VIEW_TYPES["values"], VIEW_TYPES["items"]

lookaside(dict.__init__)(dict_init)
lookaside(dict.__len__, *(view.__len__ for view in VIEW_TYPES.values()))(
    lambda trace, container: builtin_length(trace, container) if isinstance(container, Value) else len(container)
)
lookaside(dict.__iter__, *(view.__iter__ for view in VIEW_TYPES.values()))(
    lambda trace, container: builtin_iterator(trace, container)
)


@lookaside(dict.__getitem__)
def _getitem(trace: Trace, mapping: DictValue, key: Item) -> Item:
    key = trace.key(key)
    item = mapping.lookup(trace, key)
    if item is not MISSING:
        return item
    answer = MISSING if mapping.cls is dict else call_special(trace, mapping, "__missing__", key)
    if answer is MISSING:
        throw(trace, KeyError, key)
    return answer


@lookaside(dict.__setitem__, lazy=True)
def dict_setitem(trace: Trace, mapping: DictValue, key: Item, item: Item) -> None:
    mapping.change(trace)[trace.key(key)] = item


@lookaside(dict.__delitem__)
def dict_delitem(trace: Trace, mapping: DictValue, key: Item) -> None:
    key = trace.key(key)
    if mapping.lookup(trace, key) is MISSING:
        throw(trace, KeyError, key)
    del mapping.change(trace)[key]


@lookaside(dict.__contains__)
def _contains(trace: Trace, mapping: DictValue, key: Item) -> bool:
    return mapping.lookup(trace, trace.key(key)) is not MISSING


@lookaside(dict.get, lazy=True)
def _get(trace: Trace, mapping: DictValue, key: Item, default: Item = None) -> Item:
    item = mapping.lookup(trace, trace.key(key))
    return default if item is MISSING else item


@lookaside(dict.setdefault, lazy=True)
def dict_setdefault(trace: Trace, mapping: DictValue, key: Item, default: Item = None) -> Item:
    key = trace.key(key)
    item = mapping.lookup(trace, key)
    if item is MISSING:
        item = mapping.change(trace)[key] = default
    return item


@lookaside(dict.pop, lazy=True)
def dict_pop(trace: Trace, mapping: DictValue, key: Item, default: Item = MISSING) -> Item:
    key = trace.key(key)
    if mapping.lookup(trace, key) is MISSING:
        if default is MISSING:
            throw(trace, KeyError, key)
        return default
    return mapping.change(trace).pop(key)


@lookaside(dict.popitem)
def _popitem(trace: Trace, mapping: DictValue) -> Item:
    items = mapping.change(trace)
    if not items:
        throw(trace, KeyError, "popitem(): dictionary is empty")
    return make_tuple(items.popitem())


@lookaside(dict.clear)
def dict_clear(trace: Trace, mapping: DictValue) -> None:
    mapping.change(trace).clear()


@lookaside(dict.copy)
def dict_copy(trace: Trace, mapping: DictValue) -> Item:
    result = DictValue(dict if mapping.cls is dict else mapping.cls, dict(mapping.all(trace)))
    if issubclass(mapping.cls, defaultdict):
        result.keep_field("default_factory", get_attribute(trace, mapping, "default_factory"))
    return result


@lookaside(dict.update, dict.__ior__)
def dict_update(trace: Trace, mapping: DictValue, other: Item = (), **kwargs: Item) -> Item:
    """dict.update; for OrderedDict the class's own `__setitem__` is used."""
    other = realise(trace, other)
    pairs = _pairs(trace, other)
    if issubclass(mapping.cls, OrderedDict) and is_of_program(trace, mapping, "__setitem__"):
        for key, item in [*pairs, *kwargs.items()]:
            call_special(trace, mapping, "__setitem__", key, item)
    else:
        items = mapping.change(trace)
        for key, item in pairs:
            items[trace.key(key)] = item
        items.update(kwargs)
    return mapping


def _pairs(trace: Trace, other: Item) -> list[tuple[Item, Item]]:
    if isinstance(other, DictValue):
        return list(other.all(trace).items())
    if special(trace, other, "keys") is not MISSING:
        keys = unpack(trace, call(trace, get_attribute(trace, other, "keys"), []))
        return [(key, get_item(trace, other, key)) for key in keys]
    pairs: list[tuple[Item, Item]] = []
    for position, pair in enumerate(unpack(trace, other)):
        if special(trace, pair, "__iter__") is MISSING and special(trace, pair, "__getitem__") is MISSING:
            throw(trace, TypeError, f"cannot convert dictionary update sequence element #{position} to a sequence")
        parts = unpack(trace, pair)
        if len(parts) != 2:
            throw(
                trace,
                ValueError,
                f"dictionary update sequence element #{position} has length {len(parts)}; 2 is required",
            )
        pairs.append((parts[0], parts[1]))
    return pairs


@lookaside(dict.__or__)
def dict_or(trace: Trace, left: Item, right: Item) -> Item:
    if not isinstance(left, DictValue) or not isinstance(realise(trace, right), DictValue):
        return NotImplemented
    result = dict_copy(trace, left)
    result.items.update(realise(trace, right).all(trace))
    return result


@lookaside(dict.__ror__)
def _reflected_or(trace: Trace, right: Item, left: Item) -> Item:
    return dict_or(trace, realise(trace, left), right)


@lookaside(dict.keys)
def dict_keys(trace: Trace, mapping: DictValue) -> Item:
    return DictView(mapping, "keys")


@lookaside(dict.values)
def dict_values(trace: Trace, mapping: DictValue) -> Item:
    return DictView(mapping, "values")


@lookaside(dict.items)
def dict_items(trace: Trace, mapping: DictValue) -> Item:
    return DictView(mapping, "items")


def from_keys(cls: type) -> Any:
    """The lookaside of `fromkeys` of one exact dictionary type."""

    def run(trace: Trace, iterable: Item, value: Item = None) -> Item:
        return DictValue(cls, dict.fromkeys([trace.key(item) for item in unpack(trace, iterable)], value))

    return run


lookaside(dict.fromkeys)(from_keys(dict))


@lookaside(dict.__reversed__)
def dict_reversed(trace: Trace, mapping: DictValue) -> Item:
    return ItemsIterator(trace, type(reversed({})), list(reversed(mapping.all(trace))))


@lookaside(KEYS.__contains__, ITEMS.__contains__)
def _view_contains(trace: Trace, view: DictView, item: Item) -> bool:
    if view.kind == "keys":
        return view.dictionary.lookup(trace, trace.key(item)) is not MISSING
    key, expected = unpack(trace, item)
    value = view.dictionary.lookup(trace, trace.key(key))
    return value is not MISSING and (
        is_same(trace, value, expected) or truth(trace, call(trace, operator.eq, [value, expected]))
    )


@polyfill(vars(dict)["fromkeys"])
def class_from_keys(cls: Any, iterable: Iterable[Any], value: Any = None, /) -> Any:
    result = cls()
    for key in iterable:
        result[key] = value
    return result
