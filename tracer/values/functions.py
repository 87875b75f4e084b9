"""Callables and cells born during the trace, and bound methods."""

from __future__ import annotations

import types

from tracer.guards.source import Source
from tracer.reasons import UNSUPPORTED_OPERATION
from tracer.values.base import MISSING, Value
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.objects import ObjectValue


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
        self.content = item
        self.written = True
        if self.object is not MISSING:
            context.effects.record(self)


class FunctionValue(ObjectValue):
    """A function made by the traced program (MAKE_FUNCTION)."""

    __slots__ = ("annotations", "closure", "code", "defaults", "globals", "globals_source", "keyword_defaults", "name")

    def __init__(
        self,
        code: types.CodeType,
        globals: dict[str, object],
        name: str,
        defaults: list[Item],
        keyword_defaults: dict[str, Item],
        closure: tuple[CellValue, ...],
        annotations: Item,
    ) -> None:
        super().__init__(types.FunctionType)
        self.code = code
        self.globals = globals
        self.name = name
        self.defaults = defaults
        self.keyword_defaults = keyword_defaults
        self.closure = closure
        self.annotations = annotations
        self.globals_source: Source | None = None


class NestedFunction(ObjectValue):
    """A function from outside that was made by a function: known by its code and cells, not by identity.

    A new one may come with every call (a closure that crosses a break) or every instance of a class.
    """

    __slots__ = ()

    def pin(self, context: Context) -> types.FunctionType:
        """The function itself, from now on known by identity."""
        function: types.FunctionType = self.object  # type: ignore[assignment]
        assert self.source is not None
        context.guard(self.source, "same object", function)
        return function


class BoundMethod(Value):
    """`function` bound to `instance`; `function` may be a C method descriptor."""

    __slots__ = ("function", "instance")

    def __init__(self, function: Item, instance: Item, source: Source | None = None) -> None:
        self.cls = types.MethodType
        self.source = source
        self.function = function
        self.instance = instance

    def __hash__(self) -> int:
        return hash((id(self.function), id(self.instance)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoundMethod) and self.function is other.function and self.instance is other.instance
