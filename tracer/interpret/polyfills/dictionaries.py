"""Methods of dict, of its subclasses in collections, and of dict views, over single-key access.

Two look-ups (`in`, then `[]`) stand for C's one.
"""

from __future__ import annotations

import collections
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from tracer.interpret.polyfills.common import MISSING, same
from tracer.interpret.polyfills.registry import replaces

Dict = dict[Any, Any]


@replaces(dict.get)
def dict_get(self: Dict, key: Any, default: Any = None, /) -> Any:
    return dict.__getitem__(self, key) if dict.__contains__(self, key) else default


@replaces(dict.setdefault)
def dict_setdefault(self: Dict, key: Any, default: Any = None, /) -> Any:
    if dict.__contains__(self, key):
        return dict.__getitem__(self, key)
    dict.__setitem__(self, key, default)
    return default


@replaces(dict.pop)
def dict_pop(self: Dict, key: Any, default: Any = MISSING, /) -> Any:
    if not dict.__len__(self) or not dict.__contains__(self, key):
        if default is MISSING:
            raise KeyError(key)
        return default
    value = dict.__getitem__(self, key)
    dict.__delitem__(self, key)
    return value


@replaces(dict.popitem)
def dict_popitem(self: Dict, /) -> tuple[Any, Any]:
    key = next(dict.__reversed__(self), MISSING)
    if key is MISSING:
        raise KeyError("popitem(): dictionary is empty")
    value = dict.__getitem__(self, key)
    dict.__delitem__(self, key)
    return key, value


@replaces(dict.update)
def dict_update(self: Dict, *others: Any, **named: Any) -> None:
    if len(others) > 1:
        raise TypeError(f"update expected at most 1 argument, got {len(others)}")
    for other in others:
        merge(self, other)
    for name in named:
        dict.__setitem__(self, name, named[name])


def merge(self: Dict, other: Any) -> None:
    """Store what a mapping or an iterable of pairs holds."""
    if isinstance(other, dict) and type(other).__iter__ is dict.__iter__:
        for key in dict.__iter__(other):
            dict.__setitem__(self, key, dict.__getitem__(other, key))
    elif hasattr(other, "keys"):
        for key in other.keys():  # noqa: SIM118  what the mapping says its keys are
            dict.__setitem__(self, key, other[key])
    else:
        merge_pairs(self, other)


def merge_pairs(self: Dict, pairs: Iterable[Any]) -> None:
    for position, pair in enumerate(pairs):
        if not hasattr(type(pair), "__iter__") and not hasattr(type(pair), "__getitem__"):
            raise TypeError(f"cannot convert dictionary update sequence element #{position} to a sequence")
        items = [*pair]
        if len(items) != 2:
            size = len(items)
            raise ValueError(f"dictionary update sequence element #{position} has length {size}; 2 is required")
        dict.__setitem__(self, items[0], items[1])


@replaces(dict.__init__)
def dict_initialise(self: Dict, *others: Any, **named: Any) -> None:
    if len(others) > 1:
        raise TypeError(f"dict expected at most 1 argument, got {len(others)}")
    dict_update(self, *others, **named)


@replaces(dict.__or__)
def dict_or(self: Dict, other: Any, /) -> Any:
    if not isinstance(self, dict) or not isinstance(other, dict):
        return NotImplemented
    result = dict.copy(self)
    merge(result, other)
    return result


@replaces(dict.__ror__)
def dict_ror(self: Dict, other: Any, /) -> Any:
    return dict_or(other, self)


@replaces(dict.__ior__)
def dict_or_in_place(self: Dict, other: Any, /) -> Dict:
    merge(self, other)
    return self


@replaces(dict.fromkeys)
def dict_fromkeys(iterable: Iterable[Any], value: Any = None, /) -> Dict:
    return class_fromkeys(dict, iterable, value)


@replaces(vars(dict)["fromkeys"])
def class_fromkeys(cls: Any, iterable: Iterable[Any], value: Any = None, /) -> Any:
    result = cls()
    for key in iterable:
        result[key] = value
    return result


# collections -----------------------------------------------------------------------------------------


@replaces(defaultdict.__missing__)
def defaultdict_missing(self: defaultdict[Any, Any], key: Any, /) -> Any:
    factory = self.default_factory
    if factory is None:
        raise KeyError(key)
    value = factory()
    self[key] = value
    return value


@replaces(collections._count_elements)  # type: ignore[attr-defined]
def count_elements(mapping: Any, iterable: Iterable[Any], /) -> None:
    """What Counter counts with."""
    for item in iterable:
        mapping[item] = mapping.get(item, 0) + 1


# Views -----------------------------------------------------------------------------------------------

KeysView: Any = type({}.keys())
ItemsView: Any = type({}.items())


def every_in(items: Iterable[Any], container: Any) -> bool:
    for item in items:  # noqa: SIM110  a generator would cost the tracer a frame
        if item not in container:
            return False
    return True


def is_set_like(other: Any) -> bool:
    return isinstance(other, (set, frozenset, KeysView, ItemsView))


@replaces(ItemsView.__contains__)
def items_contains(self: Any, pair: Any, /) -> bool:
    if not isinstance(pair, tuple) or tuple.__len__(pair) != 2:
        return False
    mapping = self.mapping
    key = tuple.__getitem__(pair, 0)
    return key in mapping and same(mapping[key], tuple.__getitem__(pair, 1))


@replaces(KeysView.__eq__, ItemsView.__eq__)
def view_equal(self: Any, other: Any, /) -> Any:
    if not is_set_like(other):
        return NotImplemented
    return len(self) == len(other) and every_in(self, other)


@replaces(KeysView.__ne__, ItemsView.__ne__)
def view_unequal(self: Any, other: Any, /) -> Any:
    result = view_equal(self, other)
    return result if result is NotImplemented else not result


@replaces(KeysView.__le__, ItemsView.__le__)
def view_subset(self: Any, other: Any, /) -> Any:
    return len(self) <= len(other) and every_in(self, other) if is_set_like(other) else NotImplemented


@replaces(KeysView.__lt__, ItemsView.__lt__)
def view_proper_subset(self: Any, other: Any, /) -> Any:
    return len(self) < len(other) and every_in(self, other) if is_set_like(other) else NotImplemented


@replaces(KeysView.__ge__, ItemsView.__ge__)
def view_superset(self: Any, other: Any, /) -> Any:
    return len(self) >= len(other) and every_in(other, self) if is_set_like(other) else NotImplemented


@replaces(KeysView.__gt__, ItemsView.__gt__)
def view_proper_superset(self: Any, other: Any, /) -> Any:
    return len(self) > len(other) and every_in(other, self) if is_set_like(other) else NotImplemented


@replaces(KeysView.__and__, ItemsView.__and__)
def view_and(self: Any, other: Any, /) -> set[Any]:
    return {item for item in other if item in self}


@replaces(KeysView.__or__, ItemsView.__or__)
def view_or(self: Any, other: Any, /) -> set[Any]:
    return {*self, *other}


@replaces(KeysView.__sub__, ItemsView.__sub__)
def view_subtract(self: Any, other: Any, /) -> set[Any]:
    removed = {*other}
    return {item for item in self if item not in removed}


@replaces(KeysView.__xor__, ItemsView.__xor__)
def view_xor(self: Any, other: Any, /) -> set[Any]:
    mine, others = {*self}, {*other}
    return {*[item for item in mine if item not in others], *[item for item in others if item not in mine]}


@replaces(KeysView.isdisjoint, ItemsView.isdisjoint)
def view_disjoint(self: Any, other: Iterable[Any], /) -> bool:
    for item in other:  # noqa: SIM110  a generator would cost the tracer a frame
        if item in self:
            return False
    return True
