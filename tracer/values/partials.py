"""Partial applications: `functools.partial` objects."""

from __future__ import annotations

import functools
from typing import Any

from tracer.guards.source import Source
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import MISSING, UNREAD
from tracer.values.context import Context
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, no_graph_argument, register, remember
from tracer.values.objects import ObjectValue, build_instance, has_state_of_its_own, object_constant, object_parts
from tracer.values.rebuilding import Emitter, Fragment, fragment, listed, named_class, pairs_of
from tracer.values.tuples import make_tuple


class PartialValue(ObjectValue):
    """`functools.partial(function, *arguments, **keywords)`.

    `keywords` is a dict that the program may change, and has: `is_shared` says that it has asked for it.
    """

    __slots__ = ("args", "arguments", "function", "is_shared", "keywords")

    def __init__(
        self,
        cls: type,
        function: Item,
        arguments: list[Item],
        keywords: DictValue,
        source: Source | None = None,
        obj: object = MISSING,
    ) -> None:
        super().__init__(cls, source, obj)
        self.function = function
        self.arguments = arguments
        self.keywords = keywords
        self.args: Item = UNREAD
        self.is_shared = False

    def named(self, context: Context) -> dict[str, Item]:
        """The keyword arguments that it holds now."""
        items = self.keywords.all(context)
        if any(type(name) is not str for name in items):
            context.stop(UNSUPPORTED_CALL, "a keyword argument of a partial is named by no string")
        return items  # type: ignore[return-value]

    def member(self, context: Context, name: str) -> Item:
        """`func`, `args` or `keywords` of one that the program has made: always the same objects."""
        if name == "func":
            return self.function
        if name == "keywords":
            self.is_shared = True
            return self.keywords
        if name != "args":
            return UNREAD
        if self.args is UNREAD:
            self.args = make_tuple(self.arguments)
        return self.args


def sharing(partial: functools.partial[Any], keywords: dict[str, Any]) -> functools.partial[Any]:
    """`partial`, which holds the very dict `keywords` from now on."""
    set_state: Any = vars(functools.partial)["__setstate__"]
    set_state(partial, (partial.func, partial.args, keywords, None))
    return partial


def _wrap(context: Context, obj: functools.partial[Any], source: Source) -> Item:
    context.guard(source, "type", type(obj))
    function = context.wrap(obj.func, source.child("getattr", "func"))
    args_source, keywords_source = source.child("getattr", "args"), source.child("getattr", "keywords")
    context.guard(args_source, "length", len(obj.args))
    arguments = [context.wrap(arg, args_source.child("index", i)) for i, arg in enumerate(obj.args)]
    keywords = context.wrap(obj.keywords, keywords_source)
    assert isinstance(keywords, DictValue)
    return remember(context, PartialValue(type(obj), function, arguments, keywords, source, obj))


def _parts(value: PartialValue) -> list[Item]:
    return [value.function, *value.arguments, value.keywords, *object_parts(value)]


def _rebuild(emitter: Emitter, value: PartialValue) -> Fragment:
    arguments = [emitter.expression(value.function), *(emitter.expression(part) for part in value.arguments)]
    if value.keywords.items and not value.is_shared:
        arguments.append(fragment("**{{{}}}", pairs_of(emitter, value.keywords.items)))
    partial = named_class(emitter, functools.partial)
    is_plain = value.cls is functools.partial and not has_state_of_its_own(value)
    if is_plain:
        new = fragment("{}({})", partial, listed(arguments))
    else:
        new = fragment("{}.__new__({}, {})", partial, named_class(emitter, value.cls), listed(arguments))
    if value.is_shared:
        new = fragment("{}({}, {})", emitter.constant(sharing), new, emitter.expression(value.keywords))
    if is_plain:
        return emitter.assign("partial", new)
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
