"""Methods and operators of set and frozenset, over membership, insertion and removal of one element.

Insertion happens in C's order, so that a set made of the result iterates like C's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracer.interpret.polyfills.registry import put, replaces

Set = set[Any]
AnySet = set[Any] | frozenset[Any]


def is_set(item: Any) -> bool:
    return isinstance(item, (set, frozenset))


def as_set(item: Any) -> Any:
    """Something to ask for membership: sets and dicts themselves, a set of anything else."""
    return item if isinstance(item, (set, frozenset)) or type(item) is dict else {*item}


def made_like(self: AnySet, elements: Iterable[Any]) -> Any:
    """A plain set or frozenset, by the kind of the receiver."""
    return frozenset(elements) if isinstance(self, frozenset) else {*elements}


# Making new sets -------------------------------------------------------------------------------------


@replaces(set.union, frozenset.union)
def union(self: AnySet, *others: Iterable[Any]) -> Any:
    result = {*self}
    for other in others:
        for element in other:
            result.add(element)
    return made_like(self, result)


@replaces(set.intersection, frozenset.intersection)
def intersection(self: AnySet, *others: Iterable[Any]) -> Any:
    result: Any = {*self}
    for other in others:
        candidates = other if not is_set(other) or len(other) <= len(result) else result  # type: ignore[arg-type]
        container = result if candidates is other else other
        result = {element for element in candidates if element in container}  # type: ignore[operator]
    return made_like(self, result)


@replaces(set.difference, frozenset.difference)
def difference(self: AnySet, *others: Iterable[Any]) -> Any:
    result = {*self}
    for other in others:
        removed = as_set(other)
        result = {element for element in result if element not in removed}
    return made_like(self, result)


@replaces(set.symmetric_difference, frozenset.symmetric_difference)
def symmetric_difference(self: AnySet, other: Iterable[Any], /) -> Any:
    result = {*other}
    for element in self:
        if element in result:
            result.discard(element)
        else:
            result.add(element)
    return made_like(self, result)


# Questions -------------------------------------------------------------------------------------------


@replaces(set.issubset, frozenset.issubset)
def is_subset(self: AnySet, other: Iterable[Any], /) -> bool:
    container = other if is_set(other) else {*other}
    if len(self) > len(container):  # type: ignore[arg-type]
        return False
    for element in self:  # noqa: SIM110  a generator would cost the tracer a frame
        if element not in container:  # type: ignore[operator]
            return False
    return True


@replaces(set.issuperset, frozenset.issuperset)
def is_superset(self: AnySet, other: Iterable[Any], /) -> bool:
    for element in other:  # noqa: SIM110  a generator would cost the tracer a frame
        if element not in self:
            return False
    return True


@replaces(set.isdisjoint, frozenset.isdisjoint)
def is_disjoint(self: AnySet, other: Iterable[Any], /) -> bool:
    for element in other:  # noqa: SIM110  a generator would cost the tracer a frame
        if element in self:
            return False
    return True


# Changing a set --------------------------------------------------------------------------------------


@replaces(set.update)
def update(self: Set, *others: Iterable[Any]) -> None:
    for other in others:
        for element in [*other] if other is self else other:
            set.add(self, element)


@replaces(set.remove)
def remove(self: Set, element: Any, /) -> None:
    if not set.__contains__(self, element):
        raise KeyError(element)
    set.discard(self, element)


@replaces(set.difference_update)
def difference_update(self: Set, *others: Iterable[Any]) -> None:
    for other in others:
        for element in [*other] if other is self else other:
            set.discard(self, element)


@replaces(set.intersection_update)
def intersection_update(self: Set, *others: Iterable[Any]) -> None:
    replace_elements(self, intersection(self, *others))


@replaces(set.symmetric_difference_update)
def symmetric_difference_update(self: Set, other: Iterable[Any], /) -> None:
    for element in [*other] if other is self else other if is_set(other) else {*other}:
        if set.__contains__(self, element):
            set.discard(self, element)
        else:
            set.add(self, element)


def replace_elements(self: Set, elements: Iterable[Any]) -> None:
    set.clear(self)
    for element in elements:
        set.add(self, element)


# Operators: as the methods, for two sets only ----------------------------------------------------------


def equal(self: AnySet, other: Any, /) -> Any:
    return (len(self) == len(other) and is_subset(self, other)) if is_set(other) else NotImplemented


def unequal(self: AnySet, other: Any, /) -> Any:
    return not equal(self, other) if is_set(other) else NotImplemented


def at_most(self: AnySet, other: Any, /) -> Any:
    return is_subset(self, other) if is_set(other) else NotImplemented


def less(self: AnySet, other: Any, /) -> Any:
    return (len(self) < len(other) and is_subset(self, other)) if is_set(other) else NotImplemented


def at_least(self: AnySet, other: Any, /) -> Any:
    return is_subset(other, self) if is_set(other) else NotImplemented


def greater(self: AnySet, other: Any, /) -> Any:
    return (len(self) > len(other) and is_subset(other, self)) if is_set(other) else NotImplemented


def both(self: AnySet, other: Any, /) -> Any:
    return intersection(self, other) if is_set(self) and is_set(other) else NotImplemented


def either(self: AnySet, other: Any, /) -> Any:
    return union(self, other) if is_set(self) and is_set(other) else NotImplemented


def without(self: AnySet, other: Any, /) -> Any:
    return difference(self, other) if is_set(self) and is_set(other) else NotImplemented


def one_of(self: AnySet, other: Any, /) -> Any:
    return symmetric_difference(self, other) if is_set(self) and is_set(other) else NotImplemented


def reflected(name: str) -> tuple[Any, Any]:
    return vars(set)[name], vars(frozenset)[name]


put(
    {
        **dict.fromkeys((set.__eq__, frozenset.__eq__), equal),
        **dict.fromkeys((set.__ne__, frozenset.__ne__), unequal),
        **dict.fromkeys((set.__le__, frozenset.__le__), at_most),
        **dict.fromkeys((set.__lt__, frozenset.__lt__), less),
        **dict.fromkeys((set.__ge__, frozenset.__ge__), at_least),
        **dict.fromkeys((set.__gt__, frozenset.__gt__), greater),
        **dict.fromkeys((set.__and__, frozenset.__and__), both),
        **dict.fromkeys((set.__or__, frozenset.__or__), either),
        **dict.fromkeys((set.__sub__, frozenset.__sub__), without),
        **dict.fromkeys((set.__xor__, frozenset.__xor__), one_of),
        **dict.fromkeys(reflected("__rand__"), lambda self, other, /: both(other, self)),
        **dict.fromkeys(reflected("__ror__"), lambda self, other, /: either(other, self)),
        **dict.fromkeys(reflected("__rsub__"), lambda self, other, /: without(other, self)),
        **dict.fromkeys(reflected("__rxor__"), lambda self, other, /: one_of(other, self)),
    }
)


@replaces(set.__ior__)
def either_in_place(self: Set, other: Any, /) -> Any:
    if not is_set(other):
        return NotImplemented
    update(self, other)
    return self


@replaces(set.__iand__)
def both_in_place(self: Set, other: Any, /) -> Any:
    if not is_set(other):
        return NotImplemented
    intersection_update(self, other)
    return self


@replaces(set.__isub__)
def without_in_place(self: Set, other: Any, /) -> Any:
    if not is_set(other):
        return NotImplemented
    difference_update(self, other)
    return self


@replaces(set.__ixor__)
def one_of_in_place(self: Set, other: Any, /) -> Any:
    if not is_set(other):
        return NotImplemented
    symmetric_difference_update(self, other)
    return self
