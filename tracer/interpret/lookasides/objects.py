"""Methods of `object`, exceptions, cells, generators and cached functions."""

from __future__ import annotations

import functools
import types
from typing import Any

from tracer.interpret.call import call
from tracer.interpret.construct import allocate
from tracer.interpret.generators import GeneratorValue, generator_close, generator_send, generator_throw
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL, UNSUPPORTED_MUTATION
from tracer.values.base import MISSING, Value, realise, type_of
from tracer.values.class_attributes import class_attribute, class_name
from tracer.values.functions import BoundMethod, FunctionValue
from tracer.values.item import Item
from tracer.values.iterators import END, next_item
from tracer.values.objects import ObjectValue, PartialValue
from tracer.values.protocols.attributes import generic_attribute, generic_set_attribute, get_attribute
from tracer.values.protocols.truth import is_same, truth
from tracer.values.raising import throw


@lookaside(types.ModuleType.__getattribute__)
def _module_attribute(trace: Trace, module: Item, name: Item) -> Item:
    return get_attribute(trace, module, name)


@lookaside(object.__getattribute__)
def _getattribute(trace: Trace, item: Item, name: Item) -> Item:
    item, name = realise(trace, item), realise(trace, name)
    if not isinstance(item, ObjectValue):
        trace.stop(UNSUPPORTED_CALL, f"object.__getattribute__ of a {class_name(item)}")
    found = generic_attribute(trace, item, name)
    if found is MISSING:
        throw(trace, AttributeError, f"'{item.cls.__name__}' object has no attribute '{name}'")
    return found


@lookaside(object.__setattr__, lazy=True)
def _setattr(trace: Trace, item: Item, name: Item, value: Item) -> None:
    item = realise(trace, item)
    if not isinstance(item, Value):
        trace.stop(UNSUPPORTED_MUTATION, f"object.__setattr__ on a {class_name(item)}")
    generic_set_attribute(trace, item, realise(trace, name), value)


@lookaside(object.__delattr__)
def _delattr(trace: Trace, item: Item, name: Item) -> None:
    generic_set_attribute(trace, realise(trace, item), realise(trace, name), MISSING)


@lookaside(object.__new__)
def _new(trace: Trace, cls: Item, *args: Item, **kwargs: Item) -> Item:
    if (args or kwargs) and isinstance(cls, type):
        if class_attribute(trace, cls, "__new__") is not object.__dict__["__new__"]:
            throw(trace, TypeError, "object.__new__() takes exactly one argument (the type to instantiate)")
        if class_attribute(trace, cls, "__init__") is object.__init__:
            throw(trace, TypeError, f"{cls.__name__}() takes no arguments")
    return allocate(trace, cls, object.__new__, args, kwargs)


@lookaside(object.__init__)
def _init(trace: Trace, item: Item, *args: Item, **kwargs: Item) -> None:
    if args or kwargs:
        cls = type_of(trace, item)
        if class_attribute(trace, cls, "__init__") is not object.__init__:
            throw(trace, TypeError, "object.__init__() takes exactly one argument (the instance to initialize)")
        if class_attribute(trace, cls, "__new__") is object.__dict__["__new__"]:
            throw(trace, TypeError, f"{cls.__name__}() takes no arguments")


@lookaside(types.SimpleNamespace.__init__)
def _namespace_init(trace: Trace, item: Item, **attributes: Item) -> None:
    for name, attribute in attributes.items():
        generic_set_attribute(trace, item, name, attribute)


@lookaside(object.__init_subclass__)
def _init_subclass(trace: Trace, *args: Item, **kwargs: Item) -> None:
    return None


@lookaside(object.__eq__)
def _eq(trace: Trace, left: Item, right: Item) -> Item:
    return True if is_same(trace, left, right) else NotImplemented


@lookaside(object.__ne__)
def _ne(trace: Trace, left: Item, right: Item) -> Item:
    equal = call(trace, class_attribute(trace, type_of(trace, left), "__eq__"), [left, right])
    return equal if equal is NotImplemented else not truth(trace, equal)


for _name in ("__lt__", "__le__", "__gt__", "__ge__"):
    lookaside(getattr(object, _name))(lambda trace, left, right: NotImplemented)

for _base in (list, dict, set):
    _function = _base.__new__

    def _container_new(trace: Trace, cls: Item, *args: Item, new: Any = _function, **kwargs: Item) -> Item:
        return allocate(trace, cls, new, args, kwargs)

    lookaside(_function)(_container_new)


lookaside(types.GeneratorType.send)(generator_send)
lookaside(types.GeneratorType.throw)(generator_throw)
lookaside(types.GeneratorType.close)(generator_close)


@lookaside(types.GeneratorType.__next__)
def _generator_next(trace: Trace, generator: GeneratorValue) -> Item:
    return generator_send(trace, generator, None)


def _iterator_next(trace: Trace, iterator: Item) -> Item:
    item = next_item(trace, iterator)
    if item is END:
        throw(trace, StopIteration)
    return item


for _kind in (type(iter([])), type(iter(())), enumerate, zip, map, filter, reversed, type(iter({})), type(iter(set()))):
    lookaside(_kind.__next__)(_iterator_next)  # type: ignore[attr-defined]
    lookaside(_kind.__iter__)(lambda trace, iterator: iterator)
lookaside(types.GeneratorType.__iter__)(lambda trace, iterator: iterator)


@lookaside(types.FunctionType.__get__)
def _bind(trace: Trace, function: Item, instance: Item, owner: Item = None) -> Item:
    return function if instance is None else BoundMethod(function, instance)


@lookaside(types.MethodType)
def _method(trace: Trace, function: Item, instance: Item) -> Item:
    return _bind(trace, function, instance)


@lookaside(functools.wraps)
def _wraps(trace: Trace, wrapped: Item, *args: Item, **kwargs: Item) -> Item:
    return PartialValue(functools.partial, functools.update_wrapper, [], {"wrapped": wrapped, **kwargs})


@lookaside(functools.update_wrapper)
def _update_wrapper(trace: Trace, wrapper: Item, wrapped: Item, *args: Item, **kwargs: Item) -> Item:
    wrapper = realise(trace, wrapper)
    if not isinstance(wrapper, FunctionValue):
        trace.stop(UNSUPPORTED_MUTATION, f"functools.update_wrapper on a {class_name(wrapper)}")
    for name in functools.WRAPPER_ASSIGNMENTS:
        generic_set_attribute(trace, wrapper, name, get_attribute(trace, wrapped, name))
    generic_set_attribute(trace, wrapper, "__wrapped__", wrapped)
    return wrapper
