"""Python functions: those that the traced program makes, and those from outside that are not known by identity.

Most functions from outside are raw objects, known by identity.
"""

from __future__ import annotations

import types

from tracer.guards.source import Source
from tracer.values.cells import CellValue, fill_cell
from tracer.values.context import Context
from tracer.values.identities import identity
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, Wraps, no_constant, no_graph_argument, no_rebuild, register, remember
from tracer.values.objects import ObjectValue, object_constant, object_parts, own_attributes
from tracer.values.rebuilding import Emitter, Fragment, fragment, listed, literal, pairs_of, tuple_of_items


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


def _rebuild(emitter: Emitter, value: FunctionValue) -> Fragment:
    code = emitter.constant(value.code, f"code_of_{value.name}")
    space = emitter.constant(value.globals, "globals_")
    name = emitter.fresh(value.name)
    emitter.bind(value, name)
    cells = tuple_of_items(emitter, value.closure)
    defaults = tuple_of_items(emitter, value.defaults) if value.defaults else literal(None)
    maker = emitter.constant(types.FunctionType, "FunctionType")
    parts = [code, space, literal(value.name), defaults, cells if value.closure else literal(None)]
    emitter.assign_to(name, fragment("{}({})", maker, listed(parts)))
    for cell in value.closure:
        fill_cell(emitter, cell)
    if value.keyword_defaults:
        emitter.say(fragment("{}.__kwdefaults__ = {{{}}}", name, pairs_of(emitter, value.keyword_defaults)))
    if value.annotations is not None and value.annotations.items:
        emitter.say(fragment("{}.__annotations__ = {}", name, emitter.expression(value.annotations)))
    for attribute, item in own_attributes(value):
        emitter.say(fragment("{}.{} = {}", name, Fragment(attribute), emitter.expression(item)))
    return name


register(
    Kind(wraps=BORN, parts=_parts, constant=no_constant, graph_argument=no_graph_argument, rebuild=_rebuild),
    FunctionValue,
)
register(
    Kind(
        wraps=Wraps(exactly={types.FunctionType: _wrap}),
        parts=object_parts,
        constant=object_constant,
        graph_argument=no_graph_argument,
        rebuild=no_rebuild,
    ),
    NestedFunction,
)
