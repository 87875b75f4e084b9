"""The operator module: each function as the operator it stands for, and the getters."""

from __future__ import annotations

import operator
from typing import Any

from passes.python_operators import IN_PLACE
from tracer.interpret.constants import computed, describe
from tracer.interpret.library.shared import same
from tracer.interpret.policy import lookaside, polyfill, protocol
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import MISSING, Value, type_of
from tracer.values.class_attributes import class_name
from tracer.values.getters import GETTERS, GetterValue
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
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


def _maker(cls: type) -> Any:
    """A getter of constants is made by CPython, one of anything else is a value of the trace."""

    def make(trace: Trace, *args: Item, **kwargs: Item) -> Item:
        try:
            return computed(trace, cls, args, kwargs)
        except NotConcrete:
            pass
        if kwargs and cls is not operator.methodcaller:
            trace.stop(UNSUPPORTED_CALL, f"{describe(cls)} with these arguments")
        names = args if cls is operator.attrgetter else args[:1] if cls is operator.methodcaller else ()
        for name in names:
            if not issubclass(type_of(trace, name), str):
                what = "attribute" if cls is operator.attrgetter else "method"
                throw(trace, TypeError, f"{what} name must be a string")
            if isinstance(name, Value):
                trace.stop(UNSUPPORTED_CALL, f"{describe(cls)} of a {class_name(name)}")
        return GetterValue(cls, args, kwargs)

    return make


for _cls in GETTERS:
    lookaside(_cls)(_maker(_cls))
    lookaside(_cls.__call__)(lambda trace, getter, *args, **kwargs: trace.machine.call(trace, getter, args, kwargs))


@protocol("itemgetter")
def get_items(container: Any, item: Any, /, *items: Any) -> Any:
    """What an itemgetter of these items does when it is called."""
    if not items:
        return container[item]
    return tuple([container[each] for each in (item, *items)])


@protocol("attrgetter")
def get_attributes(holder: Any, path: str, /, *paths: str) -> Any:
    """What an attrgetter of these paths does when it is called."""
    if not paths:
        return follow(holder, path)
    return tuple([follow(holder, each) for each in (path, *paths)])


def follow(holder: Any, path: str) -> Any:
    """The attribute at the end of a dotted path."""
    for name in path.split("."):
        holder = getattr(holder, name)
    return holder


@protocol("methodcaller")
def call_method(holder: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """What a methodcaller of these arguments does when it is called."""
    return getattr(holder, name)(*args, **kwargs)
