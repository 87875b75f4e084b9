"""What a call does once a decider has taken it: run the lookaside, compute the constant, take the call apart.

Every action is `f(trace, function, args, kwargs)`. `tracer/interpret/deciders.py` says which one a callable gets.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

import torch

from tracer.guards.source import constant
from tracer.interpret.constants import computed, describe, is_class_of_program
from tracer.interpret.construct import class_refusal
from tracer.interpret.functions import interpret_function
from tracer.interpret.generators import GeneratorValue
from tracer.interpret.location import is_user_file
from tracer.interpret.mode_calls import ask_modes, asks_modes
from tracer.interpret.policy import COMPILED_BY_CYTHON, ROWS, Lookaside, Polyfill, Pure, Refused, row_of
from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.tensor_overrides import call_overridden
from tracer.interpret.trace import Trace
from tracer.reasons import DISABLED, FUNCTION_TRANSFORM, UNSUPPORTED_CALL
from tracer.values.base import (
    LITERALS,
    MISSING,
    SYMBOLS,
    WITHOUT_SYMBOLS,
    Lazy,
    Value,
    class_of,
    known_lazies,
    realise,
)
from tracer.values.class_attributes import METHOD_DESCRIPTORS, class_attribute, class_name, special
from tracer.values.compiled_functions import CompiledFunction
from tracer.values.dict_views import ORDERED_VIEW_TYPES, VIEW_TYPES, DictView
from tracer.values.dicts import DictValue
from tracer.values.exceptions import ExceptionValue
from tracer.values.functions import NestedFunction
from tracer.values.getters import COMPARISON_KEY, ComparisonKey, GetterValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.iterators import IteratorValue
from tracer.values.kinds import NotConcrete
from tracer.values.lists import ListValue
from tracer.values.methods import BoundMethod, descriptors_of
from tracer.values.objects import ObjectValue, Overridden
from tracer.values.partials import PartialValue
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.special_methods import call_stored
from tracer.values.raising import throw
from tracer.values.sequences import SequenceValue
from tracer.values.sets import SetValue
from tracer.values.shapes import holds_symbols
from tracer.values.table_iterators import TABLE_ITERATORS
from tracer.values.tuples import TupleValue

Args = Sequence[Item]
Kwargs = Mapping[str, Item]

RECEIVERS: Final[dict[type, type | tuple[type, ...]]] = {
    **dict.fromkeys((list, deque), ListValue),
    **dict.fromkeys((dict, OrderedDict, defaultdict), DictValue),
    **dict.fromkeys((set, frozenset), (SetValue, frozenset)),
    tuple: (TupleValue, tuple),
    types.GeneratorType: GeneratorValue,
    BaseException: ExceptionValue,
    **dict.fromkeys((*VIEW_TYPES.values(), *ORDERED_VIEW_TYPES.values()), DictView),
    **dict.fromkeys((*TABLE_ITERATORS, type(iter([])), type(iter(()))), IteratorValue),
    **dict.fromkeys((enumerate, zip, map, filter, reversed, type(reversed([]))), IteratorValue),
    COMPARISON_KEY: ComparisonKey,
}
"""Class of a C method to the kinds of items that its lookaside can be given as self."""


# Calls that come to another call ---------------------------------------------------------------------


def call_method(trace: Trace, method: BoundMethod, args: Args, kwargs: Kwargs) -> Item:
    """The function, with the instance in front of its arguments."""
    return trace.machine.call(trace, method.function, [method.instance, *args], kwargs)


def call_realised(trace: Trace, function: Lazy, args: Args, kwargs: Kwargs) -> Item:
    """The object that nothing had looked at yet."""
    return trace.machine.call(trace, function.realise(trace), args, kwargs)


def call_partial(trace: Trace, function: PartialValue, args: Args, kwargs: Kwargs) -> Item:
    """The function of a functools.partial, with the arguments that it holds."""
    keywords = {**function.named(trace), **kwargs}
    return trace.machine.call(trace, function.function, [*function.arguments, *args], keywords)


def call_compiled_here(trace: Trace, function: CompiledFunction, args: Args, kwargs: Kwargs) -> Item:
    """The function that the program has given to torch.compile."""
    return trace.machine.call(trace, function.function, args, kwargs)


def call_pinned(trace: Trace, function: NestedFunction, args: Args, kwargs: Kwargs) -> Item:
    """A function that was known by its code, from here on by its identity."""
    return trace.machine.call(trace, function.pin(trace), args, kwargs)


def call_unbound(trace: Trace, method: Any, args: Args, kwargs: Kwargs) -> Item:
    """The method of the class, with the object that this one is bound to in front of its arguments."""
    owner = method.__self__
    descriptor = descriptors_of(method)[0]
    if isinstance(row_of(descriptor), Pure):
        return compute(trace, method, args, kwargs)
    return trace.machine.call(trace, descriptor, [owner, *args], kwargs)


def call_class_method(trace: Trace, method: Any, args: Args, kwargs: Kwargs) -> Item:
    """The class method that C has bound to a class, with the class in front of its arguments."""
    descriptor = class_method_of(method)
    return trace.machine.call(trace, descriptor, [method.__self__, *args], kwargs)


def call_bound_to_class(trace: Trace, descriptor: Any, args: Args, kwargs: Kwargs) -> Item:
    """A class method of C, bound to the class that is its first argument."""
    if not args:
        refuse_unknown(trace, descriptor, args, kwargs)
    return trace.machine.call(trace, descriptor.__get__(None, args[0]), args[1:], kwargs)


def call_wrapped(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """The function inside a staticmethod or classmethod object."""
    return trace.machine.call(trace, get_attribute(trace, function, "__func__"), args, kwargs)


def call_getter(trace: Trace, getter: Any, args: Args, kwargs: Kwargs) -> Item:
    """An itemgetter, attrgetter or methodcaller: the Python function that does the same, with what the getter holds."""
    cls = class_of(getter)
    if kwargs or len(args) != 1:
        trace.stop(UNSUPPORTED_CALL, f"{describe(cls)} with these arguments")
    if isinstance(getter, GetterValue):
        arguments, keywords = getter.arguments, getter.keywords
    else:
        maker, held, *_ = getter.__reduce__()
        bound = maker if isinstance(maker, functools.partial) else functools.partial(maker)
        arguments = [_held(trace, part) for part in (*bound.args, *held)]
        keywords = {name: _held(trace, part) for name, part in bound.keywords.items()}
    return trace.machine.call(trace, trace.machine.polyfill(cls.__name__), [*args, *arguments], keywords)


def _held(trace: Trace, part: Any) -> Item:
    """What an immutable object known by identity holds."""
    return part if type(part) in LITERALS else trace.wrap(part, constant(part))


def make_comparison_key(trace: Trace, key: ComparisonKey, args: Args, kwargs: Kwargs) -> Item:
    """What functools.cmp_to_key returned is called: the key of an object."""
    objects = [*args, *(item for name, item in kwargs.items() if name == "obj")]
    if len(objects) != 1 or len(args) + len(kwargs) != 1:
        trace.stop(UNSUPPORTED_CALL, "a key of functools.cmp_to_key with these arguments")
    of_object = ComparisonKey(key.comparison)
    of_object.keep_field("obj", objects[0])
    return of_object


def call_special_method(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """`__call__` of the class of a real object."""
    method = special(trace, function, "__call__")
    return call_stored(trace, method, function, "__call__", args, kwargs)


def call_object(trace: Trace, function: Value, args: Args, kwargs: Kwargs) -> Item:
    """`__call__` of the class of a value; a break where that is written in C and has no lookaside.

    A function that Cython has compiled may have a lookaside of its own.
    """
    real = function.object if isinstance(function, ObjectValue) else None
    if function.cls.__name__ == COMPILED_BY_CYTHON and isinstance(row_of(real), Lookaside):
        trace.guard(function.source, "same object", real)
        return run_lookaside(trace, real, args, kwargs)
    method = class_attribute(trace, function.cls, "__call__")
    if method is MISSING:
        throw(trace, TypeError, f"'{function.cls.__name__}' object is not callable")
    if class_of(method) in METHOD_DESCRIPTORS and not isinstance(row_of(method), Lookaside):
        trace.stop(UNSUPPORTED_CALL, f"a {function.cls.__module__}.{function.cls.__qualname__} object")
    return call_stored(trace, method, function, "__call__", args, kwargs)


# Lookasides ------------------------------------------------------------------------------------------


def run_lookaside(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """What the tracer does instead of the call."""
    row: Any = row_of(function)  # a Lookaside
    if trace.function_modes and asks_modes(function):
        answer = ask_modes(trace, function, args, kwargs)
        if answer is not MISSING:
            return answer
    if type(function) in METHOD_DESCRIPTORS:
        args = _with_receiver(trace, function, args)
        if row.excluding and issubclass(class_of(args[0]), row.excluding):
            trace.stop(UNSUPPORTED_CALL, f"{describe(function)} of a {class_of(args[0]).__name__}")
    if not row.lazy:
        for arg in args:
            if type(arg) is Lazy:
                args = known_lazies(trace, args)
                break
        kwargs = {name: realise(trace, arg) for name, arg in kwargs.items()} if kwargs else kwargs
    if kwargs and not _takes_keywords(function, kwargs):
        trace.stop(UNSUPPORTED_CALL, f"{describe(function)} with these arguments")
    try:
        return row.handler(trace, *args, **kwargs)
    except NotConcrete:
        trace.stop(UNSUPPORTED_CALL, f"{describe(function)} of a traced value")
    except TypeError as error:
        # Raised by the call itself, not inside: the program gave arguments that the function does not
        # take. The native call says so better.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            trace.stop(UNSUPPORTED_CALL, f"{describe(function)} with these arguments")
        raise


def _takes_keywords(function: Any, names: Iterable[str]) -> bool:
    """Whether a function takes arguments by these names. One that does not say leaves that to its handler."""
    parameters = _signatures.get(function)
    if parameters is None:
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (ValueError, TypeError):  # C functions that say nothing of their parameters
            parameters = []
        _signatures[function] = parameters
    if not parameters or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return True
    named = {parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY}
    return named.issuperset(names)


_signatures: dict[Any, list[inspect.Parameter]] = {}
"""The parameters of functions that lookasides were called for by keyword; none of those that do not tell."""


def _with_receiver(trace: Trace, function: Any, args: Args) -> Args:
    """The arguments of a C method, the first realised and of a kind that a lookaside knows."""
    if type(args[0]) is Lazy:
        args = [args[0].realise(trace), *args[1:]]
    kinds = RECEIVERS.get(function.__objclass__)
    if kinds is not None and not isinstance(args[0], kinds):
        trace.stop(UNSUPPORTED_CALL, f"{describe(function)} of an object that only CPython knows")
    return args


# Constants -------------------------------------------------------------------------------------------


def compute(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """The result that CPython computes from constants; a break where an argument is none."""
    try:
        return computed(trace, function, args, kwargs)
    except NotConcrete as error:
        trace.stop(UNSUPPORTED_CALL, str(error) or f"{describe(function)} of a traced value")


def compute_or_interpret(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """The result that CPython computes from constants; of anything else, that of the polyfill."""
    row = row_of(function)
    assert isinstance(row, Polyfill)
    args = [arg.realise(trace) if type(arg) is Lazy and type(arg.object) in (int, float) else arg for arg in args]
    if not _needs_polyfill(trace, row, args, kwargs):
        try:
            return computed(trace, function, args, kwargs)
        except NotConcrete:
            pass
    return interpret_polyfill(trace, function, args, kwargs)


def compute_of_literals(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """The result that CPython computes from containers of literals; of any others, that of the polyfill."""
    real_args = [_of_literals(arg) for arg in args]
    if kwargs or any(arg is MISSING for arg in real_args):
        return interpret_polyfill(trace, function, args, kwargs)
    return host(trace, function, *real_args)


def _of_literals(item: Item) -> Any:
    """A literal, or what a container of the trace holds if that is known to be nothing but literals; else MISSING."""
    kind = type(item)
    if kind in WITHOUT_SYMBOLS:
        return item
    if kind is ListValue and item.complete and WITHOUT_SYMBOLS.issuperset(map(type, item.items)):
        return item.items if item.cls is list else deque(item.items, item.maxlen) if item.cls is deque else MISSING
    if kind is DictValue and item.cls is dict and item.complete:
        return item.items if WITHOUT_SYMBOLS.issuperset(map(type, (*item.items, *item.items.values()))) else MISSING
    return MISSING


def interpret_polyfill(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """The Python function that does the same as a C function, interpreted."""
    row = row_of(function)
    assert isinstance(row, Polyfill)
    return interpret_function(trace, row.body, args, kwargs)  # type: ignore[arg-type]


def _needs_polyfill(trace: Trace, row: Polyfill, args: Args, kwargs: Kwargs) -> bool:
    """Whether CPython, given copies, would answer with a copy of what the program must get itself, or lose a symbol.

    Or call a class of the program, as a key.
    """
    if any(map(_has_symbols, args)) or is_class_of_program(kwargs.get("key")):
        return True
    if not row.returns_items:
        return False
    values = [arg for arg in (*known_lazies(trace, args), *kwargs.values()) if isinstance(arg, Value)]
    if not values:
        return False
    flat = len(values) == len(args) == 1 and isinstance(values[0], (SequenceValue, DictValue, SetValue))
    only: Any = values[0]
    return not flat or any(
        (isinstance(part, Value) and not (type(part) is Lazy and part.is_literal)) or _has_symbols(part)
        for part in only.all(trace)
    )


def _has_symbols(item: Item) -> bool:
    return type(item) in SYMBOLS or holds_symbols(item)


# Operators -------------------------------------------------------------------------------------------


OF_NO_MODE: Final = (torch._ops.OpOverload, torch._ops.OpOverloadPacket, torch.jit.ScriptFunction)
"""Kinds of operators that no mode is asked about."""


def call_operator(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """A node of the graph, or what the class of an argument makes of the call by its `__torch_function__`."""
    if trace.function_modes and not isinstance(function, OF_NO_MODE):
        answer = ask_modes(trace, function, args, kwargs)
        if answer is not MISSING:
            return answer
    try:
        return tensor_op(trace, function, args, kwargs)
    except Overridden:
        return call_overridden(trace, function, args, kwargs)


# Breaks ----------------------------------------------------------------------------------------------


def refuse_row(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> NoReturn:
    """A break for the reason that the row of the callable names."""
    row = row_of(function)
    assert isinstance(row, Refused)
    trace.stop(row.reason, full_name(function))


def call_hidden(trace: Trace, function: types.FunctionType, args: Args, kwargs: Kwargs) -> Item:
    """Call the function that a wrapper of torch's own hides from TorchDynamo."""
    return trace.machine.call(trace, inspect.unwrap(function), args, kwargs)


def call_compiled(trace: Trace, function: types.FunctionType, args: Args, kwargs: Kwargs) -> Item:
    """Call what torch.compile was given for the function that it has made; captured itself, that is left to torch."""
    _refuse_outside_of_program(trace, function)
    return trace.machine.call(trace, get_attribute(trace, function, "_torchdynamo_orig_callable"), args, kwargs)


def call_compiled_module(trace: Trace, function: types.FunctionType, args: Args, kwargs: Kwargs) -> Item:
    """Call a module that torch.compile has made like any other: its `forward` is a function that it has made."""
    if torch.nn.modules.module._has_any_global_hook():
        trace.stop(FUNCTION_TRANSFORM, "a compiled module is called where all modules have hooks")
    _refuse_outside_of_program(trace, function)
    return trace.machine.call(trace, torch.nn.Module.__call__, args, kwargs)


def _refuse_outside_of_program(trace: Trace, function: types.FunctionType) -> None:
    """A break at a call that code of the program's has not made: there the function is what capture was given."""
    if trace.frame is None or not is_user_file(trace.frame.user.code.filename):
        trace.stop(FUNCTION_TRANSFORM, full_name(function))


def refuse_disabled(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> NoReturn:
    """A break at a function that is marked with `disable`."""
    trace.stop(DISABLED, full_name(function))


def refuse_class(trace: Trace, cls: type, args: Args, kwargs: Kwargs) -> NoReturn:
    """A break at a class whose instances are not made in a trace."""
    refusal = class_refusal(cls)
    assert refusal is not None
    trace.stop(*refusal)


def refuse_uncallable(trace: Trace, function: Item, args: Args, kwargs: Kwargs) -> NoReturn:
    """CPython's TypeError, in the program."""
    throw(trace, TypeError, f"'{class_name(function)}' object is not callable")


def refuse_unknown(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> NoReturn:
    """A break: what the function does is not known."""
    trace.stop(UNSUPPORTED_CALL, describe(function))


# Words -----------------------------------------------------------------------------------------------


def class_method_of(method: Any) -> Any:
    """The descriptor of a C class method that is bound to a class; None if there is none with a row."""
    owner = method.__self__
    if not isinstance(owner, type):
        return None
    for base in owner.__mro__:
        if method.__name__ in base.__dict__:
            descriptor = base.__dict__[method.__name__]
            return descriptor if type(descriptor) is types.ClassMethodDescriptorType and descriptor in ROWS else None
    return None


def full_name(function: Any) -> str:
    """The name of a callable with its module."""
    return f"{getattr(function, '__module__', None) or ''}.{getattr(function, '__qualname__', function)}".lstrip(".")
