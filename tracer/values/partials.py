"""Partial applications: `functools.partial` objects."""

from __future__ import annotations

import functools
from typing import Any

from tracer.guards.source import Source
from tracer.values.base import MISSING
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, no_graph_argument, register, remember
from tracer.values.objects import ObjectValue, build_instance, has_state_of_its_own, object_constant, object_parts
from tracer.values.rebuilding import Emitter, Fragment, fragment, listed, named_class, pairs_of


class PartialValue(ObjectValue):
    """`functools.partial(function, *arguments, **keywords)`."""

    __slots__ = ("arguments", "function", "keywords")

    def __init__(
        self,
        cls: type,
        function: Item,
        arguments: list[Item],
        keywords: dict[str, Item],
        source: Source | None = None,
        obj: object = MISSING,
    ) -> None:
        super().__init__(cls, source, obj)
        self.function = function
        self.arguments = arguments
        self.keywords = keywords


def _wrap(context: Context, obj: functools.partial[Any], source: Source) -> Item:
    context.guard(source, "type", type(obj))
    function = context.wrap(obj.func, source.child("getattr", "func"))
    args_source, keywords_source = source.child("getattr", "args"), source.child("getattr", "keywords")
    context.guard(args_source, "length", len(obj.args))
    arguments = [context.wrap(arg, args_source.child("index", i)) for i, arg in enumerate(obj.args)]
    context.guard(keywords_source, "keys", tuple(obj.keywords))
    keywords = {name: context.wrap(arg, keywords_source.child("item", name)) for name, arg in obj.keywords.items()}
    return remember(context, PartialValue(type(obj), function, arguments, keywords, source, obj))


def _parts(value: PartialValue) -> list[Item]:
    return [value.function, *value.arguments, *value.keywords.values(), *object_parts(value)]


def _rebuild(emitter: Emitter, value: PartialValue) -> Fragment:
    arguments = [emitter.expression(value.function), *(emitter.expression(part) for part in value.arguments)]
    if value.keywords:
        arguments.append(fragment("**{{{}}}", pairs_of(emitter, value.keywords)))
    partial = named_class(emitter, functools.partial)
    if value.cls is functools.partial and not has_state_of_its_own(value):
        return emitter.assign("partial", fragment("{}({})", partial, listed(arguments)))
    new = fragment("{}.__new__({}, {})", partial, named_class(emitter, value.cls), listed(arguments))
    return build_instance(emitter, value, new)


register(
    Kind(
        wraps=Wraps(exactly={functools.partial: _wrap}, subclasses={functools.partial: _wrap}),
        parts=_parts,
        constant=object_constant,
        graph_argument=no_graph_argument,
        rebuild=_rebuild,
    ),
    PartialValue,
)
