"""Methods of collections.OrderedDict, which honour `__getitem__` and `__setitem__` of subclasses where C's do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from tracer.interpret.polyfills.common import MISSING
from tracer.interpret.polyfills.registry import replaces

Ordered = OrderedDict[Any, Any]


@replaces(OrderedDict.update)
def ordered_update(self: Ordered, *others: Any, **named: Any) -> None:
    if len(others) > 1:
        raise TypeError(f"update() takes at most 1 positional argument ({len(others)} given)")
    for other in others:
        merge(self, other)
    for name in named:
        self[name] = named[name]


def merge(self: Any, other: Any) -> None:
    if type(other) is dict:
        for key in dict.__iter__(other):
            self[key] = dict.__getitem__(other, key)
    elif hasattr(other, "keys"):
        for key in [*other.keys()]:
            self[key] = other[key]
    else:
        merge_pairs(self, other.items() if hasattr(other, "items") else other)


def merge_pairs(self: Any, pairs: Iterable[Any]) -> None:
    for pair in pairs:
        items = iter(pair)
        key, value = next(items, MISSING), next(items, MISSING)
        if value is MISSING:
            count = 0 if key is MISSING else 1
            raise ValueError(f"need more than {count} value{'' if count == 1 else 's'} to unpack")
        if next(items, MISSING) is not MISSING:
            raise ValueError("too many values to unpack (expected 2)")
        self[key] = value


@replaces(OrderedDict.__init__)
def ordered_initialise(self: Ordered, *others: Any, **named: Any) -> None:
    if len(others) > 1:
        raise TypeError(f"expected at most 1 arguments, got {len(others)}")
    ordered_update(self, *others, **named)


@replaces(OrderedDict.setdefault)
def ordered_setdefault(self: Ordered, key: Any, default: Any = None) -> Any:
    if type(self) is OrderedDict:
        if dict.__contains__(self, key):
            return dict.__getitem__(self, key)
        OrderedDict.__setitem__(self, key, default)
        return default
    if key in self:
        return self[key]
    self[key] = default
    return default


@replaces(OrderedDict.pop)
def ordered_pop(self: Ordered, key: Any, default: Any = MISSING) -> Any:
    if not dict.__contains__(self, key):
        if default is MISSING:
            raise KeyError(key)
        return default
    value = dict.__getitem__(self, key)
    OrderedDict.__delitem__(self, key)
    return value


@replaces(OrderedDict.popitem)
def ordered_popitem(self: Ordered, last: Any = True) -> tuple[Any, Any]:
    key = next(OrderedDict.__reversed__(self) if last else OrderedDict.__iter__(self), MISSING)
    if key is MISSING:
        raise KeyError("dictionary is empty")
    value = dict.__getitem__(self, key)
    OrderedDict.__delitem__(self, key)
    return key, value


@replaces(OrderedDict.move_to_end)
def ordered_move_to_end(self: Ordered, key: Any, last: Any = True) -> None:
    if not dict.__contains__(self, key):
        raise KeyError(key)
    behind = [] if last else [other for other in OrderedDict.__iter__(self) if other != key]
    for other in [key, *behind]:
        value = dict.__getitem__(self, other)
        OrderedDict.__delitem__(self, other)
        OrderedDict.__setitem__(self, other, value)


@replaces(OrderedDict.__or__)
def ordered_or(self: Ordered, other: Any, /) -> Any:
    if not isinstance(self, dict) or not isinstance(other, dict):
        return NotImplemented
    result = type(self)(self)
    merge(result, other)
    return result


@replaces(OrderedDict.__ror__)
def ordered_ror(self: Ordered, other: Any, /) -> Any:
    if not isinstance(other, dict):
        return NotImplemented
    result: Any = type(self)(other)
    merge(result, self)
    return result


@replaces(OrderedDict.__ior__)
def ordered_or_in_place(self: Ordered, other: Any, /) -> Ordered:
    merge(self, other)
    return self


@replaces(OrderedDict.fromkeys)
def ordered_fromkeys(iterable: Iterable[Any], value: Any = None) -> Ordered:
    return ordered_class_fromkeys(OrderedDict, iterable, value)


@replaces(vars(OrderedDict)["fromkeys"])
def ordered_class_fromkeys(cls: Any, iterable: Iterable[Any], value: Any = None) -> Any:
    result = cls()
    for key in iterable:
        result[key] = value
    return result
