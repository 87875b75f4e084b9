"""Builtin functions that look at types, attributes and iterators of traced values."""

from __future__ import annotations

import functools
import inspect
import operator
import types
import typing
from typing import Any

import torch

from tracer.interpret.call import call
from tracer.interpret.construct import elements, type_call
from tracer.interpret.policy import HOST_FUNCTIONS, LEGACY_TENSORS, lookaside
from tracer.interpret.polyfills import HELPERS, POLYFILLS
from tracer.interpret.trace import Trace
from tracer.reasons import DATA_DEPENDENT_JUMP, DATA_TO_PYTHON, TENSOR_IDENTITY, UNSUPPORTED_CALL, UNSUPPORTED_OPERATION
from tracer.values.base import LITERALS, MISSING, PYTHON_TYPES, Lazy, Value, realise, type_of
from tracer.values.class_attributes import class_attribute, class_name, special
from tracer.values.concrete import NotConcrete, concrete
from tracer.values.containers import DictValue, DictView, ListValue, SetValue, TupleValue, make_tuple
from tracer.values.from_host import from_host
from tracer.values.functions import FunctionValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.iterators import (
    END,
    EnumerateIterator,
    FilterIterator,
    ItemsIterator,
    MapIterator,
    ReversedIterator,
    ZipIterator,
    next_item,
)
from tracer.values.objects import ExceptionValue, ObjectValue, PartialValue, SuperValue
from tracer.values.protocols.attributes import get_attribute, set_attribute
from tracer.values.protocols.items import contains, get_item, set_item
from tracer.values.protocols.iteration import iterate, unpack
from tracer.values.protocols.length import index_of, length
from tracer.values.protocols.operators import BINARY, COMPARE, INPLACE, UNARY, binary, compare, unary
from tracer.values.protocols.truth import is_same, truth
from tracer.values.raising import Raised, throw
from tracer.values.tensors import TensorValue

# Operators as functions ------------------------------------------------------------------------------


def _two_sided(protocol: Any, function: Any) -> Any:
    return lambda trace, left, right: protocol(trace, function, left, right)


for _function in (*BINARY, *INPLACE):
    lookaside(_function)(_two_sided(binary, _function))
for _function in COMPARE:
    lookaside(_function)(_two_sided(compare, _function))
for _function in UNARY:
    lookaside(_function)(lambda trace, item, function=_function: unary(trace, function, item))
lookaside(operator.not_)(lambda trace, item: not truth(trace, item))
lookaside(operator.truth)(truth)
lookaside(operator.is_, lazy=True)(is_same)
lookaside(operator.is_not)(lambda trace, left, right: not is_same(trace, left, right))
lookaside(operator.contains)(contains)
lookaside(operator.getitem)(get_item)
lookaside(operator.setitem)(set_item)
lookaside(operator.delitem)(lambda trace, container, key: set_item(trace, container, key, MISSING))
lookaside(operator.index)(index_of)


@lookaside(divmod)
def _divmod(trace: Trace, left: Item, right: Item) -> Item:
    if type(left) in LITERALS and type(right) in LITERALS:
        return host(trace, divmod, left, right)
    if isinstance(left, TensorValue) or isinstance(right, TensorValue):
        return make_tuple((binary(trace, operator.floordiv, left, right), binary(trace, operator.mod, left, right)))
    return call(trace, POLYFILLS[divmod], [left, right])


lookaside(len)(length)
lookaside(bool)(lambda trace, item=False: truth(trace, item))


@lookaside(pow)
def _pow(trace: Trace, base: Item, exponent: Item, modulus: Item = None) -> Item:
    if modulus is None:
        return binary(trace, operator.pow, base, exponent)
    base = realise(trace, base)
    method = special(trace, base, "__pow__")
    if type(method) is types.FunctionType:
        return call(trace, method, [base, exponent, modulus])
    return _on_host(pow)(trace, base, exponent, modulus)


# Types -----------------------------------------------------------------------------------------------


@lookaside(type, lazy=True)
def _type(trace: Trace, item: Item, *rest: Item, **kwargs: Item) -> Item:
    if rest or kwargs:
        trace.stop(UNSUPPORTED_CALL, "type() with three arguments")
    return type_of(trace, item)


@lookaside(isinstance, lazy=True)
def _isinstance(trace: Trace, item: Item, classes: Item) -> bool:
    item = realise(trace, item) if isinstance(item, Lazy) and item.cls not in LITERALS else item
    classes = _classes(trace, classes)
    cls = type_of(trace, item)
    return any(_is_instance(trace, item, cls, candidate) for candidate in _flat(classes))


def _classes(trace: Trace, classes: Item) -> Any:
    """A class, a union, or nested tuples of them, as real objects."""
    classes = realise(trace, classes)
    if isinstance(classes, TupleValue):
        return tuple(_classes(trace, part) for part in classes.all(trace))
    if isinstance(classes, Value):
        trace.stop(UNSUPPORTED_OPERATION, f"isinstance with a {classes.cls.__name__}")
    return classes


def _flat(classes: Any) -> list[Any]:
    if isinstance(classes, tuple):
        return [each for part in classes for each in _flat(part)]
    return _flat(typing.get_args(classes)) if isinstance(classes, types.UnionType) else [classes]


def _is_instance(trace: Trace, item: Item, cls: type, candidate: Any) -> bool:
    """`isinstance(item, candidate)` of one class: by its own `__instancecheck__` if it has one."""
    if cls is candidate:
        return True
    if candidate in LEGACY_TENSORS:
        return isinstance(item, TensorValue) and cls is torch.Tensor and LEGACY_TENSORS[candidate] is item.meta.dtype
    if not isinstance(candidate, type):
        host(trace, isinstance, None, candidate)
        return host(trace, issubclass, cls, candidate)
    if candidate is torch.nn.Parameter or candidate is torch.nn.Buffer:
        return False
    check = type(candidate).__instancecheck__
    if type(check) is types.FunctionType and check.__module__ not in HOST_CHECKS:
        return truth(
            trace, call(trace, class_attribute(trace, type(candidate), "__instancecheck__"), [candidate, item])
        )
    try:
        if host(trace, issubclass, cls, candidate):
            return True
    except Raised:
        trace.stop(UNSUPPORTED_OPERATION, f"isinstance with the protocol {candidate.__name__}")
    if not any("__class__" in owner.__dict__ for owner in cls.__mro__[:-1]):
        return False
    claimed = get_attribute(trace, item, "__class__")
    return isinstance(claimed, type) and host(trace, issubclass, claimed, candidate)


HOST_CHECKS = frozenset({"abc", "typing", "torch.nn.parameter"})
"""Modules whose `__instancecheck__` asks `issubclass` of the instance's class."""


@lookaside(callable)
def _callable(trace: Trace, item: Item) -> bool:
    item = realise(trace, item)
    return callable(item) if not isinstance(item, Value) else special(trace, item, "__call__") is not MISSING


@lookaside(id)
def _id(trace: Trace, item: Item) -> Item:
    item = realise(trace, item)
    if isinstance(item, ObjectValue) and item.object is not MISSING and item.source is not None:
        trace.guard(item.source, "same object", item.object)
        return id(item.object)
    if not isinstance(item, Value) and type(item) not in LITERALS:
        return id(item)
    trace.stop(TENSOR_IDENTITY, f"id() of a {class_name(item)}")


@lookaside(hash)
def _hash(trace: Trace, item: Item) -> Item:
    key = trace.key(item)
    if not isinstance(key, Value):
        return hash(key)
    if isinstance(key, ObjectValue) and key.hash is not None:
        return key.hash
    if isinstance(key, TupleValue) and not any(isinstance(part, Value) for part in key.items):
        return hash(key)
    trace.stop(TENSOR_IDENTITY, f"hash() of a {class_name(key)}")


# Attributes ------------------------------------------------------------------------------------------


def _attribute_name(trace: Trace, name: Item) -> str:
    name = realise(trace, name)
    if not isinstance(name, str):
        throw(trace, TypeError, f"attribute name must be string, not '{class_name(name)}'")
    return name


@lookaside(getattr, lazy=True)
def _getattr(trace: Trace, item: Item, name: Item, default: Item = MISSING) -> Item:
    name = _attribute_name(trace, name)
    if default is MISSING:
        return get_attribute(trace, item, name)
    try:
        return get_attribute(trace, item, name)
    except Raised as raised:
        if not issubclass(raised.value.cls, AttributeError):
            raise
        return default


@lookaside(hasattr, lazy=True)
def _hasattr(trace: Trace, item: Item, name: Item) -> bool:
    return _getattr(trace, item, name, END) is not END


@lookaside(setattr, lazy=True)
def _setattr(trace: Trace, item: Item, name: Item, value: Item) -> None:
    set_attribute(trace, item, realise(trace, name), value)


@lookaside(delattr)
def _delattr(trace: Trace, item: Item, name: Item) -> None:
    set_attribute(trace, item, realise(trace, name), MISSING)


@lookaside(vars)
def _vars(trace: Trace, item: Item) -> Item:
    return get_attribute(trace, item, "__dict__")


@lookaside(super)
def _super(trace: Trace, *args: Item) -> Item:
    if args:
        start, instance = (realise(trace, arg) for arg in args)
    else:
        frame = trace.frame
        assert frame is not None
        start = frame.slots[frame.code.slot_names.index("__class__")].read(trace)
        instance = frame.slots[0]
        if 0 in frame.code.cell_slots:
            instance = instance.read(trace)
        instance = realise(trace, instance)
    owner = instance if isinstance(instance, type) and issubclass(instance, start) else type_of(trace, instance)
    if not issubclass(owner, start):
        throw(trace, TypeError, "super(type, obj): obj must be an instance or subtype of type")
    return SuperValue(start, instance, owner)


# Iteration -------------------------------------------------------------------------------------------


@lookaside(iter)
def _iter(trace: Trace, item: Item, *sentinel: Item) -> Item:
    return call(trace, POLYFILLS[iter], [item, *sentinel]) if sentinel else iterate(trace, item)


@lookaside(next, lazy=True)
def _next(trace: Trace, iterator: Item, *default: Item) -> Item:
    item = next_item(trace, realise(trace, iterator))
    if item is not END:
        return item
    if default:
        return default[0]
    returned = getattr(iterator, "returned", None)
    throw(trace, StopIteration, *(() if returned is None else (returned,)))


@lookaside(enumerate)
def _enumerate(trace: Trace, iterable: Item, start: Item = 0) -> Item:
    return EnumerateIterator(trace, iterate(trace, iterable), realise(trace, start))


@lookaside(zip)
def _zip(trace: Trace, *iterables: Item, strict: Item = False) -> Item:
    return ZipIterator(trace, [iterate(trace, iterable) for iterable in iterables], truth(trace, strict))


@lookaside(map)
def _map(trace: Trace, function: Item, *iterables: Item) -> Item:
    if not iterables:
        throw(trace, TypeError, "map() must have at least two arguments.")
    return MapIterator(trace, function, [iterate(trace, iterable) for iterable in iterables])


@lookaside(filter)
def _filter(trace: Trace, function: Item, iterable: Item) -> Item:
    return FilterIterator(trace, realise(trace, function), iterate(trace, iterable))


@lookaside(reversed)
def _reversed(trace: Trace, sequence: Item) -> Item:
    sequence = realise(trace, sequence)
    method = special(trace, sequence, "__reversed__")
    if type(method) is types.FunctionType:
        return call(trace, method, [sequence])
    if not isinstance(sequence, Value):
        return ItemsIterator(trace, reversed, list(host(trace, reversed, sequence)))
    if isinstance(sequence, (ListValue, TupleValue)):
        return ReversedIterator(trace, sequence)
    if isinstance(sequence, (DictValue, DictView)):
        return ItemsIterator(trace, REVERSED.get(sequence.cls, reversed), list(reversed(unpack(trace, sequence))))
    if special(trace, sequence, "__getitem__") is MISSING:
        throw(trace, TypeError, f"'{class_name(sequence)}' object is not reversible")
    return call(trace, POLYFILLS[reversed], [sequence])


@lookaside(all)
def _all(trace: Trace, iterable: Item) -> bool:
    iterator = iterate(trace, iterable)
    while (item := next_item(trace, iterator)) is not END:
        if not truth(trace, item):
            return False
    return True


@lookaside(any)
def _any(trace: Trace, iterable: Item) -> bool:
    iterator = iterate(trace, iterable)
    while (item := next_item(trace, iterator)) is not END:
        if truth(trace, item):
            return True
    return False


REVERSED: dict[type, type] = {
    dict: type(reversed({})),
    **{type(view): type(reversed(view)) for view in ({}.keys(), {}.values(), {}.items())},
}
"""What `reversed` makes of containers that have iterators of their own for it."""


@lookaside(sum)
def _sum(trace: Trace, iterable: Item, start: Item = 0) -> Item:
    total = start = realise(trace, start)
    iterator = iterate(trace, iterable)
    if isinstance(start, (str, bytes)):
        kind, join = ("strings", "''") if isinstance(start, str) else ("bytes", "b''")
        throw(trace, TypeError, f"sum() can't sum {kind} [use {join}.join(seq) instead]")
    while (item := next_item(trace, iterator)) is not END:
        total = binary(trace, operator.add, total, item)
    return total


# Constructors of builtin containers --------------------------------------------------------------------


@lookaside(list)
def _list(trace: Trace, iterable: Item = ()) -> Item:
    return ListValue(list, unpack(trace, iterable))


@lookaside(tuple)
def _tuple(trace: Trace, iterable: Item = ()) -> Item:
    iterable = realise(trace, iterable)
    if type(iterable) is TupleValue and iterable.cls is tuple:
        return iterable
    return make_tuple(unpack(trace, iterable))


@lookaside(torch.Size)
def _size(trace: Trace, iterable: Item = ()) -> Item:
    items = [realise(trace, item) for item in unpack(trace, iterable)]
    for item in items:
        if isinstance(item, Value):
            trace.stop(UNSUPPORTED_CALL, f"torch.Size of a {item.cls.__name__}")
    return host(trace, torch.Size, items)


@lookaside(set)
def _set(trace: Trace, iterable: Item = ()) -> Item:
    return SetValue(set, set(elements(trace, iterable)))


@lookaside(frozenset)
def _frozenset(trace: Trace, iterable: Item = ()) -> Item:
    made = frozenset(elements(trace, iterable))
    return SetValue(frozenset, made) if any(isinstance(key, Value) for key in made) else made


@lookaside(dict)
def _dict(trace: Trace, *args: Item, **kwargs: Item) -> Item:
    made = DictValue(dict)
    call(trace, dict.update, [made, *args], kwargs)
    return made


@lookaside(slice)
def _slice(trace: Trace, *bounds: Item) -> Item:
    return slice(*(realise(trace, bound) for bound in bounds))


@lookaside(object)
def _object(trace: Trace) -> Item:
    return ObjectValue(object)


@lookaside(functools.partial, lazy=True)
def _partial(trace: Trace, function: Item, *args: Item, **kwargs: Item) -> Item:
    function = realise(trace, function)
    if isinstance(function, PartialValue) and function.cls is functools.partial:
        args = (*function.arguments, *args)
        kwargs = {**function.keywords, **kwargs}
        function = function.function
    return PartialValue(functools.partial, function, list(args), dict(kwargs))


@lookaside(type.__call__)
def _type_call(trace: Trace, cls: Item, *args: Item, **kwargs: Item) -> Item:
    return type_call(trace, cls, args, kwargs)


# Numbers and text --------------------------------------------------------------------------------------


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


@lookaside(str)
def _str(trace: Trace, *args: Item, **kwargs: Item) -> Item:
    if len(args) != 1 or kwargs:
        return host(trace, str, *(concrete(trace, arg) for arg in args))
    return _text(trace, realise(trace, args[0]), "__str__")


@lookaside(repr)
def _repr(trace: Trace, item: Item) -> Item:
    return _text(trace, realise(trace, item), "__repr__")


def _text(trace: Trace, item: Item, name: str) -> Item:
    """str() and repr(): a Python method is interpreted, a constant is left to CPython."""
    if isinstance(item, TensorValue):
        trace.stop(DATA_TO_PYTHON, "the text of a tensor")
    method = special(trace, item, name)
    if type(method) is types.FunctionType and not _is_library(method):
        text = realise(trace, call(trace, method, [item]))
        if not isinstance(text, str):
            throw(trace, TypeError, f"{name} returned non-string (type {class_name(text)})")
        return text
    if name == "__str__" and method is object.__str__:
        return _text(trace, item, "__repr__")
    if isinstance(item, ExceptionValue) and not issubclass(item.cls, TEXT_FROM_FIELDS):
        return _exception_text(trace, item, name)
    try:
        return host(trace, str if name == "__str__" else repr, concrete(trace, item))
    except NotConcrete:
        polyfill = POLYFILLS.get(method)
        if polyfill is not None:
            return call(trace, polyfill, [item])
        trace.stop(UNSUPPORTED_OPERATION, f"the text of a {class_name(item)}")


TEXT_FROM_FIELDS = (OSError, SyntaxError, UnicodeError, ImportError, BaseExceptionGroup)
"""Exceptions whose text is made of more than their arguments."""


def _is_library(method: types.FunctionType) -> bool:
    return method.__module__ == "enum"


def _exception_text(trace: Trace, item: ExceptionValue, name: str) -> Item:
    arguments = unpack(trace, item.arguments)
    if name == "__repr__":
        inner = ", ".join(call(trace, repr, [part]) for part in arguments)
        return f"{item.cls.__name__}({inner})"
    if not arguments:
        return ""
    if len(arguments) == 1:
        return call(trace, repr if issubclass(item.cls, KeyError) else str, [arguments[0]])
    return call(trace, repr, [item.arguments])


@lookaside(format)
def _format(trace: Trace, item: Item, spec: Item = "") -> Item:
    item, spec = realise(trace, item), realise(trace, spec)
    if type(item) in PYTHON_TYPES or type(item) is torch.Size:
        item = concrete(trace, item)
    if not isinstance(item, Value) and type(special(trace, item, "__format__")) is not types.FunctionType:
        return host(trace, format, concrete(trace, item), concrete(trace, spec))
    method = special(trace, item, "__format__")
    if type(method) is types.FunctionType:
        text = realise(trace, call(trace, method, [item, spec]))
        if not isinstance(text, str):
            throw(trace, TypeError, f"__format__ must return a str, not {class_name(text)}")
        return text
    if spec == "":
        return call(trace, str, [item])
    trace.stop(UNSUPPORTED_OPERATION, f"a format of a {class_name(item)}")


def _on_host(function: Any) -> Any:
    def run(trace: Trace, *args: Item, **kwargs: Item) -> Item:
        try:
            real_args = [concrete(trace, arg) for arg in args]
            real_kwargs = {name: concrete(trace, arg) for name, arg in kwargs.items()}
        except NotConcrete:
            trace.stop(UNSUPPORTED_CALL, f"{function.__qualname__} of a traced value")
        return from_host(trace, host(trace, function, *real_args, **real_kwargs))

    return run


for _host_function in (*HOST_FUNCTIONS, *HELPERS):
    lookaside(_host_function)(_on_host(_host_function))


@lookaside(operator.length_hint)
def _length_hint(trace: Trace, item: Item, default: Item = 0) -> Item:
    if special(trace, item, "__len__") is MISSING:
        trace.stop(UNSUPPORTED_CALL, f"operator.length_hint of a {class_name(item)}")
    return length(trace, item)


@lookaside(torch.cond)
def _cond(trace: Trace, predicate: Item, on_true: Item, on_false: Item, operands: Item = ()) -> Item:
    """With a predicate known while tracing, torch.cond is an if-statement."""
    predicate = realise(trace, predicate)
    if isinstance(predicate, Value):
        trace.stop(DATA_DEPENDENT_JUMP, "torch.cond")
    return call(trace, on_true if truth(trace, predicate) else on_false, unpack(trace, operands))


@lookaside(torch.jit.annotate)
def _annotate(trace: Trace, kind: Item, value: Item) -> Item:
    return value


@lookaside(inspect.signature)
def _signature(trace: Trace, function: Item, **kwargs: Item) -> Item:
    function = realise(trace, function)
    if isinstance(function, FunctionValue):
        trace.stop(UNSUPPORTED_CALL, "inspect.signature of a function made in the trace")
    try:
        return from_host(trace, host(trace, inspect.signature, concrete(trace, function, instances=True), **kwargs))
    except NotConcrete:
        trace.stop(UNSUPPORTED_CALL, "inspect.signature")
