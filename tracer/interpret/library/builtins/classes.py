"""Class statements, and what makes properties, static methods and class methods."""

from __future__ import annotations

import builtins
from typing import Any

from tracer.interpret.class_creation import build_class
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.values.item import Item
from tracer.values.protocols.descriptors import descriptor_part
from tracer.values.wrapped_functions import PARTS, WrappedFunction


@lookaside(builtins.__build_class__)
def _build_class(trace: Trace, body: Item, name: Item, /, *bases: Item, **keywords: Item) -> Item:
    return build_class(trace, body, name, bases, keywords)


@lookaside(property)
def _property(trace: Trace, fget: Item = None, fset: Item = None, fdel: Item = None, doc: Item = None) -> Item:
    value = WrappedFunction(property, {"fget": fget, "fset": fset, "fdel": fdel})
    if doc is not None:
        value.keep_field("__doc__", doc)
    return value


@lookaside(staticmethod)
def _static_method(trace: Trace, function: Item, /) -> Item:
    return WrappedFunction(staticmethod, {"__func__": function})


@lookaside(classmethod)
def _class_method(trace: Trace, function: Item, /) -> Item:
    return WrappedFunction(classmethod, {"__func__": function})


def _with(part: str) -> Any:
    """`property.getter` and its like: another property, with one function in place of that which this one has."""

    def replace(trace: Trace, instance: Item, function: Item, /) -> Item:
        parts = {name: descriptor_part(trace, instance, name) for name in PARTS[property]}
        return WrappedFunction(property, {**parts, part: function})

    return replace


for _part, _method in zip(PARTS[property], (property.getter, property.setter, property.deleter), strict=True):
    lookaside(_method)(_with(_part))
