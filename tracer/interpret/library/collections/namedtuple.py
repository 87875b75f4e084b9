"""collections.namedtuple: its fields, which are items of the tuple."""

from __future__ import annotations

import collections
from typing import Any

from tracer.interpret.class_creation import made_of_constants
from tracer.interpret.library.builtins.sequences import sequence_opened
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.values.item import Item
from tracer.values.protocols.items import sequence_item
from tracer.values.tuples import TUPLE_FIELD


@lookaside(collections.namedtuple)
def _namedtuple(trace: Trace, typename: Item, field_names: Item, *, module: Item = None, **keywords: Item) -> Item:
    """A class of constants only, so that CPython makes it while tracing; its module is that of the calling frame."""
    frame: Any = trace.frame
    module = frame.globals.get("__name__", "__main__") if module is None else module
    return made_of_constants(trace, collections.namedtuple, [typename, field_names], {**keywords, "module": module})


@lookaside(TUPLE_FIELD.__get__)
def _named_field(trace: Trace, field: Any, instance: Item, owner: Item = None) -> Item:
    position = field.__reduce__()[1][0]
    return field if instance is None else sequence_item(trace, sequence_opened(trace, instance), position)
