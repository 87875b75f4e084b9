"""Letting go of what a frame was handed over: where the frame loses an object whose end shows, the graph breaks.

Such an object stays in a variable or on the stack of the frame that is captured until an instruction takes it from
there; CPython runs that one, so that the object dies, or goes on to live elsewhere, as it does plainly. At the end of
the frame what is left dies in the order of the variables. Nothing here knows how an instruction is run natively.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracer.code.decode import Op
from tracer.interpret.frame import ExcInfoEntry, Frame
from tracer.reasons import VISIBLE_END
from tracer.values.base import MISSING, Value
from tracer.values.cells import CellValue
from tracer.values.item import Item


def keep(frame: Frame, op: Op, watched: Sequence[object]) -> None:
    """Break the graph at `op`, which has just run, if the frame lost one of the `watched` objects."""
    held = held_by(frame)
    for obj in watched:
        if id(obj) not in held:
            frame.index = op.index + 1
            frame.trace.stop(VISIBLE_END, type(obj).__name__)


def held_by(frame: Frame) -> set[int]:
    """The identities of the real objects in a frame's variables and on its stack, and of the one that it returns."""
    return {id(real(item)) for item in items_of(frame)}


def real(item: Item) -> object:
    """The object from outside that an item stands for, MISSING if there is none."""
    if isinstance(item, CellValue):
        return real(item.content)
    return getattr(item, "object", MISSING) if isinstance(item, Value) else item


def items_of(frame: Frame) -> Iterator[Item]:
    """What is in a frame's variables and on its stack, and what it returns."""
    yield frame.result
    yield from frame.slots
    for item in frame.stack:
        if isinstance(item, ExcInfoEntry):
            yield item.before
            yield item.now
        else:
            yield item
