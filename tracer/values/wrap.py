"""The only place where an object from outside becomes an item: raw, or a value of the right kind.

One table by exact type, then one list of predicates for subclasses. The guard that makes the kind
a safe assumption is added here; what is inside is guarded when it is read.
"""

from __future__ import annotations

import enum
import functools
import operator
import re
import types
import typing
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import torch

from passes.meta import meta_of
from tracer.guards.source import Source
from tracer.reasons import TENSOR_LAYOUT, TENSOR_SUBCLASS
from tracer.values.base import LITERALS, NUMPY_FUNCTIONS, NUMPY_SCALARS
from tracer.values.containers import TUPLE_FIELD, DictValue, ListValue, SetValue, TupleValue
from tracer.values.context import Context
from tracer.values.functions import BoundMethod, CellValue, NestedFunction
from tracer.values.item import Item
from tracer.values.objects import ExceptionValue, ObjectValue, PartialValue
from tracer.values.tensors import TensorValue

Wrapper = Callable[["Context", Any, "Source"], Item]


def wrap(context: Context, obj: Any, source: Source) -> Item:
    """The item for `obj`, reached through `source`.

    An object met before gives the same item, with a guard that both paths still lead to it.
    """
    cls = type(obj)
    if cls in LITERALS:
        return context.constant(obj, source)
    known = context.known.get(id(obj))
    if known is not None:
        if known.source is not source:
            context.guard(source, "same as", known.source)
        return known
    wrapper = WRAPPERS.get(cls)
    if wrapper is None:
        wrapper = _by_base(cls)
    return wrapper(context, obj, source)


def _remember(context: Context, value: Any) -> Any:
    context.known[id(value.object)] = value
    return value


def _identity(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "same object", obj)
    return obj


def _function(context: Context, obj: types.FunctionType, source: Source) -> Item:
    if "<locals>" not in obj.__qualname__ or not _comes_with_the_call(source):
        return _identity(context, obj, source)
    context.guard(source, "type", types.FunctionType)
    context.guard(source.child("getattr", "__code__"), "same object", obj.__code__)
    return _remember(context, NestedFunction(types.FunctionType, source, obj))


def _comes_with_the_call(source: Source) -> bool:
    """Whether a path leads through an argument or a closure: not through globals or an object known by identity."""
    step = source
    while step.base is not None:
        if step.accessor == "cell" and step.base.accessor == "function":
            return True
        step = step.base
    return step.accessor == "argument"


def _constant(context: Context, obj: Any, source: Source) -> Item:
    return context.constant(obj, source)


def _container(kind: Any) -> Wrapper:
    def wrapper(context: Context, obj: Any, source: Source) -> Item:
        context.guard(source, "type", type(obj))
        return _remember(context, kind(type(obj), source=source, obj=obj))

    return wrapper


def _tuple(context: Context, obj: Any, source: Source) -> Item:
    if is_constant_tuple(obj):
        return context.constant(obj, source)
    return _container(TupleValue)(context, obj, source)


def _frozenset(context: Context, obj: Any, source: Source) -> Item:
    if all(type(element) in LITERALS for element in obj):
        return context.constant(obj, source)
    return _container(SetValue)(context, obj, source)


def _slice(context: Context, obj: slice, source: Source) -> Item:
    context.guard(source, "type", slice)
    for name in ("start", "stop", "step"):
        context.wrap(getattr(obj, name), source.child("getattr", name))
    return obj


def _instance(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "type", type(obj))
    return _remember(context, ObjectValue(type(obj), source, obj))


def _exception(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "type", type(obj))
    arguments = context.wrap(obj.args, source.child("getattr", "args"))
    return _remember(context, ExceptionValue(type(obj), arguments, source, obj))


def _bound_method(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "type", types.MethodType)
    function = context.wrap(obj.__func__, source.child("getattr", "__func__"))
    instance = context.wrap(obj.__self__, source.child("getattr", "__self__"))
    return BoundMethod(function, instance, source)


def _builtin(context: Context, obj: Any, source: Source) -> Item:
    owner = obj.__self__
    if owner is None or isinstance(owner, (types.ModuleType, type)) or not hasattr(type(owner), obj.__name__):
        return _identity(context, obj, source)
    context.guard(source, "type", type(obj))
    descriptor = getattr(type(owner), obj.__name__)
    context.guard(source.child("getattr", "__name__"), "equal", obj.__name__)
    return BoundMethod(descriptor, context.wrap(owner, source.child("getattr", "__self__")), source)


def _partial(context: Context, obj: functools.partial[Any], source: Source) -> Item:
    context.guard(source, "type", type(obj))
    function = context.wrap(obj.func, source.child("getattr", "func"))
    args_source, keywords_source = source.child("getattr", "args"), source.child("getattr", "keywords")
    context.guard(args_source, "length", len(obj.args))
    arguments = [context.wrap(arg, args_source.child("index", i)) for i, arg in enumerate(obj.args)]
    context.guard(keywords_source, "keys", tuple(obj.keywords))
    keywords = {name: context.wrap(arg, keywords_source.child("item", name)) for name, arg in obj.keywords.items()}
    return _remember(context, PartialValue(type(obj), function, arguments, keywords, source, obj))


def _cell(context: Context, obj: Any, source: Source) -> Item:
    return _remember(context, CellValue(source=source, obj=obj))


def _tensor(context: Context, obj: torch.Tensor, source: Source) -> Item:
    if obj.layout is not torch.strided or obj.is_quantized:
        context.stop(TENSOR_LAYOUT, f"{source.text} has layout {obj.layout}")
    return _remember(context, TensorValue(type(obj), None, meta_of(obj), source, obj))


def _tensor_subclass(context: Context, obj: torch.Tensor, source: Source) -> Item:
    if not obj.is_cpu and not obj.is_meta and type(obj) is torch.Tensor:
        return _tensor(context, obj, source)
    context.stop(TENSOR_SUBCLASS, f"{source.text} is a {type(obj).__name__}")


def is_constant_tuple(obj: tuple[Any, ...]) -> bool:
    """Whether a plain tuple holds nothing but literals, however nested."""
    for item in obj:
        cls = type(item)
        if cls not in LITERALS and not (cls is tuple and is_constant_tuple(item)):
            return False
    return True


IDENTITY_TYPES: tuple[Any, ...] = (
    types.FunctionType,
    types.ModuleType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.GenericAlias,
    types.UnionType,
    functools._lru_cache_wrapper,
    operator.itemgetter,
    operator.attrgetter,
    operator.methodcaller,
    TUPLE_FIELD,
    property,
    staticmethod,
    classmethod,
    type(typing.Any),
    type(typing.Optional),
    type(typing.List[int]),  # noqa: UP006  the private alias class itself is meant
    type(typing.Optional[int]),  # noqa: UP045
    typing.TypeVar,
    torch.jit.ScriptFunction,
    torch.nn.attention.SDPBackend,
    re.Pattern,
    re.Match,
    torch._ops.OpOverload,
    torch._ops.OpOverloadPacket,
    torch.Generator,
    object,
)
"""Known by identity: the object itself is the item."""

WRAPPERS: dict[type, Wrapper] = {
    **dict.fromkeys(IDENTITY_TYPES, _identity),
    type: _identity,
    types.FunctionType: _function,
    list: _container(ListValue),
    deque: _container(ListValue),
    dict: _container(DictValue),
    OrderedDict: _container(DictValue),
    defaultdict: _container(DictValue),
    set: _container(SetValue),
    frozenset: _frozenset,
    tuple: _tuple,
    slice: _slice,
    types.MethodType: _bound_method,
    types.BuiltinFunctionType: _builtin,
    types.CellType: _cell,
    functools.partial: _partial,
    torch.Tensor: _tensor,
    torch.nn.Parameter: _tensor,
}
"""Exact type to wrapper."""

BY_BASE: tuple[tuple[type, Wrapper], ...] = (
    (torch.nn.Module, _instance),
    (type, _identity),
    (enum.Enum, _identity),
    (torch.Tensor, _tensor_subclass),
    (types.ModuleType, _identity),
    (list, _container(ListValue)),
    (deque, _container(ListValue)),
    (dict, _container(DictValue)),
    (set, _container(SetValue)),
    (frozenset, _container(SetValue)),
    (tuple, _container(TupleValue)),
    (str, _constant),
    (int, _constant),
    (float, _constant),
    *((kind, _constant) for kind in NUMPY_SCALARS),
    *((kind, _identity) for kind in NUMPY_FUNCTIONS),
    (bytes, _constant),
    (functools.partial, _partial),
    (types.BuiltinFunctionType, _builtin),
    (BaseException, _exception),
    (object, _instance),
)
"""First base that fits, for subclasses."""


def _by_base(cls: type) -> Wrapper:
    return next(wrapper for base, wrapper in BY_BASE if issubclass(cls, base))
