"""Numbers: int, float, complex and bool, and the built-in functions that compute with numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch

from tracer.interpret.call import NO_KEYWORDS
from tracer.interpret.constant_data import constant_data
from tracer.interpret.constants import computed
from tracer.interpret.policy import (
    immutable,
    lookaside,
    pure,
)
from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.trace import Trace
from tracer.reasons import DATA_TO_PYTHON, WARNING
from tracer.values.base import LITERALS, MISSING, SYMBOLS, Value, realise, type_of
from tracer.values.class_attributes import class_name, special
from tracer.values.computed_numbers import computed_number, rounded_quotient
from tracer.values.concrete import concrete
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.number_symbols import BoolSymbol, FloatSymbol
from tracer.values.objects import ObjectValue
from tracer.values.protocols.length import index_of
from tracer.values.protocols.operators import binary, two_sided, unary
from tracer.values.protocols.special_methods import call_special, is_of_program
from tracer.values.protocols.truth import truth
from tracer.values.raising import throw
from tracer.values.tensors import TensorValue
from tracer.values.tuples import make_tuple

immutable(type(None), bool, int, float, complex, type(Ellipsis), type(NotImplemented))
pure(int.from_bytes, float.fromhex, bool.__new__)


def _of_an_index(function: Any) -> Any:
    return lambda trace, item: host(trace, function, concrete(trace, index_of(trace, item)))


for _function in (bin, hex, oct, chr):
    lookaside(_function)(_of_an_index(_function))


@lookaside(divmod)
def _divmod(trace: Trace, left: Item, right: Item) -> Item:
    if type(left) in LITERALS and type(right) in LITERALS:
        return host(trace, divmod, left, right)
    if any(isinstance(item, TensorValue) or type(item) in SYMBOLS for item in (left, right)):
        return make_tuple((binary(trace, operator.floordiv, left, right), binary(trace, operator.mod, left, right)))
    result = two_sided(trace, left, right, "__divmod__", "__rdivmod__")
    if result is NotImplemented:
        kinds = f"'{class_name(left)}' and '{class_name(right)}'"
        throw(trace, TypeError, f"unsupported operand type(s) for divmod(): {kinds}")
    return result


@lookaside(bool)
def _bool(trace: Trace, item: Item = False) -> Item:
    if isinstance(item, TensorValue) and trace.shapes is not None and trace.shapes.data:
        truths = item if item.meta.dtype is torch.bool else tensor_op(trace, operator.ne, [item, 0])
        return tensor_op(trace, ("method", "item"), [truths])
    return item if type(item) in (torch.SymBool, BoolSymbol) else truth(trace, item)


@lookaside(pow)
def _pow(trace: Trace, base: Item, exp: Item, mod: Item = None) -> Item:
    if mod is None:
        return binary(trace, operator.pow, base, exp)
    if not is_of_program(trace, base, "__pow__"):
        return computed(trace, pow, [base, exp, mod], {})
    result = call_special(trace, base, "__pow__", exp, mod)
    if result is NotImplemented:
        kinds = ", ".join(f"'{class_name(item)}'" for item in (base, exp, mod))
        throw(trace, TypeError, f"unsupported operand type(s) for ** or pow(): {kinds}")
    return result


def _number_by(trace: Trace, item: Item, kind: Any, method: str) -> Item:
    """A number of exactly `kind` by the special method of that name; MISSING when there is none."""
    answer = call_special(trace, item, method)
    if answer is MISSING:
        return MISSING
    answer = realise(trace, answer)
    cls = type_of(trace, answer)
    if cls is kind:
        return answer
    if issubclass(cls, kind):
        trace.stop(WARNING, f"{method} returned an instance of {cls.__name__}")
    words = {int: f"{method} returned non-int", float: f"{class_name(item)}.{method} returned non-float"}
    throw(trace, TypeError, f"{words.get(kind, f'{method} returned non-complex')} (type {cls.__name__})")


def _real_number(trace: Trace, item: Item, kind: Any) -> Item:
    """What CPython takes an argument of int, float or complex for: itself, or the number that its class makes of it."""
    item = realise(trace, item)
    if isinstance(item, TensorValue):
        if trace.shapes is not None and trace.shapes.data and READ_AS.get(kind, _no)(item.meta.dtype):
            return tensor_op(trace, ("method", "item"), [_of_largest_kind(trace, item, kind)])
        data = constant_data(trace, item)
        if data is not None and data.numel() == 1:
            return kind(data)
        trace.stop(DATA_TO_PYTHON, f"{kind.__name__}() of a tensor")
    if not isinstance(item, Value) and not is_of_program(trace, item, METHODS[kind]):
        return item
    number = _number_by(trace, item, kind, METHODS[kind])
    if number is MISSING and kind is complex:
        number = _number_by(trace, item, float, "__float__")
    if number is MISSING and special(trace, item, "__index__") is not MISSING:
        number = index_of(trace, item)
    if number is MISSING and kind is int and special(trace, item, "__trunc__") is not MISSING:
        trace.stop(WARNING, f"int() of a {class_name(item)} by its __trunc__")
    return item if number is MISSING else number


def _no(dtype: torch.dtype) -> bool:
    return False


def _of_largest_kind(trace: Trace, tensor: TensorValue, kind: Any) -> TensorValue:
    """The tensor, or one of the same numbers for which `item()` is an int or a float, as `kind` says."""
    dtype = tensor.meta.dtype
    if kind is int:
        return tensor_op(trace, ("method", "to"), [tensor, torch.int64]) if dtype is torch.bool else tensor
    return tensor if dtype.is_floating_point else tensor_op(trace, ("method", "to"), [tensor, torch.float64])


READ_AS: dict[Any, Callable[[torch.dtype], bool]] = {
    int: lambda dtype: not dtype.is_floating_point and not dtype.is_complex,
    float: lambda dtype: not dtype.is_complex,
}
"""Whether a tensor of a dtype has a number for each class. int() of a float would raise for those that are not finite,
so that it is left to Python.
"""


METHODS: dict[Any, str] = {int: "__int__", float: "__float__", complex: "__complex__"}
"""The special method by which an object becomes a number."""


@lookaside(int)
def _int(trace: Trace, *args: Item, **kwargs: Item) -> Item:
    if len(args) == 1 and not kwargs:
        item = _real_number(trace, args[0], int)
        whole = rounded_quotient(int, item)
        if whole is not None:
            return whole
        return item if type(item) in (int, torch.SymInt) else _refusing_values(trace, int, [item])
    base = {name: index_of(trace, item) for name, item in kwargs.items() if name == "base"}
    rest = [index_of(trace, item) for item in args[1:]]
    return host(trace, int, *(concrete(trace, item) for item in args[:1]), *rest, **{**kwargs, **base})


@lookaside(float)
def _float(trace: Trace, *args: Item) -> Item:
    items = [_real_number(trace, item, float) for item in args]
    if len(items) == 1 and type(items[0]) is FloatSymbol:
        return items[0]
    number = computed_number(trace, float, items) if len(items) == 1 else None
    return _refusing_values(trace, float, items) if number is None else number


@lookaside(complex)
def _complex(trace: Trace, *args: Item, **kwargs: Item) -> Item:
    """Only the real part may have a `__complex__`."""
    items = [_real_number(trace, item, float if position else complex) for position, item in enumerate(args)]
    named = {name: _real_number(trace, item, float if name == "imag" else complex) for name, item in kwargs.items()}
    return _refusing_values(trace, complex, items, named)


NO_NUMBER: dict[Any, str] = {
    int: "int() argument must be a string, a bytes-like object or a real number",
    float: "float() argument must be a string or a real number",
    complex: "complex() first argument must be a string or a number",
}
"""What CPython says of an object that is none."""


def _refusing_values(trace: Trace, kind: Any, items: list[Item], named: Mapping[str, Item] = NO_KEYWORDS) -> Item:
    """`kind(*items)` by CPython; its TypeError for an object that is no number."""
    for place, item in [*enumerate(items), *((1 if name == "imag" else 0, item) for name, item in named.items())]:
        if type(item) is ObjectValue:
            what = "complex() second argument must be a number" if place else NO_NUMBER[kind]
            throw(trace, TypeError, f"{what}, not '{class_name(item)}'")
    real = {name: concrete(trace, item) for name, item in named.items()}
    return host(trace, kind, *(concrete(trace, item) for item in items), **real)


@lookaside(round)
def _round(trace: Trace, number: Item, ndigits: Item = None) -> Item:
    rounded = computed_number(trace, round, (number, ndigits)) if type(ndigits) is int else None
    if rounded is not None or (type(number) is torch.SymInt and ndigits is None):
        return number if rounded is None else rounded
    if not isinstance(number, Value) and not is_of_program(trace, number, "__round__"):
        return computed(trace, round, [number, ndigits], {})
    result = call_special(trace, number, "__round__", *([] if ndigits is None else [ndigits]))
    if result is MISSING:
        throw(trace, TypeError, f"type {class_name(number)} doesn't define __round__ method")
    return result


@lookaside(abs)
def _abs(trace: Trace, number: Item) -> Item:
    if isinstance(number, TensorValue):
        return call_special(trace, number, "__abs__")
    return unary(trace, operator.abs, number)
