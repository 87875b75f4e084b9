"""Names of modules, classes and functions: written to the effect log, under the object that holds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracer.effects.log import DELETED, place_of
from tracer.values.base import MISSING
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.objects import only_through
from tracer.values.raising import throw


def set_name(context: Context, target: Any, name: str, item: Item, read: Callable[[Context, Any, str], Item]) -> None:
    """Set (or with MISSING delete) `name` of a module, class or function, none of them C's.

    `read` is how an attribute is looked up, so that there being one to delete is guarded.
    """
    born = context.born.get(target) if isinstance(target, type) else None
    if born is not None:
        if item is MISSING and name not in born.names:
            throw(context, AttributeError, f"type object '{target.__name__}' has no attribute '{name}'")
        born.write(context, name, item)
        context.class_attributes.clear()
        return
    if item is MISSING:
        change = context.effects.read(target, name, MISSING)
        if change is DELETED or (change is MISSING and name not in target.__dict__):
            is_class = isinstance(target, type)
            what = f"type object '{target.__name__}'" if is_class else f"'{type(target).__name__}' object"
            throw(context, AttributeError, f"{what} has no attribute '{name}'")
        if change is MISSING:
            read(context, target, name)
    only_as_a_namespace(context, target)
    context.effects.write(target, name, DELETED if item is MISSING else item)
    context.class_attributes.clear()


def only_as_a_namespace(context: Context, holder: Any) -> None:
    """A break where the names of a module, class or function were changed through the dictionary that holds them."""
    if not context.effects.stored:
        return
    place = place_of(holder)
    only_through(context, place, context.effects.namespaces.get(id(place)))
