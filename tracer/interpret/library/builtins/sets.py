"""Methods of set and frozenset, and the set operators of dict views: CPython runs them on the payloads.

Real sets do the work, one step for each step of the program, so that the order of the
elements is what it would have been.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

import torch

from passes import python_operators
from tracer.interpret.construct import elements, set_init
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import Value, class_of, realise
from tracer.values.dict_views import VIEW_TYPES
from tracer.values.dicts import DictValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.iterators import END, next_item
from tracer.values.protocols.iteration import builtin_iterator, iterate
from tracer.values.protocols.length import builtin_length
from tracer.values.protocols.symbolic import MOST_KEYS, is_none_of
from tracer.values.raising import throw
from tracer.values.sets import SetValue

KEYS, ITEMS = VIEW_TYPES["keys"], VIEW_TYPES["items"]

lookaside(set.__init__)(set_init)
lookaside(set.__len__, frozenset.__len__)(
    lambda trace, target: builtin_length(trace, target) if isinstance(target, Value) else len(target)
)
lookaside(set.__iter__, frozenset.__iter__)(
    lambda trace, target: builtin_iterator(trace, target) if isinstance(target, Value) else iterate(trace, target)
)


def _is_set_like(item: Item) -> bool:
    return issubclass(class_of(item), (set, frozenset, KEYS, ITEMS))


def as_item(result: Any) -> Item:
    """The item for a real set of items."""
    if type(result) is set or any(isinstance(element, Value) for element in result):
        return SetValue(type(result), result)
    return result


def _element(trace: Trace, item: Item) -> Item:
    """The key to look for in a set; a set is looked for as the frozenset that equals it."""
    item = realise(trace, item)
    if isinstance(item, SetValue) and not issubclass(item.cls, frozenset):
        return trace.key(as_item(host(trace, frozenset, item.all(trace))))
    return trace.key(item)


# Methods that leave the set as it is -------------------------------------------------------------------


@lookaside(set.__contains__, frozenset.__contains__)
def _contains(trace: Trace, target: Item, item: Item) -> bool:
    item = realise(trace, item)
    is_large = isinstance(target, SetValue) and target.size > MOST_KEYS
    if type(item) is torch.SymInt and not is_large and is_none_of(trace, item, elements(trace, target)):
        return False
    element = _element(trace, item)
    answer = target.holds(trace, element) if isinstance(target, SetValue) else None
    return answer if answer is not None else host(trace, operator.contains, elements(trace, target), element)


@lookaside(set.copy)
def _copy(trace: Trace, target: SetValue) -> Item:
    return SetValue(set, host(trace, set, target.all(trace)))


@lookaside(frozenset.copy)
def _copy_frozen(trace: Trace, target: Item) -> Item:
    """The set itself, unless it is of a subclass."""
    copied = isinstance(target, SetValue) and target.cls is not frozenset
    return as_item(host(trace, frozenset, target.all(trace))) if copied else target


def _combination(name: str) -> Callable[..., Item]:
    def run(trace: Trace, target: Item, *others: Item) -> Item:
        operands = (elements(trace, other) for other in others)
        return as_item(host(trace, getattr(elements(trace, target), name), *operands))

    return run


for _name in ("union", "intersection", "difference"):
    lookaside(getattr(set, _name), getattr(frozenset, _name))(_combination(_name))


@lookaside(set.symmetric_difference, frozenset.symmetric_difference)
def _symmetric_difference(trace: Trace, target: Item, other: Item) -> Item:
    """Takes one set alone: any other number is refused in words that depend on how the method was looked up."""
    return _combination("symmetric_difference")(trace, target, other)


def _question(name: str) -> Callable[..., bool]:
    def run(trace: Trace, target: Item, other: Item) -> bool:
        return getattr(elements(trace, target), name)(elements(trace, other))

    return run


for _name in ("issubset", "issuperset", "isdisjoint"):
    lookaside(getattr(set, _name), getattr(frozenset, _name))(_question(_name))
lookaside(KEYS.isdisjoint, ITEMS.isdisjoint)(_question("isdisjoint"))

# Operators ---------------------------------------------------------------------------------------------


def _operator(function: Callable[..., Any], views: bool) -> Callable[..., Item]:
    """A binary operator. Sets take sets and views; a view takes any iterable."""

    def run(trace: Trace, left: Item, right: Item) -> Item:
        right = realise(trace, right)
        if not views and not _is_set_like(right):
            return NotImplemented
        return as_item(host(trace, function, elements(trace, left), elements(trace, right)))

    return run


def _reflected(function: Callable[..., Any]) -> Callable[..., Item]:
    return lambda trace, right, left: as_item(host(trace, function, elements(trace, left), elements(trace, right)))


OPERATORS = [row for row in python_operators.BINARY if row.symbol in ("|", "&", "-", "^")]

for _row in OPERATORS:
    lookaside(getattr(set, _row.method), getattr(frozenset, _row.method))(_operator(_row.function, views=False))
    lookaside(getattr(KEYS, _row.method), getattr(ITEMS, _row.method))(_operator(_row.function, views=True))
    lookaside(getattr(KEYS, _row.reflected), getattr(ITEMS, _row.reflected))(_reflected(_row.function))


def _reflected_of_sets(function: Callable[..., Any]) -> Callable[..., Item]:
    """A reflected operator of a set, which takes no other operands than sets."""

    def run(trace: Trace, right: Item, left: Item) -> Item:
        left = realise(trace, left)
        if not issubclass(class_of(left), (set, frozenset)):
            return NotImplemented
        return as_item(host(trace, function, elements(trace, left), elements(trace, right)))

    return run


for _row in OPERATORS:
    lookaside(vars(set)[_row.reflected], vars(frozenset)[_row.reflected])(_reflected_of_sets(_row.function))


def _comparison(function: Callable[..., bool]) -> Callable[..., Item]:
    def run(trace: Trace, left: Item, right: Item) -> Item:
        right = realise(trace, right)
        if not _is_set_like(right):
            return NotImplemented
        return host(trace, function, elements(trace, left), elements(trace, right))

    return run


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _dunder = f"__{_name}__"
    lookaside(*(getattr(cls, _dunder) for cls in (set, frozenset, KEYS, ITEMS)))(_comparison(getattr(operator, _name)))

# Methods that change the set ---------------------------------------------------------------------------


@lookaside(set.add)
def _add(trace: Trace, target: SetValue, item: Item) -> None:
    key = trace.key(item)
    target.add(trace, key)


@lookaside(set.discard)
def _discard(trace: Trace, target: SetValue, item: Item) -> None:
    target.discard(trace, _element(trace, item))


@lookaside(set.remove)
def _remove(trace: Trace, target: SetValue, item: Item) -> None:
    key = _element(trace, item)
    if key not in target.all(trace):
        throw(trace, KeyError, item)
    target.discard(trace, key)


@lookaside(set.clear)
def _clear(trace: Trace, target: SetValue) -> None:
    target.empty(trace)


@lookaside(set.pop)
def _pop(trace: Trace, target: SetValue) -> Item:
    """Remove and return an element. Which one depends on the history of the set: one from outside breaks the graph."""
    if not target.born and len(target.all(trace)) > 1:
        trace.stop(UNSUPPORTED_CALL, "set.pop of a set from outside")
    return host(trace, target.pop, trace)


@lookaside(set.intersection_update)
def _intersection_update(trace: Trace, target: SetValue, *others: Item) -> None:
    """Without others, the set is copied into itself, as by an intersection with itself."""
    operands = [(elements(trace, other), other) for other in (realise(trace, other) for other in others)]
    for operand, other in operands or [(target.all(trace), target)]:
        target.combine(trace, "intersection_update", operand, other)


@lookaside(set.symmetric_difference_update)
def _symmetric_difference_update(trace: Trace, target: SetValue, other: Item) -> None:
    other = realise(trace, other)
    target.combine(trace, "symmetric_difference_update", elements(trace, other), other)


def _step_by_step(method: str, step: Callable[[Trace, SetValue, Item], None]) -> Callable[..., None]:
    """Methods that are done with each element before they ask for the next one."""

    def run(trace: Trace, target: SetValue, *others: Item) -> None:
        for other in others:
            if isinstance(other, (SetValue, DictValue, frozenset)):
                target.combine(trace, method, elements(trace, other), other)
                continue
            iterator = iterate(trace, other)
            while (item := next_item(trace, iterator)) is not END:
                step(trace, target, trace.key(item))
            if method == "difference_update":
                target.combine(trace, method, [], None)  # CPython ends by making room anew if much was removed

    return run


def _add_key(trace: Trace, target: SetValue, key: Item) -> None:
    target.add(trace, key)


def _discard_key(trace: Trace, target: SetValue, key: Item) -> None:
    target.discard(trace, key)


lookaside(set.update)(_step_by_step("update", _add_key))
lookaside(set.difference_update)(_step_by_step("difference_update", _discard_key))


def _in_place(method: str) -> Callable[..., Item]:
    def run(trace: Trace, target: SetValue, other: Item) -> Item:
        other = realise(trace, other)
        if not issubclass(class_of(other), (set, frozenset)):
            return NotImplemented
        target.combine(trace, method, elements(trace, other), other)
        return target

    return run


IN_PLACE: Final = {
    "|": "update",
    "&": "intersection_update",
    "-": "difference_update",
    "^": "symmetric_difference_update",
}

for _row in OPERATORS:
    lookaside(getattr(set, _row.in_place_method))(_in_place(IN_PLACE[_row.symbol]))
