"""Functions that the traced program hands to `torch.compile`: called here, they are what they compile."""

from __future__ import annotations

import types

import torch

from tracer.values.base import UNREAD
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, register
from tracer.values.objects import ObjectValue, object_parts, say_attributes
from tracer.values.rebuilding import Emitter, Fragment, fragment, listed


class CompiledFunction(ObjectValue):
    """`torch.compile(function, **keywords)`. One that leaves the program is made by each run."""

    __slots__ = ("function", "keywords")

    def __init__(self, function: Item, keywords: dict[str, Item]) -> None:
        super().__init__(types.FunctionType)
        self.function = function
        self.keywords = keywords

    def member(self, context: Context, name: str) -> Item:
        """What torch.compile keeps of the function."""
        return self.function if name in ("_torchdynamo_orig_callable", "__wrapped__") else UNREAD


def _rebuild(emitter: Emitter, value: CompiledFunction) -> Fragment:
    named = [fragment(f"{name}={{}}", emitter.expression(item)) for name, item in value.keywords.items()]
    parts = listed([emitter.expression(value.function), *named])
    name = emitter.assign("compiled", fragment("{}({})", emitter.constant(torch.compile), parts))
    emitter.bind(value, name)
    say_attributes(emitter, name, value)
    return name


register(
    Kind(
        BORN,
        lambda value: [value.function, *value.keywords.values(), *object_parts(value)],
        no_constant,
        no_graph_argument,
        _rebuild,
    ),
    CompiledFunction,
)
