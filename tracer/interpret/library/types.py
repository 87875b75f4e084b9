"""types: modules, functions, methods, generators, namespaces and mapping proxies."""

from __future__ import annotations

import types
from collections import OrderedDict, defaultdict
from typing import Any, Final

from tracer.interpret.call import call
from tracer.interpret.constants import describe
from tracer.interpret.generators import GeneratorValue, generator_close, generator_send, generator_throw
from tracer.interpret.library.warnings import warn_at
from tracer.interpret.places import place_of_caller
from tracer.interpret.policy import (
    immutable,
    lookaside,
)
from tracer.interpret.trace import Trace
from tracer.reasons import (
    UNSUPPORTED_CALL,
    WARNING,
)
from tracer.values.base import realise
from tracer.values.class_attributes import METHOD_DESCRIPTORS, class_of
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.mapping_proxies import MappingProxy
from tracer.values.methods import BoundMethod
from tracer.values.protocols.attribute_names import attribute_name
from tracer.values.protocols.attribute_writes import generic_set_attribute
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.operators import equal
from tracer.values.protocols.truth import is_same
from tracer.values.raising import throw

immutable(types.GenericAlias, types.CodeType)


@lookaside(types.GenericAlias.__call__)
def _call_alias(trace: Trace, alias: Any, *args: Item, **kwargs: Item) -> Item:
    """An instance of the class; one with a dictionary remembers the alias in it."""
    origin = get_attribute(trace, alias, "__origin__")
    if not isinstance(origin, type) or origin.__dictoffset__:
        trace.stop(UNSUPPORTED_CALL, f"an instance of {describe(alias)}")
    return call(trace, origin, args, kwargs)


@lookaside(types.ModuleType.__getattribute__)
def _module_attribute(trace: Trace, module: Item, name: Item) -> Item:
    return get_attribute(trace, module, attribute_name(trace, name))


@lookaside(types.SimpleNamespace.__init__)
def _namespace_init(trace: Trace, item: Item, /, **attributes: Item) -> None:
    for name, attribute in attributes.items():
        generic_set_attribute(trace, item, name, attribute)


lookaside(types.GeneratorType.send)(generator_send)


@lookaside(types.GeneratorType.throw)
def _throw(trace: Trace, generator: Item, kind: Item, *rest: Item) -> Item:
    if rest and THROW_WARNS:
        warn_at(trace, THROW_WARNING, DeprecationWarning, THROW_WARNING, place_of_caller(trace, 1, WARNING))
    return generator_throw(trace, generator, kind, *rest)


THROW_WARNS: Final = "deprecated" in str(types.GeneratorType.throw.__doc__)
THROW_WARNING: Final = "the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead."
"""What CPython says, from 3.12 on, of a call of `throw` with more than an exception."""

lookaside(types.GeneratorType.close)(generator_close)


@lookaside(types.GeneratorType.__next__)
def _generator_next(trace: Trace, generator: GeneratorValue) -> Item:
    return generator_send(trace, generator, None)


@lookaside(types.FunctionType.__get__)
def _bind(trace: Trace, function: Item, instance: Item, owner: Item = None) -> Item:
    return function if instance is None else BoundMethod(function, instance)


@lookaside(types.MethodType)
def _method(trace: Trace, function: Item, instance: Item) -> Item:
    function = realise(trace, function)
    if not call(trace, callable, [function]):
        throw(trace, TypeError, "first argument must be callable")
    if realise(trace, instance) is None:
        throw(trace, TypeError, "instance must not be None")
    if class_of(function) in METHOD_DESCRIPTORS:
        trace.stop(UNSUPPORTED_CALL, f"types.MethodType of {function!r}")
    return BoundMethod(function, instance)


def _equal_methods(trace: Trace, left: Item, right: Item) -> Any:
    """Whether two bound methods have equal functions and one instance; NotImplemented for anything else."""
    left, right = realise(trace, left), realise(trace, right)
    if not isinstance(left, BoundMethod) or not isinstance(right, BoundMethod) or left.cls is not right.cls:
        return NotImplemented
    return is_same(trace, left.instance, right.instance) and equal(trace, left.function, right.function)


def _unequal_methods(trace: Trace, left: Item, right: Item) -> Any:
    answer = _equal_methods(trace, left, right)
    return answer if answer is NotImplemented else not answer


for _kind in (types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType):
    lookaside(_kind.__eq__)(_equal_methods)
    lookaside(_kind.__ne__)(_unequal_methods)


for _kind in (
    *(types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType),
    *(types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType),
):
    lookaside(_kind.__call__)(lambda trace, function, *args, **kwargs: call(trace, function, args, kwargs))


lookaside(types.GeneratorType.__iter__)(lambda trace, iterator: iterator)


@lookaside(types.MappingProxyType)
def _proxy(trace: Trace, mapping: Item) -> Item:
    if not isinstance(mapping, DictValue) or mapping.cls not in (dict, OrderedDict, defaultdict):
        trace.stop(UNSUPPORTED_CALL, f"a mapping proxy of {describe(mapping)}")
    return MappingProxy(mapping)


def _of_proxy(name: str) -> Any:
    """A method of a proxy that the program made, or a pure function. That of a class dictionary breaks the graph."""

    def run(trace: Trace, mapping: Item, *args: Item) -> Item:
        if not isinstance(mapping, DictValue):
            trace.stop(UNSUPPORTED_CALL, f"mappingproxy.{name}")
        if not isinstance(mapping, MappingProxy):
            return call(trace, getattr(dict, name), [DictValue(dict, mapping.all(trace)), *args])
        return call(trace, get_attribute(trace, mapping.mapping, name), args)

    return run


for _name in ("get", "keys", "values", "items", "copy", "__getitem__", "__contains__", "__len__", "__iter__"):
    lookaside(getattr(types.MappingProxyType, _name))(_of_proxy(_name))
