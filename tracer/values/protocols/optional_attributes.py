"""Attributes that an object need not have: `getattr(item, name, default)`, as CPython asks in many places."""

from __future__ import annotations

from typing import Any

from tracer.values.base import MISSING
from tracer.values.item import Item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.raising import Raised


def optional_attribute(context: Any, item: Item, name: str, default: Item = MISSING) -> Item:
    """`item.name`, or `default` where reading it raises AttributeError. Raises what else reading it raises."""
    try:
        return get_attribute(context, item, name)
    except Raised as raised:
        if not issubclass(raised.value.cls, AttributeError):
            raise
        return default
