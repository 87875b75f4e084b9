"""The operator module: each function as the syntax it stands for, and its getters."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from tracer.interpret.polyfills.common import same
from tracer.interpret.polyfills.registry import put, replaces

put(
    {
        operator.lt: lambda a, b, /: a < b,
        operator.le: lambda a, b, /: a <= b,
        operator.eq: lambda a, b, /: a == b,
        operator.ne: lambda a, b, /: a != b,
        operator.ge: lambda a, b, /: a >= b,
        operator.gt: lambda a, b, /: a > b,
        operator.is_: lambda a, b, /: a is b,
        operator.is_not: lambda a, b, /: a is not b,
        operator.not_: lambda a, /: not a,
        operator.truth: lambda a, /: True if a else False,  # noqa: SIM210
        operator.add: lambda a, b, /: a + b,
        operator.sub: lambda a, b, /: a - b,
        operator.mul: lambda a, b, /: a * b,
        operator.matmul: lambda a, b, /: a @ b,
        operator.truediv: lambda a, b, /: a / b,
        operator.floordiv: lambda a, b, /: a // b,
        operator.mod: lambda a, b, /: a % b,
        operator.pow: lambda a, b, /: a**b,
        operator.lshift: lambda a, b, /: a << b,
        operator.rshift: lambda a, b, /: a >> b,
        operator.and_: lambda a, b, /: a & b,
        operator.or_: lambda a, b, /: a | b,
        operator.xor: lambda a, b, /: a ^ b,
        operator.neg: lambda a, /: -a,
        operator.pos: lambda a, /: +a,
        operator.invert: lambda a, /: ~a,
        operator.abs: lambda a, /: abs(a),
        operator.getitem: lambda a, b, /: a[b],
        operator.contains: lambda a, b, /: b in a,
        operator.call: lambda function, /, *args, **kwargs: function(*args, **kwargs),
    }
)


@replaces(operator.setitem)
def set_item(container: Any, key: Any, value: Any, /) -> None:
    container[key] = value


@replaces(operator.delitem)
def delete_item(container: Any, key: Any, /) -> None:
    del container[key]


# In place --------------------------------------------------------------------------------------------


@replaces(operator.iadd)
def add_in_place(a: Any, b: Any, /) -> Any:
    a += b
    return a


@replaces(operator.isub)
def subtract_in_place(a: Any, b: Any, /) -> Any:
    a -= b
    return a


@replaces(operator.imul)
def multiply_in_place(a: Any, b: Any, /) -> Any:
    a *= b
    return a


@replaces(operator.imatmul)
def matrix_multiply_in_place(a: Any, b: Any, /) -> Any:
    a @= b
    return a


@replaces(operator.itruediv)
def divide_in_place(a: Any, b: Any, /) -> Any:
    a /= b
    return a


@replaces(operator.ifloordiv)
def floor_divide_in_place(a: Any, b: Any, /) -> Any:
    a //= b
    return a


@replaces(operator.imod)
def modulo_in_place(a: Any, b: Any, /) -> Any:
    a %= b
    return a


@replaces(operator.ipow)
def power_in_place(a: Any, b: Any, /) -> Any:
    a **= b
    return a


@replaces(operator.ilshift)
def shift_left_in_place(a: Any, b: Any, /) -> Any:
    a <<= b
    return a


@replaces(operator.irshift)
def shift_right_in_place(a: Any, b: Any, /) -> Any:
    a >>= b
    return a


@replaces(operator.iand)
def and_in_place(a: Any, b: Any, /) -> Any:
    a &= b
    return a


@replaces(operator.ior)
def or_in_place(a: Any, b: Any, /) -> Any:
    a |= b
    return a


@replaces(operator.ixor)
def xor_in_place(a: Any, b: Any, /) -> Any:
    a ^= b
    return a


# Sequences -------------------------------------------------------------------------------------------


@replaces(operator.index)
def index(a: Any, /) -> int:
    method = getattr(type(a), "__index__", None)
    if method is None:
        raise TypeError(f"'{type(a).__name__}' object cannot be interpreted as an integer")
    return method(a)


@replaces(operator.concat)
def concatenate(a: Any, b: Any, /) -> Any:
    if not hasattr(type(a), "__getitem__"):
        raise TypeError(f"'{type(a).__name__}' object can't be concatenated")
    return a + b


@replaces(operator.iconcat)
def concatenate_in_place(a: Any, b: Any, /) -> Any:
    if not hasattr(type(a), "__getitem__"):
        raise TypeError(f"'{type(a).__name__}' object can't be concatenated")
    a += b
    return a


@replaces(operator.countOf)
def count_of(a: Any, b: Any, /) -> int:
    require_iterable(a)
    count = 0
    for item in a:
        if same(item, b):
            count += 1
    return count


@replaces(operator.indexOf)
def index_of(a: Any, b: Any, /) -> int:
    require_iterable(a)
    for position, item in enumerate(a):
        if same(item, b):
            return position
    raise ValueError("sequence.index(x): x not in sequence")


def require_iterable(a: Any) -> None:
    if not hasattr(type(a), "__iter__") and not hasattr(type(a), "__getitem__"):
        raise TypeError(f"argument of type '{type(a).__name__}' is not iterable")


# Getters ---------------------------------------------------------------------------------------------


@replaces(operator.itemgetter)
def item_getter(item: Any, /, *items: Any) -> Callable[[Any], Any]:
    if not items:
        return lambda container, /: container[item]
    return lambda container, /: tuple([container[each] for each in (item, *items)])


@replaces(operator.attrgetter)
def attribute_getter(name: str, /, *names: str) -> Callable[[Any], Any]:
    for each in (name, *names):
        if not isinstance(each, str):
            raise TypeError("attribute name must be a string")
    if not names:
        return lambda holder, /: follow(holder, name)
    return lambda holder, /: tuple([follow(holder, each) for each in (name, *names)])


def follow(holder: Any, path: str) -> Any:
    """The attribute at the end of a dotted path."""
    for name in path.split("."):
        holder = getattr(holder, name)
    return holder


@replaces(operator.methodcaller)
def method_caller(name: str, /, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    if not isinstance(name, str):
        raise TypeError("method name must be a string")
    return lambda holder, /: getattr(holder, name)(*args, **kwargs)


@replaces(operator.itemgetter.__call__)
def call_item_getter(self: Any, container: Any, /) -> Any:
    items = self.__reduce__()[1]
    return container[items[0]] if len(items) == 1 else tuple([container[item] for item in items])


@replaces(operator.attrgetter.__call__)
def call_attribute_getter(self: Any, holder: Any, /) -> Any:
    paths = self.__reduce__()[1]
    return follow(holder, paths[0]) if len(paths) == 1 else tuple([follow(holder, path) for path in paths])


@replaces(operator.methodcaller.__call__)
def call_method_caller(self: Any, holder: Any, /) -> Any:
    made, arguments = self.__reduce__()
    if made is type(self):
        return getattr(holder, arguments[0])(*arguments[1:])
    return getattr(holder, made.args[0])(*arguments, **made.keywords)
