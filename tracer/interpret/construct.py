"""Calling a class: `__new__`, then `__init__`, as `type.__call__` does."""

from __future__ import annotations

import enum
import inspect
import random
import sys
import types
import typing
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from passes.operators.wrapper_layouts import is_wrapper_class
from tracer.interpret.policy import ROWS, Interpreted, Lookaside, Polyfill, Pure, refusing_row, row_of
from tracer.interpret.trace import Trace
from tracer.reasons import CLASS_DEFINITION, EXCEPTION_STATE, TENSOR_SUBCLASS, UNSUPPORTED_CALL, Reason
from tracer.values.base import class_of, realise, type_of
from tracer.values.class_attributes import HEAP_TYPE, METHOD_DESCRIPTORS, class_attribute, derives, is_callable, special
from tracer.values.concrete import concrete
from tracer.values.dict_views import DictView
from tracer.values.dicts import DictValue
from tracer.values.exceptions import NATIVE_FIELDS, ExceptionValue, fields_of
from tracer.values.host import born_exception, host
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.lists import ListValue
from tracer.values.literal_objects import PLAIN, LiteralObject, literal_base
from tracer.values.objects import ObjectValue
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.descriptors import bind
from tracer.values.protocols.iteration import listed, unpack
from tracer.values.protocols.special_methods import call_stored
from tracer.values.quiet_classes import loud_place
from tracer.values.raising import throw
from tracer.values.random_generators import RandomGenerator
from tracer.values.sets import SetValue
from tracer.values.tensor_subclasses import NOT_OVERRIDDEN, is_overridable
from tracer.values.tuples import TupleValue, make_tuple

DISALLOW_INSTANTIATION = 1 << 7
"""Py_TPFLAGS_DISALLOW_INSTANTIATION: classes that only C makes instances of."""

ABSTRACT = 1 << 20
"""Py_TPFLAGS_IS_ABSTRACT: classes with abstract methods."""

MODULE_OF: Callable[[type], Any] = vars(type)["__module__"].__get__
"""`__module__` of a class, whatever its metaclass says."""

Args = Sequence[Item]
Kwargs = Mapping[str, Item]


def construct(trace: Trace, cls: type, args: Args, kwargs: Kwargs) -> Item:
    """`cls(*args, **kwargs)`."""
    meta_call = special(trace, cls, "__call__")
    if meta_call is type.__call__ or issubclass(cls, enum.Enum):
        return type_call(trace, cls, args, kwargs)
    return trace.machine.call(trace, bind(trace, meta_call, cls, type(cls), "__call__"), args, kwargs)


def type_call(trace: Trace, cls: type, args: Args, kwargs: Kwargs) -> Item:
    """`type.__call__`: make an instance, as CPython does when a class is called."""
    if issubclass(cls, enum.Enum) and not cls.__members__:
        trace.stop(CLASS_DEFINITION, f"{cls.__name__}() creates an enumeration")
    if isinstance(row_of(cls), (Lookaside, Pure, Polyfill)):
        return trace.machine.call(trace, cls, args, kwargs)
    if is_wrapper_class(cls):
        return _wrapper(trace, cls, args, kwargs)
    refusal = class_refusal(cls)
    if refusal is not None:
        trace.stop(*refusal)
    if cls.__flags__ & DISALLOW_INSTANTIATION:
        trace.stop(UNSUPPORTED_CALL, f"{cls.__module__}.{cls.__qualname__}, which has no instances of the program's")
    new: Any = class_attribute(trace, cls, "__new__")
    owner: Any = new.__self__ if type(new) is types.BuiltinFunctionType else None
    if owner is not None and issubclass(cls, owner):
        instance = allocate(trace, cls, new, args, kwargs)
    else:
        instance = realise(trace, trace.machine.call(trace, get_attribute(trace, cls, "__new__"), [cls, *args], kwargs))
    kind = type_of(trace, instance)
    if derives(kind, cls):
        init = class_attribute(trace, kind, "__init__")
        if class_of(init) not in METHOD_DESCRIPTORS:
            result = realise(trace, call_stored(trace, init, instance, "__init__", args, kwargs))
            if result is not None:
                throw(trace, TypeError, f"__init__() should return None, not '{type_of(trace, result).__name__}'")
        elif init is not object.__init__:
            _initialise(trace, instance, init, args, kwargs)
        elif (args or kwargs) and new is object.__new__:
            throw(trace, TypeError, f"{cls.__name__}() takes no arguments")
    return instance


def _wrapper(trace: Trace, cls: type, args: Args, kwargs: Kwargs) -> Item:
    """An instance of a class of tensors that hold tensors: a call of the graph."""
    place = loud_place(trace, cls)
    if place:
        trace.stop(TENSOR_SUBCLASS, f"a {cls.__name__} is made, and {place} may change what lasts")
    return trace.machine.wrapper_op(trace, cls, args, kwargs)


def is_made_by_type(cls: type) -> bool:
    """Whether a call of the class is `type.__call__`, and not a metaclass of the program's."""
    return inspect.getattr_static(type(cls), "__call__") is type.__call__


def class_refusal(cls: type) -> tuple[Reason, str] | None:
    """Why a class is not instantiated in a trace, with its name; None if it may be."""
    module = MODULE_OF(cls)
    name = f"{module}.{cls.__qualname__}"
    if issubclass(cls, torch.Tensor):
        overrides = cls.__torch_function__ != NOT_OVERRIDDEN  # pyright: ignore[reportUnknownMemberType]
        if is_wrapper_class(cls) or (is_overridable(cls) and overrides):
            return None
        return UNSUPPORTED_CALL, name
    row = refusing_row(module)
    if row is None or issubclass(cls, BaseException) or isinstance(ROWS.get(cls), Interpreted):
        return None
    return row.reason, name


def allocate(trace: Trace, cls: type, new: Any, args: Args, kwargs: Kwargs) -> Item:
    """The instance that a `__new__` written in C returns."""
    if new is object.__new__:
        if cls.__flags__ & ABSTRACT:
            host(trace, object.__new__, cls)  # which refuses in the words of this CPython
        _refuse_finalizer(trace, cls)
        return ObjectValue(cls)
    _refuse_finalizer(trace, cls)
    if new is torch.Tensor.__new__:
        return trace.machine.call(trace, new, [cls, *args], kwargs)
    for base, make in ALLOCATORS:
        if issubclass(cls, base):
            if base in ONE_ARGUMENT and (len(args) > 1 or kwargs):
                trace.stop(UNSUPPORTED_CALL, f"{cls.__qualname__} with these arguments")
            return make(trace, cls, args, kwargs)
    trace.stop(UNSUPPORTED_CALL, f"{cls.__module__}.{cls.__qualname__}")


def _refuse_finalizer(trace: Trace, cls: type) -> None:
    """A break: only an object of CPython's own dies when the program lets it go."""
    if cls.__flags__ & HEAP_TYPE and any("__del__" in owner.__dict__ for owner in cls.__mro__):
        trace.stop(UNSUPPORTED_CALL, f"{cls.__qualname__} has a finalizer")


def _new_exception(trace: Trace, cls: Any, args: Args, kwargs: Kwargs) -> Item:
    """An exception. CPython creates those whose fields it derives from the arguments."""
    if issubclass(cls, BaseExceptionGroup):
        trace.stop(EXCEPTION_STATE, "an exception group")
    if not fields_of(cls, NATIVE_FIELDS):
        return ExceptionValue(cls, make_tuple(args))
    if cls.__flags__ & HEAP_TYPE:
        trace.stop(UNSUPPORTED_CALL, f"{cls.__module__}.{cls.__qualname__}")
    try:
        return born_exception(trace, host(trace, cls, *(concrete(trace, arg) for arg in args)))
    except NotConcrete:
        trace.stop(UNSUPPORTED_CALL, f"{cls.__qualname__} of a traced value")


def _new_tuple(trace: Trace, cls: type, args: Args, kwargs: Kwargs) -> Item:
    items = listed(trace, args[0]) if args else []
    return make_tuple(items) if cls is tuple else TupleValue(cls, items)


def _new_literal(trace: Trace, cls: type, args: Args, kwargs: Kwargs) -> Item:
    """An instance of int, float, complex, str or bytes, or of a subclass: what the literal type itself makes of it."""
    base = literal_base(cls)
    item = trace.machine.call(trace, base, args, kwargs)
    return item if cls is base else LiteralObject(cls, PLAIN[base](concrete(trace, item)))


def _new_frozenset(trace: Trace, cls: type, args: Args, kwargs: Kwargs) -> Item:
    return SetValue(cls, host(trace, frozenset, elements(trace, args[0]) if args else ()))


def _new_generator(trace: Trace, cls: type) -> Item:
    """A generator of random numbers, of Python's own class."""
    if cls is not random.Random:
        trace.stop(UNSUPPORTED_CALL, f"{cls.__module__}.{cls.__qualname__}, a generator of random numbers")
    return RandomGenerator(trace.step)


ALLOCATORS: tuple[tuple[Any, Callable[..., Item]], ...] = (
    (BaseException, _new_exception),
    (list, lambda trace, cls, args, kwargs: ListValue(cls)),
    (deque, lambda trace, cls, args, kwargs: ListValue(cls)),
    (dict, lambda trace, cls, args, kwargs: DictValue(cls)),
    (set, lambda trace, cls, args, kwargs: SetValue(cls)),
    (frozenset, _new_frozenset),
    (tuple, _new_tuple),
    *((base, _new_literal) for base in PLAIN),
    (random.Random, lambda trace, cls, args, kwargs: _new_generator(trace, cls)),
    (typing.Generic, lambda trace, cls, args, kwargs: ObjectValue(cls)),
    (types.SimpleNamespace, lambda trace, cls, args, kwargs: ObjectValue(cls)),
)
"""By base class, the first that fits: creates the instance that `__init__` is to fill."""


ONE_ARGUMENT: tuple[Any, ...] = (frozenset, tuple)
"""Bases whose `__new__` takes no other argument than what the instance is to hold."""


def is_allocated(cls: type) -> bool:
    """Whether instances of a class can be made in a trace: its `__new__` is Python's, object's or one of ALLOCATORS."""
    new = inspect.getattr_static(cls, "__new__")
    in_python = isinstance(new, staticmethod | types.FunctionType)
    return in_python or new is object.__dict__["__new__"] or issubclass(cls, tuple(base for base, _ in ALLOCATORS))


def _initialise(trace: Trace, instance: Any, init: Any, args: Args, kwargs: Kwargs) -> None:
    """Call an `__init__` written in C."""
    if isinstance(instance, (ListValue, DictValue, SetValue, ExceptionValue)) or isinstance(row_of(init), Lookaside):
        trace.machine.call(trace, init, [instance, *args], kwargs)


def list_init(trace: Trace, instance: ListValue, iterable: Item = (), maxlen: Item = None) -> None:
    """list.__init__ and deque.__init__: what they hold goes, then they are extended."""
    extend: Any = list.extend
    if issubclass(instance.cls, deque):
        extend = deque.extend
        instance.maxlen = _maximal_length(trace, maxlen)
    instance.change(trace).clear()
    trace.machine.call(trace, extend, [instance, iterable])


def _maximal_length(trace: Trace, maxlen: Item) -> int | None:
    if maxlen is None:
        return None
    if not issubclass(class_of(maxlen), int):
        throw(trace, TypeError, "an integer is required")
    size = int(concrete(trace, maxlen))
    if size < 0:
        throw(trace, ValueError, "maxlen must be non-negative")
    if size > sys.maxsize:
        throw(trace, OverflowError, "Python int too large to convert to C ssize_t")
    return size


def dict_init(trace: Trace, instance: DictValue, *args: Item, **kwargs: Item) -> None:
    """dict.__init__, OrderedDict.__init__ and defaultdict.__init__."""
    rest = list(args)
    if issubclass(instance.cls, defaultdict):
        factory = rest.pop(0) if rest else None
        if factory is not None and not is_callable(trace, factory):
            throw(trace, TypeError, "first argument must be callable or None")
        instance.keep_field("default_factory", factory)
    update = OrderedDict.update if issubclass(instance.cls, OrderedDict) else dict.update
    trace.machine.call(trace, update, [instance, *rest], kwargs)


def set_init(trace: Trace, instance: SetValue, iterable: Item = ()) -> None:
    """set.__init__: the elements of `iterable` replace what the set holds."""
    keys = elements(trace, iterable)
    instance.empty(trace)
    update_set(trace, instance, keys, iterable)


def update_set(trace: Trace, target: SetValue, keys: Any, origin: Item) -> None:
    """Add what `elements` gives of `origin`, one key after the other as CPython does, or a whole set."""
    if type(keys) is list:
        for key in keys:
            target.add(trace, key)
    else:
        target.combine(trace, "update", keys, origin)


def elements(trace: Trace, item: Item) -> Any:
    """A real iterable of an item's elements, of a kind from which CPython fills a set in the same order."""
    if isinstance(item, SetValue):
        return item.all(trace)
    if isinstance(item, frozenset):
        return item
    if isinstance(item, DictView) and item.kind != "values":
        return dict.fromkeys(trace.key(element) for element in item.all(trace)).keys()
    keys = [trace.key(element) for element in unpack(trace, item)]
    return dict.fromkeys(keys) if isinstance(item, DictValue) else keys
