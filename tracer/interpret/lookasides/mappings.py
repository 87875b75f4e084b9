"""Methods of dicts and their views, run on their payloads."""

from __future__ import annotations

import operator
import types
from collections import OrderedDict, defaultdict
from typing import Any

from tracer.interpret.call import call
from tracer.interpret.construct import dict_init
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import MISSING, Value, realise
from tracer.values.class_attributes import special
from tracer.values.containers import VIEW_TYPES, DictValue, DictView, make_tuple
from tracer.values.item import Item
from tracer.values.iterators import ItemsIterator
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.items import get_item
from tracer.values.protocols.iteration import builtin_iterator, unpack
from tracer.values.protocols.length import builtin_length
from tracer.values.protocols.truth import is_same, truth
from tracer.values.raising import throw

KEYS, VALUES, ITEMS = VIEW_TYPES["keys"], VIEW_TYPES["values"], VIEW_TYPES["items"]

lookaside(dict.__init__, OrderedDict.__init__, defaultdict.__init__)(dict_init)
lookaside(dict.__len__, *(view.__len__ for view in VIEW_TYPES.values()))(
    lambda trace, container: builtin_length(trace, container) if isinstance(container, Value) else len(container)
)
lookaside(dict.__iter__, OrderedDict.__iter__, *(view.__iter__ for view in VIEW_TYPES.values()))(
    lambda trace, container: builtin_iterator(trace, container)
)


@lookaside(dict.__getitem__)
def _getitem(trace: Trace, mapping: DictValue, key: Item) -> Item:
    key = trace.key(key)
    item = mapping.lookup(trace, key)
    if item is not MISSING:
        return item
    missing = special(trace, mapping, "__missing__")
    if missing is not MISSING:
        return call(trace, missing, [mapping, key])
    throw(trace, KeyError, key)


@lookaside(defaultdict.__missing__)
def _default(trace: Trace, mapping: DictValue, key: Item) -> Item:
    factory = get_attribute(trace, mapping, "default_factory")
    if factory is None:
        throw(trace, KeyError, key)
    item = call(trace, factory, [])
    mapping.change(trace)[trace.key(key)] = item
    return item


@lookaside(dict.__setitem__, OrderedDict.__setitem__, lazy=True)
def _setitem(trace: Trace, mapping: DictValue, key: Item, item: Item) -> None:
    mapping.change(trace)[trace.key(key)] = item


@lookaside(dict.__delitem__, OrderedDict.__delitem__)
def _delitem(trace: Trace, mapping: DictValue, key: Item) -> None:
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


@lookaside(dict.setdefault, OrderedDict.setdefault, lazy=True)
def _setdefault(trace: Trace, mapping: DictValue, key: Item, default: Item = None) -> Item:
    key = trace.key(key)
    item = mapping.lookup(trace, key)
    if item is MISSING:
        item = mapping.change(trace)[key] = default
    return item


@lookaside(dict.pop, OrderedDict.pop, lazy=True)
def _pop(trace: Trace, mapping: DictValue, key: Item, default: Item = MISSING) -> Item:
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


@lookaside(dict.clear, OrderedDict.clear)
def _clear(trace: Trace, mapping: DictValue) -> None:
    mapping.change(trace).clear()


@lookaside(dict.copy, OrderedDict.copy, defaultdict.copy, defaultdict.__copy__)
def _copy(trace: Trace, mapping: DictValue) -> Item:
    made = DictValue(dict if mapping.cls is dict else mapping.cls, dict(mapping.all(trace)))
    if issubclass(mapping.cls, defaultdict):
        made.keep_field("default_factory", get_attribute(trace, mapping, "default_factory"))
    return made


@lookaside(dict.update, OrderedDict.update, dict.__ior__, OrderedDict.__ior__)
def _update(trace: Trace, mapping: DictValue, other: Item = (), **kwargs: Item) -> Item:
    """dict.update; for OrderedDict the class's own `__setitem__` is used."""
    other = realise(trace, other)
    pairs = _pairs(trace, other)
    setter = special(trace, mapping, "__setitem__")
    if type(setter) is types.FunctionType and issubclass(mapping.cls, OrderedDict):
        for key, item in [*pairs, *kwargs.items()]:
            call(trace, setter, [mapping, key, item])
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


@lookaside(dict.__or__, OrderedDict.__or__)
def _or(trace: Trace, left: Item, right: Item) -> Item:
    if not isinstance(left, DictValue) or not isinstance(realise(trace, right), DictValue):
        return NotImplemented
    made = _copy(trace, left)
    made.items.update(realise(trace, right).all(trace))
    return made


@lookaside(dict.keys, OrderedDict.keys)
def _keys(trace: Trace, mapping: DictValue) -> Item:
    return DictView(mapping, "keys")


@lookaside(dict.values, OrderedDict.values)
def _values(trace: Trace, mapping: DictValue) -> Item:
    return DictView(mapping, "values")


@lookaside(dict.items, OrderedDict.items)
def _items(trace: Trace, mapping: DictValue) -> Item:
    return DictView(mapping, "items")


def _fromkeys(cls: type) -> Any:
    def run(trace: Trace, iterable: Item, value: Item = None) -> Item:
        return DictValue(cls, dict.fromkeys([trace.key(item) for item in unpack(trace, iterable)], value))

    return run


for _cls in (dict, OrderedDict):
    lookaside(_cls.fromkeys)(_fromkeys(_cls))


@lookaside(dict.__reversed__, OrderedDict.__reversed__)
def _reversed(trace: Trace, mapping: DictValue) -> Item:
    return ItemsIterator(trace, type(reversed({})), list(reversed(mapping.all(trace))))


@lookaside(KEYS.__contains__, ITEMS.__contains__)
def _view_contains(trace: Trace, view: DictView, item: Item) -> bool:
    if view.kind == "keys":
        return view.dictionary.lookup(trace, trace.key(item)) is not MISSING
    key, wanted = unpack(trace, item)
    found = view.dictionary.lookup(trace, trace.key(key))
    return found is not MISSING and (
        is_same(trace, found, wanted) or truth(trace, call(trace, operator.eq, [found, wanted]))
    )


def _of_proxy(name: str) -> Any:
    """A method of a mapping proxy: known when a pure function made it, not when it shows a class."""

    def run(trace: Trace, mapping: Item, *args: Item) -> Item:
        if not isinstance(mapping, DictValue):
            trace.stop(UNSUPPORTED_CALL, f"mappingproxy.{name}")
        shown = DictValue(dict, mapping.all(trace))
        return call(trace, getattr(dict, name), [shown, *args])

    return run


for _name in ("get", "keys", "values", "items", "__getitem__", "__contains__", "__len__", "__iter__"):
    lookaside(getattr(types.MappingProxyType, _name))(_of_proxy(_name))
