"""Letting go of a variable or of what is on the stack: where that may end an object whose end shows, the graph breaks.

What a frame was given is held by the frame alone, as far as the trace can know. Nothing here knows how the instruction
that lets go of it is then run.
"""

from __future__ import annotations

from tracer.interpret.frame import ExcInfoEntry, Frame
from tracer.interpret.trace import Running
from tracer.reasons import VISIBLE_END
from tracer.values.base import MISSING, Lazy, Value
from tracer.values.item import Item
from tracer.values.lifetimes import ends_visibly


def let_go(frame: Frame, item: Item) -> None:
    """Break the graph if `item`, which a slot or the stack of `frame` is about to lose, may end there visibly."""
    if not isinstance(item, Value) or item.source is None:
        return
    if item.source.accessor != "argument" or (obj := _real(item)) is MISSING:
        return
    if _holders(frame, obj) > 1:
        return
    if type(item) is Lazy and item.known is MISSING:
        frame.trace.guard(item.source, "type", type(obj))
    if ends_visibly(obj):
        frame.trace.stop(VISIBLE_END, type(obj).__name__)


def _real(item: Item) -> object:
    """The object from outside that an item stands for, MISSING for others."""
    return getattr(item, "object", MISSING) if isinstance(item, Value) else MISSING


def _holders(frame: Running | None, obj: object) -> int:
    """How many slots, and places on the stack, of the running frames hold an object."""
    count = 0
    while frame is not None:
        assert isinstance(frame, Frame)
        held = [item.now if type(item) is ExcInfoEntry else item for item in (*frame.slots, *frame.stack)]
        count += sum(_real(item) is obj for item in held)
        frame = frame.caller
    return count
