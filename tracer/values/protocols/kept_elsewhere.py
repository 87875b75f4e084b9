"""Attributes that only the C code of an object's class finds: those of a threading.local, of weak proxies.

A threading.local has a dictionary for each thread, which is read and changed as such.
"""

from __future__ import annotations

import threading
import weakref

from tracer.reasons import UNSUPPORTED_ATTRIBUTE, UNSUPPORTED_MUTATION, Reason
from tracer.values.base import MISSING
from tracer.values.class_attributes import class_attribute
from tracer.values.context import Context
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.objects import ObjectValue
from tracer.values.raising import throw

ELSEWHERE = (threading.local, weakref.ProxyType, weakref.CallableProxyType)
"""Classes whose instances keep their attributes where only their own C code finds them."""


def get_kept_elsewhere(context: Context, value: ObjectValue, name: str) -> Item:
    """`value.name` of an instance of ELSEWHERE."""
    if name == "__class__" and value.cls is threading.local:
        return value.cls
    dictionary = _own_dictionary(context, value, name)
    item = dictionary if name == "__dict__" else dictionary.lookup(context, name)
    if item is MISSING:
        _refuse(context, name)
    return item


def set_kept_elsewhere(context: Context, value: ObjectValue, name: str, item: Item) -> None:
    """`value.name = item` of an instance of ELSEWHERE; MISSING as item deletes."""
    dictionary = _own_dictionary(context, value, name, UNSUPPORTED_MUTATION)
    if item is not MISSING:
        dictionary.put(context, name, item)
    elif dictionary.lookup(context, name) is MISSING:
        _refuse(context, name)
    else:
        dictionary.take(context, name)


def _own_dictionary(
    context: Context, value: ObjectValue, name: str, reason: Reason = UNSUPPORTED_ATTRIBUTE
) -> DictValue:
    """The dictionary of the running thread; a break for all but plain instances of threading.local.

    A subclass may have an `__init__`, which the first look of a thread runs.
    """
    is_plain = value.cls is threading.local and value.object is not MISSING
    stored = class_attribute(context, value.cls, name) if is_plain and name != "__dict__" else MISSING
    if not is_plain or stored is not MISSING or value.source is None:
        context.stop(reason, f"{value.cls.__name__}.{name}")
    dictionary = context.wrap(value.object.__dict__, value.source.child("getattr", "__dict__"))
    assert isinstance(dictionary, DictValue)
    return dictionary


def _refuse(context: Context, name: str) -> None:
    throw(context, AttributeError, f"'_thread._local' object has no attribute '{name}'")
