"""What can be read and set of a function that was born in the trace: its name, defaults, closure and so on.

Attribute lookup itself is in attributes.py.
"""

from __future__ import annotations

import types
from typing import Any

from tracer.values.base import MISSING, UNREAD, realise, type_of
from tracer.values.context import Context
from tracer.values.dicts import DictValue
from tracer.values.functions import FunctionValue
from tracer.values.item import Item
from tracer.values.protocols.iteration import unpack
from tracer.values.raising import throw
from tracer.values.tuples import make_tuple


def _set_defaults(context: Context, target: FunctionValue, item: Item) -> None:
    target.defaults = [] if item in (None, MISSING) else list(unpack(context, item))


def _name(context: Context, attribute: str, item: Item) -> Item:
    """A name that a function is given."""
    item = realise(context, item)
    if not isinstance(item, str):
        throw(context, TypeError, f"{attribute} must be set to a string object")
    return item


HAS_TYPE_PARAMETERS = hasattr(types.FunctionType, "__type_params__")
"""Whether functions know their type parameters, as from 3.12 on."""


def _set_type_parameters(context: Context, target: FunctionValue, item: Item) -> None:
    if type_of(context, item) is not tuple:
        throw(context, TypeError, "__type_params__ must be set to a tuple")
    target.write_field(context, "__type_params__", item)


FUNCTION_FIELDS: dict[str, Any] = {
    "__defaults__": _set_defaults,
    "__name__": lambda context, target, item: setattr(target, "name", _name(context, "__name__", item)),
    "__qualname__": lambda context, target, item: target.write_field(
        context, "__qualname__", _name(context, "__qualname__", item)
    ),
    "__doc__": lambda context, target, item: target.write_field(context, "__doc__", item),
    "__module__": lambda context, target, item: target.write_field(context, "__module__", item),
    "__annotations__": lambda context, target, item: setattr(target, "annotations", item),
    **({"__type_params__": _set_type_parameters} if HAS_TYPE_PARAMETERS else {}),
}


def _keyword_defaults(value: FunctionValue) -> Item:
    """The dictionary itself: its payload is what calls read."""
    if value.keyword_defaults:
        value.keep_field("__kwdefaults__", DictValue(dict, value.keyword_defaults))
    return value.field("__kwdefaults__") if value.keyword_defaults else None


def function_attribute(context: Context, value: FunctionValue, name: str) -> Item:
    """C-level attributes of a function born in the trace."""
    field = value.field(name)
    if field is not UNREAD:
        return field
    getters: dict[str, Any] = {
        "__name__": lambda: value.name,
        "__qualname__": lambda: value.code.co_qualname,
        "__module__": lambda: value.globals.get("__name__"),
        "__doc__": lambda: (
            value.code.co_consts[0] if value.code.co_consts and isinstance(value.code.co_consts[0], str) else None
        ),
        "__code__": lambda: value.code,
        "__defaults__": lambda: make_tuple(value.defaults) if value.defaults else None,
        "__kwdefaults__": lambda: _keyword_defaults(value),
        "__closure__": lambda: make_tuple(value.closure) if value.closure else None,
        "__annotations__": lambda: value.annotations,
        **({"__type_params__": lambda: ()} if HAS_TYPE_PARAMETERS else {}),
    }
    return getters[name]() if name in getters else MISSING
