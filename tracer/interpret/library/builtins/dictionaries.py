"""Methods of dict and its views. They run on the payloads.

On an OrderedDict those of dict itself that list or change keys are CPython's: they know nothing of its order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from tracer.interpret.call import call
from tracer.interpret.construct import dict_init
from tracer.interpret.library.builtins.representation import represent
from tracer.interpret.library.builtins.sequences import sequence_opened
from tracer.interpret.policy import lookaside, polyfill
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING, Value, class_of, realise
from tracer.values.class_attributes import special
from tracer.values.dict_views import ORDERED_VIEW_TYPES, VIEW_TYPES, DictView
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.iterators import END, next_item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.items import get_item
from tracer.values.protocols.iteration import builtin_iterator, iterate, unpack
from tracer.values.protocols.length import builtin_length
from tracer.values.protocols.operators import equal
from tracer.values.protocols.special_methods import call_special, is_of_program
from tracer.values.protocols.symbolic import MOST_KEYS, is_none_of
from tracer.values.raising import throw
from tracer.values.table_iterators import TableIterator
from tracer.values.tuples import make_tuple

VIEWS = (*VIEW_TYPES.values(), *ORDERED_VIEW_TYPES.values())
KEYS, VALUES, ITEMS = VIEW_TYPES["keys"], VIEW_TYPES["values"], VIEW_TYPES["items"]

lookaside(dict.__init__)(dict_init)
lookaside(dict.__len__, *(view.__len__ for view in VIEW_TYPES.values()))(
    lambda trace, container: builtin_length(trace, container) if isinstance(container, Value) else len(container)
)
lookaside(dict.__iter__, excluding=OrderedDict)(builtin_iterator)
lookaside(*(view.__iter__ for view in VIEWS))(builtin_iterator)


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


@lookaside(dict.__setitem__, lazy=True, excluding=OrderedDict)
def dict_setitem(trace: Trace, mapping: DictValue, key: Item, item: Item) -> None:
    mapping.put(trace, trace.key(key), item)


@lookaside(dict.__delitem__, excluding=OrderedDict)
def dict_delitem(trace: Trace, mapping: DictValue, key: Item) -> None:
    key = trace.key(key)
    if mapping.lookup(trace, key) is MISSING:
        throw(trace, KeyError, key)
    mapping.take(trace, key)


@lookaside(dict.__contains__)
def _contains(trace: Trace, mapping: DictValue, key: Item) -> bool:
    if type(key) is torch.SymInt and mapping.size <= MOST_KEYS and is_none_of(trace, key, mapping.all(trace)):
        return False
    return mapping.lookup(trace, trace.key(key)) is not MISSING


@lookaside(dict.get, lazy=True)
def _get(trace: Trace, mapping: DictValue, key: Item, default: Item = None, /) -> Item:
    item = mapping.lookup(trace, trace.key(key))
    return default if item is MISSING else item


@lookaside(dict.setdefault, lazy=True, excluding=OrderedDict)
def dict_setdefault(trace: Trace, mapping: DictValue, key: Item, default: Item = None) -> Item:
    key = trace.key(key)
    item = mapping.lookup(trace, key)
    if item is MISSING:
        item = default
        mapping.put(trace, key, item)
    return item


@lookaside(dict.pop, lazy=True, excluding=OrderedDict)
def dict_pop(trace: Trace, mapping: DictValue, key: Item, default: Item = MISSING, /) -> Item:
    key = trace.key(key)
    if mapping.lookup(trace, key) is MISSING:
        if default is MISSING:
            throw(trace, KeyError, key)
        return default
    return mapping.take(trace, key)


@lookaside(dict.popitem, excluding=OrderedDict)
def _popitem(trace: Trace, mapping: DictValue) -> Item:
    items = mapping.change(trace)
    if not items:
        throw(trace, KeyError, "popitem(): dictionary is empty")
    key = next(reversed(items))
    return make_tuple((key, mapping.take(trace, key)))


@lookaside(dict.clear, excluding=OrderedDict)
def dict_clear(trace: Trace, mapping: DictValue) -> None:
    mapping.change(trace).clear()


@lookaside(dict.copy, excluding=OrderedDict)
def dict_copy(trace: Trace, mapping: DictValue) -> Item:
    """dict.copy: a plain dict, whatever the class of the dict that is copied."""
    return DictValue(dict, dict(mapping.all(trace)))


@lookaside(dict.update, excluding=OrderedDict)
def _update(trace: Trace, mapping: DictValue, other: Item = (), /, **kwargs: Item) -> None:
    merge(trace, mapping, other)
    for name, item in kwargs.items():
        mapping.put(trace, name, item)


@lookaside(dict.__ior__, excluding=OrderedDict)
def dict_ior(trace: Trace, mapping: DictValue, other: Item) -> Item:
    merge(trace, mapping, other)
    return mapping


def merge(trace: Trace, mapping: DictValue, other: Item) -> None:
    """What `dict.update` puts into a dict: pair by pair, so that those before an error are there."""
    other = realise(trace, other)
    if iterates_natively(trace, other):
        _merge_table(trace, mapping, other)
        return
    for key, item in pairs_of_mapping(trace, other) if has_keys(trace, other) else _pairs(trace, other):
        mapping.put(trace, trace.key(key), item)


def _merge_table(trace: Trace, mapping: DictValue, other: DictValue) -> None:
    """Put the items of a dict, which comparing keys may change: CPython notices new keys, and when it is cleared."""
    items = other.all(trace)
    keys = dict.fromkeys(items)
    for key in keys:
        if key not in items:
            continue
        mapping.put(trace, key, items[key])
        items = other.all(trace)
        if len(items) != len(keys) and (not items or next(reversed(items)) not in keys):
            throw(trace, RuntimeError, "dict mutated during update")


def iterates_natively(trace: Trace, other: Item) -> bool:
    """Whether an item is a dict whose storage is read directly: no class of the program has a say in its iteration."""
    return isinstance(other, DictValue) and not is_of_program(trace, other, "__iter__")


def has_keys(trace: Trace, other: Item) -> bool:
    """Whether an item counts as a mapping."""
    return call(trace, hasattr, [other, "keys"])


def pairs_of_mapping(trace: Trace, other: Item) -> Iterator[tuple[Item, Item]]:
    """The pairs of anything that has `keys` and `__getitem__`, each asked for when its turn comes."""
    keys = iterate(trace, call(trace, get_attribute(trace, other, "keys"), []))
    while (key := next_item(trace, keys)) is not END:
        yield key, get_item(trace, other, key)


def _pairs(trace: Trace, other: Item) -> Iterator[tuple[Item, Item]]:
    """The pairs of an iterable of pairs."""
    iterator, position = iterate(trace, other), 0
    while (pair := next_item(trace, iterator)) is not END:
        pair = realise(trace, pair)
        if special(trace, pair, "__iter__") is MISSING and special(trace, pair, "__getitem__") is MISSING:
            throw(trace, TypeError, f"cannot convert dictionary update sequence element #{position} to a sequence")
        parts = unpack(trace, pair)
        if len(parts) != 2:
            what = f"dictionary update sequence element #{position}"
            throw(trace, ValueError, f"{what} has length {len(parts)}; 2 is required")
        yield parts[0], parts[1]
        position += 1


@lookaside(dict.__or__)
def dict_or(trace: Trace, left: Item, right: Item) -> Item:
    right = realise(trace, right)
    if not isinstance(left, DictValue) or not isinstance(right, DictValue):
        return NotImplemented
    result = dict_copy(trace, left)
    merge(trace, result, right)
    return result


@lookaside(dict.__ror__)
def _reflected_or(trace: Trace, right: Item, left: Item) -> Item:
    return dict_or(trace, realise(trace, left), right)


@lookaside(dict.keys, excluding=OrderedDict)
def dict_keys(trace: Trace, mapping: DictValue) -> Item:
    return DictView(mapping, "keys")


@lookaside(dict.values, excluding=OrderedDict)
def dict_values(trace: Trace, mapping: DictValue) -> Item:
    return DictView(mapping, "values")


@lookaside(dict.items, excluding=OrderedDict)
def dict_items(trace: Trace, mapping: DictValue) -> Item:
    return DictView(mapping, "items")


def from_keys(cls: type) -> Any:
    """The lookaside of `fromkeys` of one exact dictionary type."""

    def run(trace: Trace, iterable: Item, value: Item = None) -> Item:
        return DictValue(cls, dict.fromkeys([trace.key(item) for item in unpack(trace, iterable)], value))

    return run


lookaside(dict.fromkeys)(from_keys(dict))


@lookaside(dict.__reversed__, excluding=OrderedDict)
def dict_reversed(trace: Trace, mapping: DictValue) -> Item:
    return TableIterator(trace, mapping, "keys", backwards=True)


@lookaside(*(view.__reversed__ for view in VIEWS))
def view_reversed(trace: Trace, view: DictView) -> Item:
    return TableIterator(trace, view.dictionary, view.kind, backwards=True)


@lookaside(KEYS.__contains__, ITEMS.__contains__)
def _view_contains(trace: Trace, view: DictView, item: Item) -> bool:
    if view.kind == "keys":
        return view.dictionary.lookup(trace, trace.key(item)) is not MISSING
    if not issubclass(class_of(item), tuple) or builtin_length(trace, opened := sequence_opened(trace, item)) != 2:
        return False
    key, expected = opened.all(trace)
    value = view.dictionary.lookup(trace, trace.key(key))
    return value is not MISSING and equal(trace, value, expected)


for _view in VIEW_TYPES.values():
    polyfill(_view.__repr__)(lambda self, /: represent(self, ()))


@polyfill(vars(dict)["fromkeys"])
def class_from_keys(cls: Any, iterable: Iterable[Any], value: Any = None, /) -> Any:
    result = cls()
    for key in iterable:
        result[key] = value
    return result
