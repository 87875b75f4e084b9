"""The operator module: each function as the operator it stands for, and the getters."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from passes.python_operators import IN_PLACE
from tracer.interpret.library.shared import same
from tracer.interpret.policy import (
    lookaside,
    polyfill,
)
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING, type_of
from tracer.values.class_attributes import class_name
from tracer.values.item import Item
from tracer.values.protocols.items import contains, get_item, set_item
from tracer.values.protocols.length import index_of, length_hint
from tracer.values.protocols.operators import BINARY, COMPARE, UNARY, binary, compare, unary
from tracer.values.protocols.truth import is_same, truth
from tracer.values.raising import throw


def _two_sided(protocol: Any, function: Any) -> Any:
    return lambda trace, left, right: protocol(trace, function, left, right)


for _function in (*BINARY, *IN_PLACE):
    lookaside(_function)(_two_sided(binary, _function))


for _function in COMPARE:
    lookaside(_function)(_two_sided(compare, _function))


def _one_sided(function: Any) -> Any:
    return lambda trace, item: unary(trace, function, item)


for _function in UNARY:
    lookaside(_function)(_one_sided(_function))
lookaside(operator.not_)(lambda trace, item: not truth(trace, item))
lookaside(operator.truth)(truth)
lookaside(operator.is_, lazy=True)(is_same)
lookaside(operator.is_not)(lambda trace, left, right: not is_same(trace, left, right))
lookaside(operator.contains)(contains)
lookaside(operator.getitem)(get_item)
lookaside(operator.setitem)(set_item)
lookaside(operator.delitem)(lambda trace, container, key: set_item(trace, container, key, MISSING))
lookaside(operator.index)(index_of)


@lookaside(operator.length_hint)
def _length_hint(trace: Trace, item: Item, default: Item = 0) -> Item:
    if type_of(trace, default) is not int:
        throw(trace, TypeError, f"'{class_name(default)}' object cannot be interpreted as an integer")
    return length_hint(trace, item, default)


polyfill(operator.call)(lambda function, /, *args, **kwargs: function(*args, **kwargs))


@polyfill(operator.concat)
def concatenate(a: Any, b: Any, /) -> Any:
    if not hasattr(type(a), "__getitem__"):
        raise TypeError(f"'{type(a).__name__}' object can't be concatenated")
    return a + b


@polyfill(operator.iconcat)
def concatenate_in_place(a: Any, b: Any, /) -> Any:
    if not hasattr(type(a), "__getitem__"):
        raise TypeError(f"'{type(a).__name__}' object can't be concatenated")
    a += b
    return a


@polyfill(operator.countOf)
def count_of(a: Any, b: Any, /) -> int:
    require_iterable(a)
    count = 0
    for item in a:
        if same(item, b):
            count += 1
    return count


@polyfill(operator.indexOf)
def position_of(a: Any, b: Any, /) -> int:
    require_iterable(a)
    for position, item in enumerate(a):
        if same(item, b):
            return position
    raise ValueError("sequence.index(x): x not in sequence")


def require_iterable(a: Any) -> None:
    """Raise the TypeError of `operator` unless `a` can be iterated over."""
    if not hasattr(type(a), "__iter__") and not hasattr(type(a), "__getitem__"):
        raise TypeError(f"argument of type '{type(a).__name__}' is not iterable")


@polyfill(operator.itemgetter, pure=True)
def item_getter(item: Any, /, *items: Any) -> Callable[[Any], Any]:
    if not items:
        return lambda container, /: container[item]
    return lambda container, /: tuple([container[each] for each in (item, *items)])


@polyfill(operator.attrgetter, pure=True)
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


@polyfill(operator.methodcaller, pure=True)
def method_caller(name: str, /, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    if not isinstance(name, str):
        raise TypeError("method name must be a string")
    return lambda holder, /: getattr(holder, name)(*args, **kwargs)


@polyfill(operator.itemgetter.__call__)
def call_item_getter(self: Any, container: Any, /) -> Any:
    items = self.__reduce__()[1]
    return container[items[0]] if len(items) == 1 else tuple([container[item] for item in items])


@polyfill(operator.attrgetter.__call__)
def call_attribute_getter(self: Any, holder: Any, /) -> Any:
    paths = self.__reduce__()[1]
    return follow(holder, paths[0]) if len(paths) == 1 else tuple([follow(holder, path) for path in paths])


@polyfill(operator.methodcaller.__call__)
def call_method_caller(self: Any, holder: Any, /) -> Any:
    maker, arguments = self.__reduce__()
    if maker is type(self):
        return getattr(holder, arguments[0])(*arguments[1:])
    return getattr(holder, maker.args[0])(*arguments, **maker.keywords)
