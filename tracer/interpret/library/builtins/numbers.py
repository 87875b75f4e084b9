"""Numbers: int, float, complex and bool, and the built-in functions that compute with numbers."""

from __future__ import annotations

import operator
import types
from typing import Any

from tracer.interpret.call import call
from tracer.interpret.constants import computed
from tracer.interpret.policy import (
    immutable,
    lookaside,
    polyfill,
    pure,
)
from tracer.interpret.trace import Trace
from tracer.reasons import DATA_TO_PYTHON
from tracer.values.base import LITERALS, MISSING, PYTHON_TYPES, Value, realise
from tracer.values.class_attributes import special
from tracer.values.concrete import concrete
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.protocols.operators import binary
from tracer.values.protocols.truth import truth
from tracer.values.tensors import TensorValue
from tracer.values.tuples import make_tuple

immutable(type(None), bool, int, float, complex, type(Ellipsis), type(NotImplemented))
pure(bin, hex, oct)


@lookaside(divmod)
def _divmod(trace: Trace, left: Item, right: Item) -> Item:
    if type(left) in LITERALS and type(right) in LITERALS:
        return host(trace, divmod, left, right)
    if isinstance(left, TensorValue) or isinstance(right, TensorValue):
        return make_tuple((binary(trace, operator.floordiv, left, right), binary(trace, operator.mod, left, right)))
    return call(trace, divide, [left, right])


lookaside(bool)(lambda trace, item=False: truth(trace, item))


@lookaside(pow)
def _pow(trace: Trace, base: Item, exponent: Item, modulus: Item = None) -> Item:
    if modulus is None:
        return binary(trace, operator.pow, base, exponent)
    base = realise(trace, base)
    method = special(trace, base, "__pow__")
    if type(method) is types.FunctionType:
        return call(trace, method, [base, exponent, modulus])
    return computed(trace, pow, [base, exponent, modulus], {})


def _number(kind: Any, method: str) -> Any:
    def convert(trace: Trace, *args: Item) -> Item:
        item = realise(trace, args[0]) if args else MISSING
        if PYTHON_TYPES.get(type(item)) is kind:
            return item
        if isinstance(item, TensorValue):
            trace.stop(DATA_TO_PYTHON, f"{kind.__name__}() of a tensor")
        if isinstance(item, Value):
            for name in (method, "__index__"):
                function = special(trace, item, name)
                if function is not MISSING:
                    return call(trace, function, [item])
        return host(trace, kind, *(concrete(trace, arg) for arg in args))

    return convert


for _kind, _name in ((int, "__int__"), (float, "__float__"), (complex, "__complex__")):
    lookaside(_kind)(_number(_kind, _name))


@polyfill(round, pure=True)
def round_number(number: Any, ndigits: Any = None) -> Any:
    kind = type(number)
    method = getattr(kind, "__round__", None)
    if method is None:
        raise TypeError(f"type {kind.__name__} doesn't define __round__ method")
    return method(number) if ndigits is None else method(number, ndigits)


def divide(left: Any, right: Any, /) -> Any:
    kind, other = type(left), type(right)
    forward, backward = getattr(kind, "__divmod__", None), getattr(other, "__rdivmod__", None)
    goes_first = kind is not other and issubclass(other, kind) and backward is not getattr(kind, "__rdivmod__", None)
    if goes_first and backward is not None:
        result = backward(right, left)
        if result is not NotImplemented:
            return result
    if forward is not None:
        result = forward(left, right)
        if result is not NotImplemented:
            return result
    if backward is not None and not goes_first and kind is not other:
        result = backward(right, left)
        if result is not NotImplemented:
            return result
    raise TypeError(f"unsupported operand type(s) for divmod(): '{kind.__name__}' and '{other.__name__}'")


@polyfill(abs, pure=True)
def absolute(number: Any, /) -> Any:
    method = getattr(type(number), "__abs__", None)
    if method is None:
        raise TypeError(f"bad operand type for abs(): '{type(number).__name__}'")
    return method(number)
