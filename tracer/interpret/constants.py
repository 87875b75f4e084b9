"""Results that CPython computes while tracing, because all that they depend on is constant.

A function is left to CPython because a row calls it pure, but no row is believed about its result: only what cannot
change and has no identity of its own is a constant of the program. Containers are values of the trace, which the
residual program builds; other immutable objects are made again by a recipe; whatever is left (iterators, buffers,
objects with a state) each run must make itself, so that the graph breaks.
"""

from __future__ import annotations

import enum
import functools
import inspect
import re
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tracer.interpret.policy import EXCEPTIONS
from tracer.interpret.trace import Trace
from tracer.values.base import LITERALS, NUMPY_SCALARS, Lazy, realise
from tracer.values.class_attributes import HEAP_TYPE, METHOD_DESCRIPTORS
from tracer.values.concrete import concrete
from tracer.values.dicts import DictValue
from tracer.values.from_host import from_host
from tracer.values.host import host, host_numpy
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.literal_objects import LiteralObject
from tracer.values.methods import descriptors_of
from tracer.values.recipes import MADE_ANEW, Recipe
from tracer.values.sequences import SequenceValue

CONSTANTS: Final[tuple[Any, ...]] = (
    *(str, int, float, complex, bytes, type, enum.Enum, types.ModuleType, slice, re.Pattern),
    *(types.GenericAlias, types.UnionType, types.FunctionType, types.BuiltinFunctionType, types.MethodWrapperType),
    *NUMPY_SCALARS,
)
"""Beside the literals: classes whose instances, those of subclasses included, are one and the same in every run."""

HAVING_IDENTITY: Final = (*MADE_ANEW, *NUMPY_SCALARS)
"""Classes of which each call makes an object of its own: numpy, unlike CPython, shares no small numbers."""

CALLBACKS: Final[tuple[Any, ...]] = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.MethodDescriptorType),
    *(types.MethodWrapperType, functools.partial, functools._lru_cache_wrapper),
)
"""Callables that a C function calls when it is given one: what they do belongs to the program, not to the trace."""

PROGRAMMABLE: Final = frozenset(
    {
        *(
            "__str__",
            "__repr__",
            "__format__",
            "__hash__",
            "__eq__",
            "__lt__",
            "__le__",
            "__gt__",
            "__ge__",
            "__bool__",
        ),
        *("__index__", "__int__", "__float__", "__complex__", "__len__", "__iter__", "__getitem__", "__bytes__"),
    }
)
"""Special methods that a C function may call on what it is given."""

LOOKS_ONLY: Final = frozenset((object.__repr__, object.__str__, object.__hash__, object.__format__, issubclass))
"""Functions that take any object and call none of these."""

CALLERS: Final = frozenset((re.Pattern.sub, re.Pattern.subn))
"""Functions that call an argument: one that is a class, too, which all others only look at."""

NUMBERS: Final = frozenset((bool, int, float, complex))
"""Classes whose methods look at the type of their other arguments only."""

OF_NUMBERS: Final = frozenset((re.compile, re._compile))  # type: ignore[attr-defined]
"""Functions of Python that see only the number of an int of any class, such as the flags that 3.13 gives `re.sub`."""

TEXTS: Final = frozenset((str, bytes))
"""Classes whose methods, apart from FORMATTERS, read the text or the number that an argument holds."""

FORMATTERS: Final = frozenset((str.format, str.format_map, str.__mod__, bytes.__mod__))


class MadeByEachCall(NotConcrete):
    """What a call gives, or does beside it, cannot be kept from the trace: the message says what."""


def computed(trace: Trace, function: Any, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    """`function(*args, **kwargs)`, run by CPython. What it raises is raised in the program.

    Raises NotConcrete where an argument holds what only the trace knows, or is a function that would be called, and
    MadeByEachCall where the result is no constant.
    """
    is_method = type(function) in METHOD_DESCRIPTORS  # which knows its first argument itself
    real_args = [
        concrete(trace, arg) if is_method and not place else _real(trace, function, arg)
        for place, arg in enumerate(args)
    ]
    real_kwargs = {name: _real(trace, function, arg) for name, arg in kwargs.items()}
    if isinstance(function, enum.EnumType) and _looks_further(function, *real_args):
        raise MadeByEachCall(f"{describe(function)}._missing_")
    asked, receiver = _unbound(function)
    reason = EXCEPTIONS.get(asked)
    impurity = "" if reason is None else _impurity(reason, (*receiver, *real_args), real_kwargs)
    if impurity:
        raise MadeByEachCall(f"{describe(function)} {impurity}")
    owner = getattr(asked, "__objclass__", asked)
    run = host_numpy if isinstance(owner, type) and issubclass(owner, NUMPY_SCALARS) else host
    result = run(trace, function, *real_args, **real_kwargs)
    note_recipes(trace, result, function, real_args, real_kwargs)
    return result if isinstance(result, enum.Enum) else from_host(trace, result)


def _impurity(reason: Callable[..., str], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """What `reason` says of a call; nothing of arguments that it does not take, which the function refuses too."""
    try:
        inspect.signature(reason).bind(*args, **kwargs)
    except TypeError:
        return ""
    return reason(*args, **kwargs)


def _unbound(function: Any) -> tuple[Any, tuple[Any, ...]]:
    """The method of its class that a bound C method stands for, which has the row, and what it is bound to."""
    owner = getattr(function, "__self__", None)
    if not isinstance(function, types.BuiltinFunctionType) or isinstance(owner, (type, types.ModuleType, type(None))):
        return function, ()
    descriptors = descriptors_of(function)  # none for functions of pybind11, which have a record of theirs for an owner
    return (descriptors[0], (owner,)) if descriptors else (function, ())


def _looks_further(cls: Any, value: Any = None, *rest: Any) -> bool:
    """Whether an enumeration asks a `_missing_` of the program for the member of a value."""
    if cls._missing_.__func__.__module__ == "enum":
        return False
    return all(member.value != value and member is not value for member in cls.__members__.values())


def _real(trace: Trace, function: Any, item: Item) -> Any:
    item = realise(trace, item)
    real = concrete(trace, item)
    method, _ = _unbound(function)
    looks_only = method in LOOKS_ONLY or getattr(method, "__objclass__", None) in NUMBERS
    if not looks_only and (_calls_back(real) or (method in CALLERS and is_class_of_program(real))):
        raise NotConcrete
    if not looks_only and any(_sees_more(function, method, part.cls) for part in _literal_objects(item)):
        raise NotConcrete
    return real


def _literal_objects(item: Item) -> list[LiteralObject]:
    """The instances of subclasses of literal types that an item is, or holds."""
    parts: list[Any] = item.items if isinstance(item, SequenceValue) else [item]
    if isinstance(item, DictValue):
        parts = [*item.items, *item.items.values()]
    items = [part.known if type(part) is Lazy else part for part in parts]
    return [part for part in items if isinstance(part, LiteralObject)]


def _sees_more(function: Any, method: Any, cls: type) -> bool:
    """Whether a function sees, or calls, more of an instance of a literal type's subclass than the plain literal."""
    if isinstance(function, types.FunctionType):
        return not (function in OF_NUMBERS and issubclass(cls, int)) or _is_programmed(cls)
    if is_class_of_program(function):
        return True
    reads_text = getattr(method, "__objclass__", None) in TEXTS and method not in FORMATTERS
    return not reads_text and _is_programmed(cls)


def is_class_of_program(item: Any) -> bool:
    """Whether an item is a class whose call runs code of the program."""
    return isinstance(item, type) and bool(item.__flags__ & HEAP_TYPE)


def _calls_back(real: Any) -> bool:
    """Whether a C function that is given an object may call code of the program, which is to be traced."""
    cls = type(real)
    if cls in LITERALS or isinstance(real, CALLBACKS):
        return cls not in LITERALS
    if cls in (tuple, list):
        return any(map(_calls_back, real))
    return _is_programmed(cls)


@functools.cache
def _is_programmed(cls: type) -> bool:
    """Whether a class has special methods that are not C's, nor the enum module's."""
    return any(
        name in owner.__dict__ and type(owner.__dict__[name]) not in (*METHOD_DESCRIPTORS, type(None))
        for owner in cls.__mro__
        if owner.__flags__ & HEAP_TYPE and owner.__module__ != "enum"
        for name in PROGRAMMABLE
    )


READY: Final = 1 << 12
"""Py_TPFLAGS_READY, of a class whose MRO and methods have been filled in."""


def note_recipes(
    trace: Trace, result: Any, function: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {}
) -> None:
    """Note how an object that a pure function has just made is made again. Raises MadeByEachCall."""
    if not type(result).__flags__ & READY:  # no question can be asked about it: the iterators of code objects
        raise MadeByEachCall(f"{describe(function)}, whose result is of a class that CPython has not prepared")
    arguments = (*args, *kwargs.values())
    if isinstance(result, HAVING_IDENTITY) and any(result is one for one in arguments):
        return  # `max(n, 2)` may be `n` itself, which has a recipe of its own if it needs one
    if isinstance(result, HAVING_IDENTITY) and all(map(_never_changes, arguments)):
        trace.recipes[id(result)] = Recipe(result, function, args, kwargs)
    elif not _is_remade(result):
        raise MadeByEachCall(f"{describe(function)}, of which each call makes a new {type(result).__name__}")


def _never_changes(real: Any) -> bool:
    """Whether an argument may be given again: nothing can have written to it."""
    if type(real) is tuple:
        return all(map(_never_changes, real))
    return type(real) in LITERALS or isinstance(real, (*CONSTANTS, *MADE_ANEW))


def _is_remade(result: Any) -> bool:
    """Whether a result is a constant, or a container of such, which the residual program builds anew."""
    cls = type(result)
    if cls in LITERALS or isinstance(result, CONSTANTS):
        return not isinstance(result, types.BuiltinFunctionType) or _is_remade(result.__self__)
    if cls in (dict, OrderedDict, types.MappingProxyType):
        return all(map(_is_remade, result)) and all(map(_is_remade, result.values()))
    return (cls in (list, deque, set, frozenset) or isinstance(result, tuple)) and all(map(_is_remade, result))


def describe(function: Any) -> str:
    """The name of a callable in the detail of a break: builtins without their module."""
    module = getattr(function, "__module__", None) or getattr(getattr(function, "__objclass__", None), "__module__", "")
    name = getattr(function, "__qualname__", None) or repr(function)
    return f"{module}.{name}" if module and module != "builtins" else name
