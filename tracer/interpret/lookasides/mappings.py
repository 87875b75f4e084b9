"""Methods of dicts, their views, and sets, run on their payloads."""

from __future__ import annotations

import operator
import types
from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Any

from tracer.interpret.construct import dict_init, set_init
from tracer.interpret.policy import lookaside
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.attributes import get_attribute
from tracer.values.base import MISSING, Item, Value, realise
from tracer.values.containers import DictValue, SetValue, make_tuple
from tracer.values.iterators import VIEW_TYPES, DictView, ItemsIterator
from tracer.values.slots import builtin_iterator, builtin_length, get_item, is_same, special

if TYPE_CHECKING:
    from tracer.interpret.trace import Trace

KEYS, VALUES, ITEMS = VIEW_TYPES["keys"], VIEW_TYPES["values"], VIEW_TYPES["items"]

lookaside(dict.__init__, OrderedDict.__init__, defaultdict.__init__)(dict_init)
lookaside(set.__init__)(set_init)
lookaside(dict.__len__, set.__len__, frozenset.__len__, *(view.__len__ for view in VIEW_TYPES.values()))(
    lambda trace, container: builtin_length(trace, container) if isinstance(container, Value) else len(container)
)
lookaside(dict.__iter__, OrderedDict.__iter__, set.__iter__, *(view.__iter__ for view in VIEW_TYPES.values()))(
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
        return trace.call(missing, [mapping, key])
    trace.throw(KeyError, key)


@lookaside(defaultdict.__missing__)
def _default(trace: Trace, mapping: DictValue, key: Item) -> Item:
    factory = get_attribute(trace, mapping, "default_factory")
    if factory is None:
        trace.throw(KeyError, key)
    item = trace.call(factory, [])
    mapping.change(trace)[trace.key(key)] = item
    return item


@lookaside(dict.__setitem__, OrderedDict.__setitem__)
def _setitem(trace: Trace, mapping: DictValue, key: Item, item: Item) -> None:
    mapping.change(trace)[trace.key(key)] = item


@lookaside(dict.__delitem__, OrderedDict.__delitem__)
def _delitem(trace: Trace, mapping: DictValue, key: Item) -> None:
    key = trace.key(key)
    if mapping.lookup(trace, key) is MISSING:
        trace.throw(KeyError, key)
    del mapping.change(trace)[key]


@lookaside(dict.__contains__)
def _contains(trace: Trace, mapping: DictValue, key: Item) -> bool:
    return mapping.lookup(trace, trace.key(key)) is not MISSING


@lookaside(dict.get)
def _get(trace: Trace, mapping: DictValue, key: Item, default: Item = None) -> Item:
    item = mapping.lookup(trace, trace.key(key))
    return default if item is MISSING else item


@lookaside(dict.setdefault, OrderedDict.setdefault)
def _setdefault(trace: Trace, mapping: DictValue, key: Item, default: Item = None) -> Item:
    key = trace.key(key)
    item = mapping.lookup(trace, key)
    if item is MISSING:
        item = mapping.change(trace)[key] = default
    return item


@lookaside(dict.pop, OrderedDict.pop)
def _pop(trace: Trace, mapping: DictValue, key: Item, default: Item = MISSING) -> Item:
    key = trace.key(key)
    if mapping.lookup(trace, key) is MISSING:
        if default is MISSING:
            trace.throw(KeyError, key)
        return default
    return mapping.change(trace).pop(key)


@lookaside(dict.popitem)
def _popitem(trace: Trace, mapping: DictValue) -> Item:
    items = mapping.change(trace)
    if not items:
        trace.throw(KeyError, "popitem(): dictionary is empty")
    return make_tuple(items.popitem())


@lookaside(OrderedDict.popitem)
def _popitem_ordered(trace: Trace, mapping: DictValue, last: Item = True) -> Item:
    items = mapping.change(trace)
    if not items:
        trace.throw(KeyError, "dictionary is empty")
    key = next(reversed(items)) if trace.truth(last) else next(iter(items))
    return make_tuple((key, items.pop(key)))


@lookaside(OrderedDict.move_to_end)
def _move_to_end(trace: Trace, mapping: DictValue, key: Item, last: Item = True) -> None:
    key = trace.key(key)
    items = mapping.change(trace)
    if key not in items:
        trace.throw(KeyError, key)
    item = items.pop(key)
    rest = dict(items)
    items.clear()
    items.update({**rest, key: item} if trace.truth(last) else {key: item, **rest})


@lookaside(dict.clear, OrderedDict.clear)
def _clear(trace: Trace, mapping: DictValue) -> None:
    mapping.change(trace).clear()


@lookaside(dict.copy, OrderedDict.copy, defaultdict.copy, defaultdict.__copy__)
def _copy(trace: Trace, mapping: DictValue) -> Item:
    made = DictValue(dict if mapping.cls is dict else mapping.cls, dict(mapping.all(trace)))
    if "default_factory" in mapping.attributes:
        made.attributes["default_factory"] = mapping.attributes["default_factory"]
    return made


@lookaside(dict.update, OrderedDict.update, dict.__ior__, OrderedDict.__ior__)
def _update(trace: Trace, mapping: DictValue, other: Item = (), **kwargs: Item) -> Item:
    """dict.update; for OrderedDict the class's own `__setitem__` is used."""
    other = realise(trace, other)
    pairs = _pairs(trace, other)
    setter = special(trace, mapping, "__setitem__")
    if type(setter) is types.FunctionType and issubclass(mapping.cls, OrderedDict):
        for key, item in [*pairs, *kwargs.items()]:
            trace.call(setter, [mapping, key, item])
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
        keys = trace.unpack(trace.call(get_attribute(trace, other, "keys"), []))
        return [(key, get_item(trace, other, key)) for key in keys]
    pairs: list[tuple[Item, Item]] = []
    for position, pair in enumerate(trace.unpack(other)):
        parts = trace.unpack(pair)
        if len(parts) != 2:
            trace.throw(
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


@lookaside(dict.fromkeys, OrderedDict.fromkeys)
def _fromkeys(trace: Trace, *args: Item) -> Item:
    cls = args[0] if args and isinstance(args[0], type) and issubclass(args[0], dict) else None
    iterable, *default = args[1:] if cls is not None else args
    keys = [trace.key(item) for item in trace.unpack(iterable)]
    return DictValue(cls or dict, dict.fromkeys(keys, default[0] if default else None))


@lookaside(dict.__reversed__, OrderedDict.__reversed__)
def _reversed(trace: Trace, mapping: DictValue) -> Item:
    return ItemsIterator(trace, type(reversed({})), list(reversed(mapping.all(trace))))


@lookaside(KEYS.__contains__, ITEMS.__contains__)
def _view_contains(trace: Trace, view: DictView, item: Item) -> bool:
    if view.kind == "keys":
        return view.dictionary.lookup(trace, trace.key(item)) is not MISSING
    key, wanted = trace.unpack(item)
    found = view.dictionary.lookup(trace, trace.key(key))
    return found is not MISSING and (is_same(trace, found, wanted) or trace.truth(trace.call(operator.eq, [found, wanted])))


def _of_proxy(name: str) -> Any:
    """A method of a mapping proxy: known when a pure function made it, not when it shows a class."""

    def run(trace: Trace, mapping: Item, *args: Item) -> Item:
        if not isinstance(mapping, DictValue):
            trace.stop(UNSUPPORTED_CALL, f"mappingproxy.{name}")
        return trace.call(getattr(dict, name), [mapping, *args])

    return run


for _name in ("get", "keys", "values", "items", "__getitem__", "__contains__", "__len__", "__iter__"):
    lookaside(getattr(types.MappingProxyType, _name))(_of_proxy(_name))


# Sets --------------------------------------------------------------------------------------------------


def _elements(trace: Trace, item: Item) -> dict[Item, None]:
    """The elements of any iterable, as the keys of a dict."""
    item = realise(trace, item)
    if isinstance(item, SetValue):
        return item.all(trace)
    return dict.fromkeys(trace.key(element) for element in trace.unpack(item))


def _made(cls: type, elements: Any) -> Item:
    elements = list(elements)
    if issubclass(cls, frozenset):
        return SetValue(frozenset, elements) if any(isinstance(e, Value) for e in elements) else frozenset(elements)
    return SetValue(set, elements)


def _class_of(item: Item) -> type:
    return item.cls if isinstance(item, Value) else type(item)


@lookaside(set.add)
def _add(trace: Trace, target: SetValue, item: Item) -> None:
    target.change(trace).setdefault(trace.key(item))


@lookaside(set.discard)
def _discard(trace: Trace, target: SetValue, item: Item) -> None:
    target.change(trace).pop(trace.key(item), None)


@lookaside(set.remove)
def _remove(trace: Trace, target: SetValue, item: Item) -> None:
    key = trace.key(item)
    elements = target.change(trace)
    if key not in elements:
        trace.throw(KeyError, key)
    del elements[key]


@lookaside(set.clear)
def _clear_set(trace: Trace, target: SetValue) -> None:
    target.change(trace).clear()


@lookaside(set.copy)
def _copy_set(trace: Trace, target: SetValue) -> Item:
    return SetValue(set, target.all(trace))


@lookaside(set.__contains__, frozenset.__contains__)
def _set_contains(trace: Trace, target: Item, item: Item) -> bool:
    return trace.key(item) in _elements(trace, target)


def _union(trace: Trace, target: Item, *others: Item) -> Item:
    elements = dict(_elements(trace, target))
    for other in others:
        elements.update(_elements(trace, other))
    return _made(_class_of(target), elements)


def _intersection(trace: Trace, target: Item, *others: Item) -> Item:
    elements = dict(_elements(trace, target))
    for other in others:
        theirs = _elements(trace, other)
        elements = {element: None for element in elements if element in theirs}
    return _made(_class_of(target), elements)


def _difference(trace: Trace, target: Item, *others: Item) -> Item:
    elements = dict(_elements(trace, target))
    for other in others:
        for element in _elements(trace, other):
            elements.pop(element, None)
    return _made(_class_of(target), elements)


def _symmetric_difference(trace: Trace, target: Item, other: Item) -> Item:
    mine, theirs = _elements(trace, target), _elements(trace, other)
    only = [*(e for e in mine if e not in theirs), *(e for e in theirs if e not in mine)]
    return _made(_class_of(target), only)


SET_OPERATIONS: tuple[tuple[Any, str, str, str | None], ...] = (
    (_union, "union", "__or__", "update"),
    (_intersection, "intersection", "__and__", "intersection_update"),
    (_difference, "difference", "__sub__", "difference_update"),
    (_symmetric_difference, "symmetric_difference", "__xor__", "symmetric_difference_update"),
)
"""(how, method, operator, in-place method); the in-place operator is the operator's with an i."""


def _operator(function: Any) -> Any:
    def run(trace: Trace, left: Item, right: Item) -> Item:
        right = realise(trace, right)
        if not issubclass(_class_of(right), (set, frozenset, KEYS, ITEMS)):
            return NotImplemented
        return function(trace, left, right)

    return run


def _in_place(function: Any, returns: bool) -> Any:
    def run(trace: Trace, target: SetValue, *others: Item) -> Item:
        result = _elements(trace, function(trace, target, *others))
        elements = target.change(trace)
        elements.clear()
        elements.update(result)
        return target if returns else None

    return run


for _function, _method, _dunder, _update_name in SET_OPERATIONS:
    lookaside(getattr(set, _method), getattr(frozenset, _method))(_function)
    _owners = [cls for cls in (set, frozenset, KEYS, ITEMS) if hasattr(cls, _dunder)]
    lookaside(*(getattr(cls, _dunder) for cls in _owners))(_operator(_function))
    lookaside(getattr(set, _update_name or ""))(_in_place(_function, returns=False))
    lookaside(getattr(set, _dunder.replace("__", "__i", 1)))(_in_place(_function, returns=True))


def _subset(trace: Trace, left: Item, right: Item) -> bool:
    theirs = _elements(trace, right)
    return all(element in theirs for element in _elements(trace, left))


def _equal_sets(trace: Trace, left: Item, right: Item) -> bool:
    return len(_elements(trace, left)) == len(_elements(trace, right)) and _subset(trace, left, right)


SET_COMPARISONS: dict[str, Any] = {
    "__eq__": _equal_sets,
    "__ne__": lambda trace, left, right: not _equal_sets(trace, left, right),
    "__le__": _subset,
    "__ge__": lambda trace, left, right: _subset(trace, right, left),
    "__lt__": lambda trace, left, right: _subset(trace, left, right) and not _equal_sets(trace, left, right),
    "__gt__": lambda trace, left, right: _subset(trace, right, left) and not _equal_sets(trace, left, right),
}

for _name, _function in SET_COMPARISONS.items():
    lookaside(*(getattr(cls, _name) for cls in (set, frozenset, KEYS, ITEMS)))(_operator(_function))
lookaside(set.issubset, frozenset.issubset)(_subset)
lookaside(set.issuperset, frozenset.issuperset)(SET_COMPARISONS["__ge__"])
lookaside(set.isdisjoint, frozenset.isdisjoint, KEYS.isdisjoint)(
    lambda trace, left, right: not any(element in _elements(trace, left) for element in _elements(trace, right))
)


@lookaside(set.pop)
def _pop_set(trace: Trace, target: SetValue) -> Item:
    elements = target.change(trace)
    if not elements:
        trace.throw(KeyError, "pop from an empty set")
    key = next(iter(elements))
    del elements[key]
    return key
