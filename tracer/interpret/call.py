"""The call policy: what happens when the traced program calls something.

In this order: a value's own behaviour; a lookaside; a Python function is interpreted; a class is
instantiated; a tensor operator becomes a node; a pure C function of constants is run; a C function
with a Python equivalent is replaced by it; anything else breaks the graph.
"""

from __future__ import annotations

import functools
import operator
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from tracer.code.decode import decode
from tracer.guards.source import Source, constant
from tracer.interpret.arguments import bind_arguments, is_ours
from tracer.interpret.construct import construct
from tracer.interpret.frame import Frame
from tracer.interpret.generators import GeneratorValue
from tracer.interpret.loop import run
from tracer.interpret.memoised import cached_result
from tracer.interpret.policy import (
    CONSTANT_MARK,
    LOOKASIDES,
    NAMED,
    RETURNS_ITEMS,
    TAKES_LAZY,
    is_marked_operator,
    is_pure,
    is_tensor_operator,
    refusal,
)
from tracer.interpret.polyfills import POLYFILLS
from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.trace import Trace
from tracer.reasons import COROUTINE, RECURSION, SKIPPED_FUNCTION, UNSUPPORTED_CALL
from tracer.values.base import (
    HOST_OBJECTS,
    LITERALS,
    MISSING,
    NUMPY_FUNCTIONS,
    NUMPY_SCALARS,
    PYTHON_TYPES,
    Lazy,
    Value,
    realise,
    type_of,
)
from tracer.values.class_attributes import METHOD_DESCRIPTORS, class_attribute
from tracer.values.concrete import NotConcrete, concrete
from tracer.values.containers import (
    VIEW_TYPES,
    DictValue,
    DictView,
    ListValue,
    SequenceValue,
    SetValue,
    TupleValue,
    known_lazies,
)
from tracer.values.from_host import from_host
from tracer.values.functions import BoundMethod, CellValue, FunctionValue, NestedFunction
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.iterators import TABLE_ITERATORS, IteratorValue
from tracer.values.objects import ExceptionValue, ObjectValue, PartialValue
from tracer.values.protocols.attributes import get_attribute
from tracer.values.raising import throw

GETTERS = (operator.itemgetter, operator.attrgetter, operator.methodcaller)
NO_KEYWORDS: Mapping[str, Item] = {}
CO_GENERATOR, CO_SUSPENDS = 0x20, 0x20 | 0x80 | 0x200


def call(trace: Trace, function: Item, args: Sequence[Item], kwargs: Mapping[str, Item] = NO_KEYWORDS) -> Item:
    """`function(*args, **kwargs)` in the traced program."""
    kind = type(function)
    if kind is types.FunctionType:
        lookaside = LOOKASIDES.get(function)
        if lookaside is not None:
            return call_lookaside(trace, function, lookaside, args, kwargs)
        return call_function(trace, function, args, kwargs)
    if kind is BoundMethod:
        return call(trace, function.function, [function.instance, *args], kwargs)
    if isinstance(function, Value):
        return _call_value(trace, function, args, kwargs)
    lookaside = LOOKASIDES.get(function)
    if lookaside is not None:
        if kind in METHOD_DESCRIPTORS and args and type(args[0]) is Lazy:
            args = [args[0].realise(trace), *args[1:]]
        return call_lookaside(trace, function, lookaside, args, kwargs)
    if kind is types.MethodWrapperType:
        owner = function.__self__
        return call(trace, getattr(type(owner), function.__name__), [owner, *args], kwargs)
    if kind is types.ClassMethodDescriptorType and args and function not in POLYFILLS:
        return call(trace, function.__get__(None, args[0]), args[1:], kwargs)
    if kind is types.BuiltinFunctionType and isinstance(function.__self__, type) and function not in POLYFILLS:
        unbound = class_attribute(trace, function.__self__, function.__name__)
        if type(unbound) is types.ClassMethodDescriptorType and unbound in POLYFILLS:
            return call(trace, unbound, [function.__self__, *args], kwargs)
    if isinstance(function, type):
        return construct(trace, function, args, kwargs)
    if is_tensor_operator(function):
        return tensor_op(trace, function, args, kwargs)
    return _call_c(trace, function, args, kwargs)


def _call_value(trace: Trace, function: Value, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    if isinstance(function, FunctionValue):
        slots = bind_arguments(
            trace, function, decode(function.code), args, kwargs, function.defaults, function.keyword_defaults
        )
        return enter(trace, function.code, slots, function.globals, function.globals_source, function.closure, function)
    if isinstance(function, Lazy):
        return call(trace, function.realise(trace), args, kwargs)
    if type(function) is NestedFunction:
        return call_nested(trace, function, args, kwargs)
    if isinstance(function, PartialValue):
        return call(trace, function.function, [*function.arguments, *args], {**function.keywords, **kwargs})
    if isinstance(function, ObjectValue) and isinstance(function.object, HOST_OBJECTS):
        return _call_c(trace, function.object, args, kwargs)
    method = class_attribute(trace, function.cls, "__call__")
    if method is MISSING:
        throw(trace, TypeError, f"'{function.cls.__name__}' object is not callable")
    if type(method) is types.FunctionType or (isinstance(method, Hashable) and method in LOOKASIDES):
        return call(trace, method, [function, *args], kwargs)
    if isinstance(function, ObjectValue) and function.object is not MISSING and is_tensor_operator(function.object):
        return tensor_op(trace, function.object, args, kwargs)
    trace.stop(UNSUPPORTED_CALL, f"a {function.cls.__module__}.{function.cls.__qualname__} object")


def call_lookaside(
    trace: Trace, function: Any, lookaside: Callable[..., Item], args: Sequence[Item], kwargs: Mapping[str, Item]
) -> Item:
    if type(function) in METHOD_DESCRIPTORS:
        args = _with_receiver(trace, function, args)
    if lookaside not in TAKES_LAZY:
        args = known_lazies(trace, args)
        kwargs = {name: realise(trace, arg) for name, arg in kwargs.items()} if kwargs else kwargs
    try:
        return lookaside(trace, *args, **kwargs)
    except NotConcrete:
        trace.stop(UNSUPPORTED_CALL, f"{describe(function)} of a traced value")
    except TypeError as error:
        # Raised by the call itself, not inside: the program gave arguments that the function does not
        # take. The native call says so better.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            trace.stop(UNSUPPORTED_CALL, f"{describe(function)} with these arguments")
        raise


def _with_receiver(trace: Trace, function: Any, args: Sequence[Item]) -> Sequence[Item]:
    """The arguments of a C method, the first realised and of a kind that a lookaside knows."""
    if args and type(args[0]) is Lazy:
        args = [args[0].realise(trace), *args[1:]]
    kinds = RECEIVERS.get(function.__objclass__)
    if kinds is not None:
        fits = args and isinstance(args[0], kinds) and issubclass(type_of(trace, args[0]), function.__objclass__)
        if not fits:
            trace.stop(UNSUPPORTED_CALL, f"{describe(function)} of an object that only CPython knows")
    return args


RECEIVERS: dict[type, type | tuple[type, ...]] = {
    **dict.fromkeys((list, deque), ListValue),
    **dict.fromkeys((dict, OrderedDict, defaultdict), DictValue),
    **dict.fromkeys((set, frozenset), (SetValue, frozenset)),
    tuple: (TupleValue, tuple),
    types.GeneratorType: GeneratorValue,
    BaseException: ExceptionValue,
    **dict.fromkeys(VIEW_TYPES.values(), DictView),
    **dict.fromkeys((*TABLE_ITERATORS.values(), type(iter([])), type(iter(()))), IteratorValue),
    **dict.fromkeys((enumerate, zip, map, filter, reversed, type(reversed([]))), IteratorValue),
}
"""Class of a C method to the kinds of items that its lookaside can be given as self."""

# Python functions ------------------------------------------------------------------------------------


class FunctionFacts:
    """What calling a real Python function reads from it, wrapped once a trace."""

    __slots__ = ("closure", "code", "defaults", "function", "globals_source", "keyword_defaults")

    def __init__(self, trace: Trace, function: types.FunctionType, path: Source | None = None) -> None:
        """`path` leads to a function that is not known by identity."""
        self.function = function
        self.code = decode(function.__code__)
        own = is_ours(function)
        source = constant(function) if path is None else path
        if path is not None:
            trace.guard(source.child("globals"), "same object", function.__globals__)
            trace.guard(source.child("getattr", "__defaults__"), "type", type(function.__defaults__))
            trace.guard(source.child("getattr", "__kwdefaults__"), "type", type(function.__kwdefaults__))
        elif not own:
            trace.guard(source.child("getattr", "__code__"), "same object", function.__code__)
        self.globals_source = None if own else source.child("globals")
        self.defaults: list[Item] = []
        if function.__defaults__:
            defaults = source.child("getattr", "__defaults__")
            if path is not None:
                trace.guard(defaults, "length", len(function.__defaults__))
            elif not own:
                trace.guard(defaults, "same object", function.__defaults__)
            self.defaults = [
                value if path is None and type(value) in LITERALS else trace.wrap(value, defaults.child("index", i))
                for i, value in enumerate(function.__defaults__)
            ]
        self.keyword_defaults: dict[str, Item] = {}
        if function.__kwdefaults__:
            keywords = source.child("getattr", "__kwdefaults__")
            trace.guard(keywords, "keys", tuple(function.__kwdefaults__))
            self.keyword_defaults = {
                name: trace.wrap(value, keywords.child("item", name)) for name, value in function.__kwdefaults__.items()
            }
        self.closure: tuple[CellValue, ...] = tuple(
            trace.wrap(cell, source.child("cell", i)) for i, cell in enumerate(function.__closure__ or ())
        )


def call_function(trace: Trace, function: types.FunctionType, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    """Interpret a real Python function."""
    facts = trace.function_facts.get(id(function))
    if facts is None:
        lookaside = NAMED.get((function.__module__, function.__qualname__))
        if lookaside is not None:
            LOOKASIDES[function] = lookaside
            return call_lookaside(trace, function, lookaside, args, kwargs)
        if function.__dict__.get(CONSTANT_MARK):
            return _call_constant(trace, function, args, kwargs)
        if is_marked_operator(function):
            return tensor_op(trace, function, args, kwargs, remembered=False)
        refused = refusal(function)
        if refused is not None:
            trace.stop(*refused)
        facts = trace.function_facts[id(function)] = FunctionFacts(trace, function)
    slots = bind_arguments(trace, function, facts.code, args, kwargs, facts.defaults, facts.keyword_defaults)
    return enter(trace, function.__code__, slots, function.__globals__, facts.globals_source, facts.closure, function)


def _call_constant(
    trace: Trace, function: types.FunctionType, args: Sequence[Item], kwargs: Mapping[str, Item]
) -> Item:
    """Run a function whose author marked its results as constants."""
    try:
        real_args = [concrete(trace, arg, instances=True) for arg in args]
        real_kwargs = {name: concrete(trace, arg, instances=True) for name, arg in kwargs.items()}
    except NotConcrete:
        trace.stop(UNSUPPORTED_CALL, f"{describe(function)} of a traced value")
    return from_host(trace, host(trace, function, *real_args, **real_kwargs))


def call_nested(trace: Trace, value: NestedFunction, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    """Interpret a function that is known by its code and cells."""
    function: Any = value.object
    if function in LOOKASIDES or function.__dict__.get(CONSTANT_MARK) or is_marked_operator(function):
        return call(trace, value.pin(trace), args, kwargs)
    facts = trace.function_facts.get(id(function))
    if facts is None:
        refused = refusal(function)
        if refused is not None:
            trace.stop(*refused)
        facts = trace.function_facts[id(function)] = FunctionFacts(trace, function, value.source)
    slots = bind_arguments(trace, function, facts.code, args, kwargs, facts.defaults, facts.keyword_defaults)
    return enter(trace, function.__code__, slots, function.__globals__, facts.globals_source, facts.closure, function)


def enter(
    trace: Trace,
    code: types.CodeType,
    slots: list[Item],
    globals: dict[str, Any],
    globals_source: Source | None,
    closure: tuple[CellValue, ...],
    function: Any,
) -> Item:
    """Run a new frame, or make the generator that will."""
    frame = Frame(trace, decode(code), slots, globals, globals_source, closure, trace.frame, function)
    if code.co_flags & CO_SUSPENDS:
        if not code.co_flags & CO_GENERATOR:
            trace.stop(COROUTINE, code.co_qualname)
        return GeneratorValue(trace, frame)
    try:
        return run(frame)
    except RecursionError:
        trace.stop(RECURSION, code.co_qualname)


# C functions -----------------------------------------------------------------------------------------


def _needs_polyfill(trace: Trace, function: Any, args: Sequence[Item], kwargs: Mapping[str, Item]) -> bool:
    """Whether CPython, given copies, would answer with a copy of what the program must get itself, or lose a symbol."""
    if any(map(_has_symbols, args)):
        return True
    if function not in RETURNS_ITEMS:
        return False
    values = [arg for arg in (*known_lazies(trace, args), *kwargs.values()) if isinstance(arg, Value)]
    if not values:
        return False
    flat = len(values) == len(args) == 1 and isinstance(values[0], (SequenceValue, DictValue, SetValue))
    only: Any = values[0]
    return not flat or any(
        (isinstance(part, Value) and not (type(part) is Lazy and part.cls in LITERALS)) or _has_symbols(part)
        for part in only.all(trace)
    )


def _has_symbols(item: Item) -> bool:
    return any(type(part) in PYTHON_TYPES for part in (item if isinstance(item, tuple) else (item,)))


def _call_c(trace: Trace, function: Any, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    if type(function) is types.BuiltinFunctionType and _has_symbols(function.__self__):
        args = [function.__self__, *args]
        function = getattr(type(function.__self__), function.__name__)
    if is_pure(function) and not (function in POLYFILLS and _needs_polyfill(trace, function, args, kwargs)):
        try:
            real_args = [concrete(trace, arg) for arg in args]
            real_kwargs = {name: concrete(trace, arg) for name, arg in kwargs.items()}
        except NotConcrete:
            pass
        else:
            return from_host(trace, host(trace, function, *real_args, **real_kwargs))
    if isinstance(function, NUMPY_FUNCTIONS):
        return _call_numpy(trace, function, args, kwargs)
    if isinstance(function, functools._lru_cache_wrapper):
        known = cached_result(trace, function, args, kwargs)
        if known is not MISSING:
            return known
        effects = len(trace.effects.changed)
        result = call(trace, get_attribute(trace, function, "__wrapped__"), args, kwargs)
        if len(trace.effects.changed) != effects:
            trace.stop(UNSUPPORTED_CALL, f"{describe(function)} remembers its results, and does more than compute them")
        return result
    if type(function) is types.BuiltinFunctionType and type(function.__self__) in LITERALS:
        args = [function.__self__, *args]
        function = getattr(type(function.__self__), function.__name__)
    polyfill = POLYFILLS.get(function)
    if polyfill is not None:
        return call_function(trace, polyfill, args, kwargs)
    if isinstance(function, GETTERS):
        maker: Any
        maker, arguments, *_ = function.__reduce__()
        bound = maker if isinstance(maker, functools.partial) else functools.partial(maker)
        getter = call(trace, POLYFILLS[bound.func], [*bound.args, *arguments], bound.keywords)
        return call(trace, getter, args, kwargs)
    if not callable(function):
        throw(trace, TypeError, f"'{type(function).__name__}' object is not callable")
    method = class_attribute(trace, type(function), "__call__")
    if type(method) is types.FunctionType:
        return call(trace, method, [function, *args], kwargs)
    if type(function) in METHOD_DESCRIPTORS and not args:
        throw(trace, TypeError, f"unbound method {function.__qualname__}() needs an argument")
    if isinstance(function, (staticmethod, classmethod)):
        return call(trace, get_attribute(trace, function, "__func__"), args, kwargs)
    refused = refusal(function)
    trace.stop(*(refused or (UNSUPPORTED_CALL, describe(function))))


def _call_numpy(trace: Trace, function: Any, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    """numpy computes with numbers as constants; arrays are left to it."""
    try:
        result = host(
            trace,
            function,
            *[concrete(trace, arg) for arg in args],
            **{name: concrete(trace, arg) for name, arg in kwargs.items()},
        )
    except NotConcrete:
        trace.stop(SKIPPED_FUNCTION, describe(function))
    if type(result) not in LITERALS and not isinstance(result, NUMPY_SCALARS):
        trace.stop(SKIPPED_FUNCTION, describe(function))
    return result


def describe(function: Any) -> str:
    module = getattr(function, "__module__", None) or getattr(getattr(function, "__objclass__", None), "__module__", "")
    name = getattr(function, "__qualname__", None) or repr(function)
    return f"{module}.{name}" if module and module != "builtins" else name
