"""Special methods, as CPython's own C code calls them: looked up on the class, bound as what is found says, called.

What a class stores under `__len__` may be a function, a slot wrapper, a staticmethod, a partial object, a property, an
object with a `__call__`, or None: only the lookup is special, the rest is any descriptor and any call. Every operator,
builtin and statement calls special methods through here. Nothing here knows what a method's result has to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FunctionType

from tracer.values.base import LITERALS, MISSING, class_of, kind_of
from tracer.values.class_attributes import METHOD_DESCRIPTORS, class_attribute, special
from tracer.values.context import Context
from tracer.values.identities import IDENTITY_TYPES
from tracer.values.item import Item

NO_KEYWORDS: Mapping[str, Item] = {}


def call_special(context: Context, item: Item, name: str, *args: Item) -> Item:
    """`type(item).name(item, *args)` with the method bound as CPython binds it; MISSING when the class has none."""
    stored = special(context, item, name)
    return MISSING if stored is MISSING else call_stored(context, stored, item, name, args)


def call_stored(
    context: Context,
    stored: Item,
    item: Item,
    name: str,
    args: Sequence[Item] = (),
    kwargs: Mapping[str, Item] = NO_KEYWORDS,
) -> Item:
    """Call what the class of `item` stores under `name`, found before."""
    kind = type(stored)
    if kind is FunctionType or kind in METHOD_DESCRIPTORS:
        return context.machine.call(context, stored, [item, *args], kwargs)
    return context.machine.call(context, bind_special(context, stored, item, name), args, kwargs)


def bind_special(context: Context, stored: Item, item: Item, name: str) -> Item:
    """The callable that a special method, found before, is for `item`."""
    return context.machine.bind(context, stored, item, class_of(item), name)


def is_native(stored: Item, cls: type, name: str) -> bool:
    """Whether a special method of `cls` is the one that C code has for it: what the values model themselves."""
    return type(stored) in METHOD_DESCRIPTORS and stored.__name__ == name and issubclass(cls, stored.__objclass__)


def is_of_program(context: Context, item: Item, name: str) -> bool:
    """Whether the class of `item` has a special method that is neither C's own nor, say, a special form's of typing."""
    if type(item) in LITERALS or type(item) in IDENTITY_TYPES:
        return False
    cls = kind_of(context, item)
    stored = class_attribute(context, cls, name)
    return stored is not MISSING and not is_native(stored, cls, name)
