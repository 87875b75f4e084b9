"""Closure cells."""

from __future__ import annotations

import types
from typing import Any

from tracer.guards.source import Source
from tracer.reasons import UNSUPPORTED_OPERATION
from tracer.values.base import MISSING, Value
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, no_constant, no_graph_argument, register, remember
from tracer.values.rebuilding import Emitter, Fragment, fragment


class CellValue(Value):
    """A closure cell: the real one when it came from outside, else one of ours."""

    __slots__ = ("content", "object", "written")

    def __init__(self, content: Item = MISSING, source: Source | None = None, obj: object = MISSING) -> None:
        super().__init__(types.CellType, source)
        self.content = content
        self.object = obj
        self.written = obj is MISSING

    @property
    def born(self) -> bool:
        """Whether the trace made it."""
        return self.object is MISSING

    def read(self, context: Context) -> Item:
        """What the cell holds, MISSING when it is empty."""
        if self.content is MISSING and not self.written:
            assert self.source is not None
            try:
                content = self.object.cell_contents  # type: ignore[attr-defined]
            except ValueError:
                context.stop(UNSUPPORTED_OPERATION, f"{self.source.text} is not assigned yet")
            self.content = context.wrap(content, self.source.child("contents", None))
        return self.content

    def write(self, context: Context, item: Item) -> None:
        """Put an item into the cell; MISSING empties it."""
        self.content = item
        self.written = True
        context.effects.record(self)


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    return remember(context, CellValue(source=source, obj=obj))


def _parts(value: CellValue) -> tuple[Item, ...]:
    return (value.content,)


def _rebuild(emitter: Emitter, value: CellValue) -> Fragment:
    """An empty cell; its content is put in when the function that closes over it, or what holds it, exists."""
    emitter.later(lambda: fill_cell(emitter, value))
    return emitter.assign("cell", fragment("{}()", emitter.constant(types.CellType, "CellType")))


def fill_cell(emitter: Emitter, cell: CellValue) -> None:
    """Put the content of a cell born in the trace into it, once."""
    if cell.source is None and cell.content is not MISSING and emitter.first_time(cell):
        emitter.after_classes(lambda: _fill(emitter, cell))


def _fill(emitter: Emitter, cell: CellValue) -> None:
    emitter.say(fragment("{}.cell_contents = {}", emitter.expression(cell), emitter.expression(cell.content)))


def cell_expression(emitter: Emitter, cell: CellValue) -> Fragment:
    """A cell with its content, for a continuation's closure."""
    name = emitter.expression(cell)
    fill_cell(emitter, cell)
    return name


register(
    Kind(
        wraps=Wraps(exactly={types.CellType: _wrap}),
        parts=_parts,
        constant=no_constant,
        graph_argument=no_graph_argument,
        rebuild=_rebuild,
    ),
    CellValue,
)
