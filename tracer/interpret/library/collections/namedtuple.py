"""collections.namedtuple: its fields, which are items of the tuple."""

from __future__ import annotations

from typing import Any

from tracer.interpret.library.builtins.sequences import sequence_opened
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.values.item import Item
from tracer.values.protocols.items import sequence_item
from tracer.values.tuples import TUPLE_FIELD


@lookaside(TUPLE_FIELD.__get__)
def _named_field(trace: Trace, field: Any, instance: Item, owner: Item = None) -> Item:
    position = field.__reduce__()[1][0]
    return field if instance is None else sequence_item(trace, sequence_opened(trace, instance), position)
