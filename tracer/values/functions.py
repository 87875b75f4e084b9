"""Python functions: those that the traced program makes, and those from outside that are not known by identity.

Most functions from outside are raw objects, known by identity.
"""

from __future__ import annotations

import types

from tracer.guards.source import Source
from tracer.values.cells import CellValue
from tracer.values.context import Context
from tracer.values.identities import identity
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, Wraps, no_constant, no_graph_argument, register, remember
from tracer.values.objects import ObjectValue, object_constant, object_parts


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


def _wrap(context: Context, obj: types.FunctionType, source: Source) -> Item:
    if "<locals>" not in obj.__qualname__ or not _comes_with_the_call(source):
        return identity(context, obj, source)
    context.guard(source, "type", types.FunctionType)
    context.guard(source.child("getattr", "__code__"), "same object", obj.__code__)
    return remember(context, NestedFunction(types.FunctionType, source, obj))


def _comes_with_the_call(source: Source) -> bool:
    """Whether a path leads through an argument or a closure: not through globals or an object known by identity."""
    step = source
    while step.base is not None:
        if step.accessor == "cell" and step.base.accessor == "function":
            return True
        step = step.base
    return step.accessor == "argument"


def _parts(value: FunctionValue) -> list[Item]:
    contents = [cell.content for cell in value.closure]
    return [*value.defaults, *value.keyword_defaults.values(), *contents, *object_parts(value)]


register(
    Kind(wraps=BORN, parts=_parts, constant=no_constant, graph_argument=no_graph_argument),
    FunctionValue,
)
register(
    Kind(
        wraps=Wraps(exactly={types.FunctionType: _wrap}),
        parts=object_parts,
        constant=object_constant,
        graph_argument=no_graph_argument,
    ),
    NestedFunction,
)
