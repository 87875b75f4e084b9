"""`bool` and `is`: whether an item counts as true, and whether two are one object."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import torch

from tracer.guards.checks import equal_constants
from tracer.guards.source import Source, constant
from tracer.reasons import DATA_DEPENDENT_JUMP, WARNING, NeedsNumber
from tracer.values.base import LITERALS, MISSING, SYMBOLS, Lazy, Value, class_of, type_of
from tracer.values.cells import CellValue
from tracer.values.class_attributes import class_name, special
from tracer.values.computed_numbers import differs_from_zero
from tracer.values.context import Context
from tracer.values.dict_views import DictView
from tracer.values.dicts import DictValue
from tracer.values.functions import NestedFunction
from tracer.values.host import host
from tracer.values.identities import IDENTITY_TYPES
from tracer.values.item import Item
from tracer.values.number_symbols import BoolSymbol, FloatSymbol
from tracer.values.protocols.length import length
from tracer.values.protocols.special_methods import call_stored, is_native
from tracer.values.raising import throw
from tracer.values.sequences import SequenceValue
from tracer.values.sets import SetValue
from tracer.values.shapes import as_python, decided
from tracer.values.tensors import TensorValue
from tracer.values.weak_references import WeakReference

SINGLE = frozenset({bool, type(None), type(Ellipsis), type(NotImplemented), *IDENTITY_TYPES, torch.dtype, torch.layout})
"""Types of raw objects of which equal ones are one object."""

SMALL = range(-5, 257)
"""The integers of which CPython has one object each."""

ALGEBRAIC = frozenset({torch.SymInt, torch.SymBool})


def truth(context: Context, item: Item) -> bool:
    """`bool(item)` as the host's bool."""
    kind = type(item)
    if kind is bool:
        return item
    if kind in LITERALS:
        if item is NotImplemented:
            context.stop(WARNING, "the truth of NotImplemented")
        return bool(item)
    if kind in SYMBOLS:
        if kind is BoolSymbol:
            raise NeedsNumber(*item.refusal(DATA_DEPENDENT_JUMP))
        if kind is FloatSymbol:
            answer = differs_from_zero(context, item)
            return bool(as_python(item)) if answer is None else answer
        return decided(item != 0 if kind is torch.SymInt else item) if kind in ALGEBRAIC else bool(as_python(item))
    if kind is Lazy:
        return truth(context, item.realise(context))
    if kind is TensorValue:
        data = context.machine.constant_data(context, item)
        if data is not None and data.numel() == 1:
            return bool(data)
        context.stop(DATA_DEPENDENT_JUMP, item.meta.text)
    if kind is type or kind is FunctionType:
        return True
    method = special(context, item, "__bool__")
    if method is MISSING:
        if isinstance(item, (SequenceValue, DictValue, SetValue, DictView)) or (
            special(context, item, "__len__") is not MISSING
        ):
            return length(context, item) != 0
        return True
    if is_native(method, class_of(item), "__bool__"):
        return (
            host(context, bool, item)
            if not isinstance(item, Value)
            else truth(context, context.machine.call(context, method, [item]))
        )
    answer = call_stored(context, method, item, "__bool__")
    if not issubclass(type_of(context, answer), bool):
        throw(context, TypeError, f"__bool__ should return bool, returned {class_name(answer)}")
    return truth(context, answer)


def is_same(context: Context, left: Item, right: Item) -> bool:
    """`left is right`."""
    if left is right and isinstance(left, Value):
        return True
    for lazy, other in ((left, right), (right, left)):
        if type(lazy) is Lazy and other is None:
            if lazy.object is None:
                return lazy.realise(context) is None
            context.guard(lazy.source, "type", lazy.cls)
            return False
    if type(left) is Lazy and type(right) is Lazy and left.cls is right.cls and left.cls in (tuple, slice):
        return _one_outside(context, left, right)
    outside = [item if type(item) is Lazy else None for item in (left, right)]
    if type(left) is Lazy:
        left = left.realise(context)
    if type(right) is Lazy:
        right = right.realise(context)
    if isinstance(left, Value) and isinstance(right, Value) and left is not right:
        tell_apart(context, left, right)
    if isinstance(left, Value) or isinstance(right, Value):
        return left is right or _same_object(context, left, right)
    if (type(left) in SYMBOLS or type(right) in SYMBOLS) and class_of(left) is class_of(right):
        return left is right or _one_number(context, [as_python(left), as_python(right)], outside)
    _guard_identity(context, left, right)
    return left is right


def _one_number(context: Context, numbers: list[Any], outside: list[Lazy | None]) -> bool:
    """Whether two numbers are one object where a symbol stood for one at least; they came from `outside`, or None.

    CPython has each small integer once. Of other numbers one that is computed is none of the others.
    """
    number, other = numbers
    if not equal_constants(number, other):
        return False
    if type(number) is int and number in SMALL:
        return True
    places = [[lazy.source] if lazy else _paths(context, each) for lazy, each in zip(outside, numbers, strict=True)]
    if not all(places):
        return False
    number, other = (lazy.object if lazy else each for lazy, each in zip(outside, numbers, strict=True))
    context.guard(places[0][0], "same as" if number is other else "not same as", places[1][0])
    return number is other


def _guard_identity(context: Context, left: object, right: object) -> None:
    """Guard which of two equal literals are one object: a guard by equality admits others that are not.

    Each is from outside, or a literal of the code that runs. One that the program has computed is none of the others.
    """
    if type(left) is not type(right) or type(left) in SINGLE or not equal_constants(left, right):
        return
    places, others = _paths(context, left), _paths(context, right)
    if left is right:
        for place in places[1:]:
            context.guard(place, "same as", places[0])
    elif places and others and not places[0].accessor == others[0].accessor == "object":
        context.guard(places[0], "not same as", others[0])


def _paths(context: Context, literal: object) -> list[Source]:
    """The paths by which the trace has come to a literal; one that the code holds is itself the last."""
    places = context.places_of(literal)
    return [*places, constant(literal)] if context.is_of_code(literal) else places


def _one_outside(context: Context, left: Lazy, right: Lazy) -> bool:
    """Whether two objects from outside, which may be raw here, are one; guarded."""
    same = left.object is right.object
    if left.source is not right.source:
        context.guard(left.source, "same as" if same else "not same as", right.source)
    return same


def _same_object(context: Context, left: Item, right: Item) -> bool:
    """Whether two different items stand for one object."""
    if isinstance(left, CellValue) and isinstance(right, CellValue):
        return left.object is right.object and not left.born
    for nested, other in ((left, right), (right, left)):
        if isinstance(nested, NestedFunction) and not isinstance(other, Value):
            return nested.pin(context) is other
    return False


def tell_apart(context: Context, left: Value, right: Value) -> None:
    """Guard that two values from outside, different objects now, are so on every call."""
    if left.cls is not right.cls or left.source is right.source:
        return
    if isinstance(left, WeakReference) and isinstance(right, WeakReference):
        left, right = left.referent, right.referent
        if not isinstance(left, Value) or not isinstance(right, Value) or left is right:
            return
    if left.source is not None and right.source is not None:
        context.guard(left.source, "not same as", right.source)
