"""Bound methods, of Python and of C."""

from __future__ import annotations

import types
from typing import Any

from tracer.guards.source import Source
from tracer.values.base import MISSING, Value, class_of
from tracer.values.concrete import concrete
from tracer.values.context import Context
from tracer.values.identities import identity
from tracer.values.item import Item
from tracer.values.kinds import Kind, NotConcrete, Wraps, no_graph_argument, register, remember
from tracer.values.rebuilding import Emitter, Fragment, fragment, named_class


class BoundMethod(Value):
    """`function` bound to `instance`; `function` may be a C method descriptor.

    `object` is the real method, MISSING for one that the trace bound.
    """

    __slots__ = ("function", "instance", "object")

    def __init__(self, function: Item, instance: Item, source: Source | None = None, obj: object = MISSING) -> None:
        kind = type(function)
        self.cls: type = types.MethodType
        if kind in BOUND_TYPES:
            self.cls = BOUND_TYPES[kind]
        self.source = source
        self.object = obj
        self.function = function
        self.instance = instance

    def __hash__(self) -> int:
        return hash((id(self.function), id(self.instance)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoundMethod) and self.function is other.function and self.instance is other.instance


BOUND_TYPES: dict[type, type] = {
    types.MethodDescriptorType: types.BuiltinFunctionType,
    types.ClassMethodDescriptorType: types.BuiltinFunctionType,
    types.WrapperDescriptorType: types.MethodWrapperType,
}
"""By class of a descriptor written in C: the class of what binding it gives."""


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    context.guard(source, "type", types.MethodType)
    function = context.wrap(obj.__func__, source.child("getattr", "__func__"))
    instance = context.wrap(obj.__self__, source.child("getattr", "__self__"))
    return remember(context, BoundMethod(function, instance, source, obj))


def descriptors_of(method: Any) -> list[Any]:
    """What in the classes of its object a bound method of C may come from, the first of them that it is.

    A class of the program may have another method of the same name. None of several is known to be the right one for
    another object: a method does not say which class it was found in.
    """
    owner = method.__self__
    if type(method) is types.MethodWrapperType:
        return [vars(method.__objclass__)[method.__name__]]
    attributes = (vars(cls).get(method.__name__) for cls in type(owner).__mro__)
    descriptors = [attribute for attribute in attributes if type(attribute) is types.MethodDescriptorType]
    return sorted(descriptors, key=lambda descriptor: descriptor.__get__(owner, type(owner)) != method)


def _wrap_builtin(context: Context, obj: Any, source: Source) -> Item:
    owner = obj.__self__
    descriptors = [] if owner is None or isinstance(owner, (types.ModuleType, type)) else descriptors_of(obj)
    if len(descriptors) != 1:
        return identity(context, obj, source)
    context.guard(source, "type", type(obj))
    context.guard(source.child("getattr", "__name__"), "equal", obj.__name__)
    if type(obj) is types.MethodWrapperType:
        context.guard(source.child("getattr", "__objclass__"), "same object", obj.__objclass__)
    instance = context.wrap(owner, source.child("getattr", "__self__"))
    return remember(context, BoundMethod(descriptors[0], instance, source, obj))


def _parts(value: BoundMethod) -> tuple[Item, ...]:
    return (value.function, value.instance)


def _constant(context: Context, value: BoundMethod, instances: bool) -> Any:
    if not instances:
        raise NotConcrete
    return types.MethodType(concrete(context, value.function, True), concrete(context, value.instance, True))


def _rebuild(emitter: Emitter, value: BoundMethod) -> Fragment:
    function, instance = emitter.expression(value.function), emitter.expression(value.instance)
    if value.cls is types.MethodType:
        method = fragment("{}({}, {})", emitter.constant(types.MethodType, "MethodType"), function, instance)
    elif isinstance(value.function, types.ClassMethodDescriptorType):
        method = fragment("{}.__get__(None, {})", function, instance)
    else:
        # The class must be named: CPython 3.11 reads it, unchecked, for methods that receive their defining class.
        owner = named_class(emitter, class_of(value.instance))
        method = fragment("{}.__get__({}, {})", function, instance, owner)
    return emitter.assign("method", method)  # it is one object wherever the program mentions it


register(
    Kind(
        wraps=Wraps(
            exactly={
                types.MethodType: _wrap,
                **dict.fromkeys((types.BuiltinFunctionType, types.MethodWrapperType), _wrap_builtin),
            },
            subclasses={types.BuiltinFunctionType: _wrap_builtin},
        ),
        parts=_parts,
        constant=_constant,
        graph_argument=no_graph_argument,
        rebuild=_rebuild,
    ),
    BoundMethod,
)
