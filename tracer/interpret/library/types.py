"""types: modules, functions, methods, generators, namespaces and mapping proxies."""

from __future__ import annotations

import types
from typing import Any

from tracer.interpret.call import call
from tracer.interpret.generators import GeneratorValue, generator_close, generator_send, generator_throw
from tracer.interpret.policy import (
    immutable,
    lookaside,
)
from tracer.interpret.trace import Trace
from tracer.reasons import (
    UNSUPPORTED_CALL,
)
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.methods import BoundMethod
from tracer.values.protocols.attributes import generic_set_attribute, get_attribute

immutable(types.GenericAlias, types.CodeType)


@lookaside(types.GenericAlias.__call__)
def _call_alias(trace: Trace, alias: Any, *args: Item, **kwargs: Item) -> Item:
    """An instance of the class; one with a dictionary remembers the alias in it."""
    if alias.__origin__.__dictoffset__:
        trace.stop(UNSUPPORTED_CALL, f"an instance of {alias!r}")
    return call(trace, alias.__origin__, args, kwargs)


@lookaside(types.ModuleType.__getattribute__)
def _module_attribute(trace: Trace, module: Item, name: Item) -> Item:
    return get_attribute(trace, module, name)


@lookaside(types.SimpleNamespace.__init__)
def _namespace_init(trace: Trace, item: Item, **attributes: Item) -> None:
    for name, attribute in attributes.items():
        generic_set_attribute(trace, item, name, attribute)


lookaside(types.GeneratorType.send)(generator_send)
lookaside(types.GeneratorType.throw)(generator_throw)
lookaside(types.GeneratorType.close)(generator_close)


@lookaside(types.GeneratorType.__next__)
def _generator_next(trace: Trace, generator: GeneratorValue) -> Item:
    return generator_send(trace, generator, None)


@lookaside(types.FunctionType.__get__)
def _bind(trace: Trace, function: Item, instance: Item, owner: Item = None) -> Item:
    return function if instance is None else BoundMethod(function, instance)


@lookaside(types.MethodType)
def _method(trace: Trace, function: Item, instance: Item) -> Item:
    return _bind(trace, function, instance)


lookaside(types.GeneratorType.__iter__)(lambda trace, iterator: iterator)


def _of_proxy(name: str) -> Any:
    """A method of a mapping proxy that a pure function returned. The proxy of a class dictionary breaks the graph."""

    def run(trace: Trace, mapping: Item, *args: Item) -> Item:
        if not isinstance(mapping, DictValue):
            trace.stop(UNSUPPORTED_CALL, f"mappingproxy.{name}")
        shown = DictValue(dict, mapping.all(trace))
        return call(trace, getattr(dict, name), [shown, *args])

    return run


for _name in ("get", "keys", "values", "items", "__getitem__", "__contains__", "__len__", "__iter__"):
    lookaside(getattr(types.MappingProxyType, _name))(_of_proxy(_name))
