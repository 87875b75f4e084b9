"""The name of an attribute, as functions such as `getattr` take it from the program."""

from __future__ import annotations

from tracer.values.base import realise
from tracer.values.class_attributes import class_name
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.literal_objects import plain
from tracer.values.raising import throw


def attribute_name(context: Context, name: Item) -> str:
    """The name that a function which takes one was given. Raises TypeError in the program for anything but text."""
    if type(name) is str:
        return name
    name = plain(realise(context, name))
    if not isinstance(name, str):
        throw(context, TypeError, f"attribute name must be string, not '{class_name(name)}'")
    return name
