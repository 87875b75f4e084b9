"""Built-in exception classes: how instances are created and filled, and their methods."""

from __future__ import annotations

import builtins
from typing import Any

from tracer.interpret.call import call
from tracer.interpret.construct import allocate
from tracer.interpret.policy import ROWS, lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import EXCEPTION_STATE, UNSUPPORTED_CALL
from tracer.values.base import MISSING
from tracer.values.class_attributes import class_name
from tracer.values.exceptions import KEYWORD_FIELDS, NATIVE_FIELDS, ExceptionValue, fields_of
from tracer.values.item import Item
from tracer.values.lists import ListValue
from tracer.values.native_words import UNKNOWN_KEYWORD
from tracer.values.protocols.attribute_writes import generic_set_attribute
from tracer.values.protocols.attributes import get_attribute
from tracer.values.raising import initialise, throw


def _init(trace: Trace, item: ExceptionValue, /, *args: Item, **kwargs: Item) -> None:
    """`__init__` of a builtin exception class."""
    if item.object is not MISSING:
        trace.stop(EXCEPTION_STATE, f"{item.cls.__name__}.__init__ of an exception from outside")
    if fields_of(item.cls, NATIVE_FIELDS):
        return
    names = fields_of(item.cls, KEYWORD_FIELDS)
    for name, value in kwargs.items():
        if not names:
            throw(trace, TypeError, f"{item.cls.__name__}() takes no keyword arguments")
        if name not in names:
            if len(kwargs) > len(names):
                trace.stop(UNSUPPORTED_CALL, f"{item.cls.__name__}() with {len(kwargs)} keywords")
            base = next(base for base, _ in KEYWORD_FIELDS if issubclass(item.cls, base))
            throw(trace, TypeError, UNKNOWN_KEYWORD.format(name=name, owner=base.__name__))
        item.keep_field(name, value)
    initialise(item, args)


def _new(function: Any) -> Any:
    return lambda trace, cls, *args, **kwargs: allocate(trace, cls, function, args, kwargs)


for _cls in vars(builtins).values():
    if isinstance(_cls, type) and issubclass(_cls, BaseException):
        if _cls.__init__ not in ROWS:
            lookaside(_cls.__init__)(_init)
        if _cls.__new__ not in ROWS:
            lookaside(_cls.__new__)(_new(_cls.__new__))


@lookaside(BaseException.with_traceback)
def _with_traceback(trace: Trace, item: ExceptionValue, traceback: Item) -> Item:
    generic_set_attribute(trace, item, "__traceback__", traceback)
    return item


@lookaside(BaseException.add_note)
def _add_note(trace: Trace, item: ExceptionValue, note: Item) -> None:
    if not isinstance(note, str):
        throw(trace, TypeError, f"note must be a str, not '{class_name(note)}'")
    notes = item.instance_attribute(trace, "__notes__")
    if notes is MISSING:
        notes = ListValue(list)
        generic_set_attribute(trace, item, "__notes__", notes)
    call(trace, get_attribute(trace, notes, "append"), [note])
