"""Operators and comparisons, each written once for every kind of item.

Raw operands are left to CPython itself, tensors become graph operators, and anything else goes
through the special methods of its class, as the data model says.
"""

from __future__ import annotations

import operator
from collections import deque
from types import WrapperDescriptorType
from typing import Any

import torch

from passes import python_operators
from passes.python_operators import IN_PLACE, BinaryOperator, UnaryOperator
from tracer.values.base import LITERALS, MISSING, NUMPY_SCALARS, SYMBOLS, WITHOUT_SYMBOLS, Lazy, Value, class_of
from tracer.values.class_attributes import METHOD_DESCRIPTORS, class_attribute, class_name, derives
from tracer.values.context import Context
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.numpy_numbers import NumpyNumber
from tracer.values.objects import ObjectValue
from tracer.values.protocols.special_methods import call_special, call_stored, is_of_program
from tracer.values.protocols.symbolic import symbolic
from tracer.values.protocols.truth import is_same, truth
from tracer.values.raising import throw
from tracer.values.shapes import holds_symbols
from tracer.values.tensors import TensorValue
from tracer.values.tuples import make_tuple

BINARY = {row.function: row for row in python_operators.BINARY}
COMPARE = {row.function: row for row in python_operators.COMPARISONS}
UNARY = {row.function: row for row in (*python_operators.UNARY, UnaryOperator("abs()", operator.abs, "__abs__"))}

RAW = LITERALS | SYMBOLS.keys()
"""Types of operands that hold nothing but themselves."""

SYMBOLS_IN_MESSAGES = {"**": "** or pow()"}
"""What CPython's messages say instead of a symbol."""

PRINT_HINT = '. Did you mean "print(<message>, file=<output_stream>)"?'
"""What CPython adds to the error of `print >> stream`."""


def binary(context: Context, function: Any, left: Item, right: Item) -> Item:
    """`function(left, right)` for an operator of BINARY or IN_PLACE."""
    left_kind, right_kind = type(left), type(right)
    if left_kind in LITERALS and right_kind in LITERALS:
        return host(context, function, left, right)
    if (left_kind in SYMBOLS and right_kind in RAW) or (right_kind in SYMBOLS and left_kind in RAW):
        return symbolic(context, function, left, right)
    if left_kind is TensorValue or right_kind is TensorValue:
        if left_kind is Lazy:
            return binary(context, function, left.realise(context), right)
        if right_kind is Lazy:
            return binary(context, function, left, right.realise(context))
        if _tensor_operand(left_kind) and _tensor_operand(right_kind):
            row = IN_PLACE.get(function)
            if row is not None and not (left_kind is TensorValue and hasattr(torch.Tensor, row.in_place_method)):
                function = row.function  # nothing is written: `0 += x` in a graph's source would be no Python
            return context.machine.tensor_op(context, function, (left, right))
    elif left_kind is Lazy:
        return binary(context, function, left.realise(context), right)
    elif right_kind is Lazy:
        return binary(context, function, left, right.realise(context))
    row = IN_PLACE.get(function)
    if row is None:
        row = BINARY[function]
        symbol = SYMBOLS_IN_MESSAGES.get(row.symbol, row.symbol)
    else:
        symbol = row.in_place_symbol
        result = _in_place(context, left, right, row)
        if result is not NotImplemented:
            return result
    result = two_sided(context, left, right, row.method, row.reflected)
    if result is NotImplemented:
        hint = PRINT_HINT if left is print and symbol == ">>" else ""
        throw(
            context,
            TypeError,
            f"unsupported operand type(s) for {symbol}: '{class_name(left)}' and '{class_name(right)}'{hint}",
        )
    return result


def _in_place(context: Context, left: Item, right: Item, row: BinaryOperator) -> Item:
    """`left.__iadd__(right)`; as it is the last to be asked by sequences, the `__radd__` of a number comes first."""
    left_cls, right_cls = class_of(left), class_of(right)
    method = class_attribute(context, left_cls, row.in_place_method)
    reflected = class_attribute(context, right_cls, row.reflected) if right_cls is not left_cls else MISSING
    if _asks_right_first(method, reflected):
        result = call_stored(context, reflected, right, row.reflected, [left])
        if result is not NotImplemented:
            return result
    if method is MISSING:
        return NotImplemented
    return call_stored(context, method, left, row.in_place_method, [right])


def _tensor_operand(kind: type) -> bool:
    return kind is TensorValue or kind is NumpyNumber or kind in RAW or issubclass(kind, NUMPY_SCALARS)


def two_sided(context: Context, left: Item, right: Item, name: str, reflected: str) -> Item:
    """The two-sided protocol of a binary operator; NotImplemented when neither side knows."""
    left_cls, right_cls = class_of(left), class_of(right)
    attempts = [(left, left_cls, name, right), (right, right_cls, reflected, left)]
    if right_cls is left_cls:
        if name != reflected:
            del attempts[1]
    elif (
        derives(right_cls, left_cls)
        and (class_attribute(context, right_cls, reflected) is not class_attribute(context, left_cls, reflected))
    ) or _asks_right_first(class_attribute(context, left_cls, name), class_attribute(context, right_cls, reflected)):
        attempts.reverse()
    for item, cls, method_name, other in attempts:
        method = class_attribute(context, cls, method_name)
        if method is not MISSING and not _declines(item, method, other):
            result = call_stored(context, method, item, method_name, [other])
            if result is not NotImplemented:
                return result
    if name == "__add__" and issubclass(left_cls, (list, tuple)):
        kind = "list" if issubclass(left_cls, list) else "tuple"
        throw(context, TypeError, f'can only concatenate {kind} (not "{class_name(right)}") to {kind}')
    return NotImplemented


def _declines(item: Item, method: Item, other: Item) -> bool:
    """Whether the operators of a number or tensor are known to give NotImplemented for `other`."""
    if not isinstance(other, ObjectValue) or issubclass(other.cls, NUMBERS):
        return False
    if type(item) is TensorValue:
        return not issubclass(other.cls, torch.Tensor) and not any(
            hasattr(other.cls, name) for name in TAKEN_BY_TENSORS
        )
    return class_of(method) is WrapperDescriptorType and method.__objclass__ in NUMBERS


NUMBERS: tuple[type, ...] = (int, float, complex, bool)


TAKEN_BY_TENSORS = ("__torch_function__", "__array__", "__array_interface__", "__dlpack__", "__len__")
"""Methods by which an object may be an operand of a tensor operator."""


def _asks_right_first(method: Item, reflected: Item) -> bool:
    """Sequences concatenate and repeat by slots that CPython tries after the `__radd__` or `__rmul__` of a number."""
    if reflected is MISSING or class_of(reflected) in METHOD_DESCRIPTORS:
        return False
    return class_of(method) in METHOD_DESCRIPTORS and method in SEQUENCE_METHODS


SEQUENCE_METHODS = frozenset(
    getattr(cls, name)
    for cls in (list, tuple, deque, str, bytes)
    for name in ("__add__", "__mul__", "__iadd__", "__imul__")
    if hasattr(cls, name)
)
"""Methods that stand for those slots."""


def compare(context: Context, function: Any, left: Item, right: Item) -> Item:
    """`function(left, right)` for a row of COMPARE."""
    left_kind, right_kind = type(left), type(right)
    if left_kind in WITHOUT_SYMBOLS and right_kind in WITHOUT_SYMBOLS:
        return host(context, function, left, right)
    if (left_kind in SYMBOLS and right_kind in RAW) or (right_kind in SYMBOLS and left_kind in RAW):
        return symbolic(context, function, left, right)
    if left_kind is Lazy:
        return compare(context, function, left.realise(context), right)
    if right_kind is Lazy:
        return compare(context, function, left, right.realise(context))
    if (left_kind is TensorValue or right_kind is TensorValue) and (
        _tensor_operand(left_kind) and _tensor_operand(right_kind)
    ):
        if left is None or right is None:
            return (
                function is operator.ne if function in (operator.eq, operator.ne) else host(context, function, None, 0)
            )
        return context.machine.tensor_op(context, function, (left, right))
    if left_kind is slice and right_kind is slice:
        return compare(context, function, *(make_tuple([part.start, part.stop, part.step]) for part in (left, right)))
    if _compares_in_c(context, left) and _compares_in_c(context, right):
        return host(context, function, left, right)
    row = COMPARE[function]
    result = _compare_methods(context, left, right, row.method, row.reflected)
    if result is not NotImplemented:
        return result
    if function is operator.eq:
        return is_same(context, left, right)
    if function is operator.ne:
        return not is_same(context, left, right)
    throw(
        context,
        TypeError,
        f"'{row.symbol}' not supported between instances of '{class_name(left)}' and '{class_name(right)}'",
    )


def equal(context: Context, left: Item, right: Item) -> bool:
    """Whether two items are one object or equal, as containers ask."""
    return is_same(context, left, right) or truth(context, compare(context, operator.eq, left, right))


def _compares_in_c(context: Context, item: Any) -> bool:
    """Whether CPython itself can compare an item: no class of the program, and no symbol, has a say in that."""
    if isinstance(item, Value) or holds_symbols(item):
        return False
    return not is_of_program(context, item, "__eq__")


def _knows_nothing_of(method: Item, other: Item) -> bool:
    """Whether the comparison of a literal is known to give NotImplemented for `other`."""
    if class_of(method) is not WrapperDescriptorType or method.__objclass__ not in SELF_CENTRED:
        return False
    return isinstance(other, Value) and not issubclass(other.cls, (*SELF_CENTRED, torch.Tensor))


SELF_CENTRED: tuple[type, ...] = (str, bytes, int, float, complex, bool, type(None), range, torch.dtype)
"""Classes that can be compared with one another at most."""


def _compare_methods(context: Context, left: Item, right: Item, name: str, reflected: str) -> Item:
    left_cls, right_cls = class_of(left), class_of(right)
    attempts = [(left, left_cls, name, right), (right, right_cls, reflected, left)]
    if left_cls is not right_cls and derives(right_cls, left_cls):
        attempts.reverse()
    for item, cls, method_name, other in attempts:
        method = class_attribute(context, cls, method_name)
        if method is MISSING or _knows_nothing_of(method, other):
            continue
        if method_name == "__ne__" and method is object.__ne__:
            result = call_special(context, item, "__eq__", other)
            if result is not NotImplemented:
                if type(result) is TensorValue:
                    return context.machine.tensor_op(context, operator.not_, (result,))
                return not truth(context, result)
            continue
        result = call_stored(context, method, item, method_name, [other])
        if result is not NotImplemented:
            return result
    return NotImplemented


def unary(context: Context, function: Any, item: Item) -> Item:
    """`-x`, `+x`, `~x`, `not x` and `abs(x)`."""
    if function is operator.not_:
        return not truth(context, item)
    kind = type(item)
    if kind in LITERALS:
        return host(context, function, item)
    if kind in SYMBOLS:
        return symbolic(context, function, item)
    if kind is TensorValue:
        return context.machine.tensor_op(context, function, (item,))
    if kind is Lazy:
        return unary(context, function, item.realise(context))
    symbol, _, name = UNARY[function]
    result = call_special(context, item, name)
    if result is MISSING:
        throw(
            context,
            TypeError,
            f"bad operand type for {'unary ' if len(symbol) == 1 else ''}{symbol}: '{class_name(item)}'",
        )
    return result
