"""Immutable callables that C makes: `operator.itemgetter`, `attrgetter` and `methodcaller`, and keys to compare by.

One whose arguments are constants is a raw object. Here are those that hold what only the trace knows.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Final

from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, register
from tracer.values.objects import ObjectValue, build_instance, object_parts
from tracer.values.rebuilding import Emitter, Fragment, fragment, listed, named_class, pairs_of

GETTERS: Final = (operator.itemgetter, operator.attrgetter, operator.methodcaller)

COMPARISON_KEY: Final[type] = type(functools.cmp_to_key(lambda left, right: 0))
"""The class of what `functools.cmp_to_key` returns, and of what a call of that returns."""


class GetterValue(ObjectValue):
    """`cls(*arguments, **keywords)`, of a class in GETTERS."""

    __slots__ = ("arguments", "keywords")

    def __init__(self, cls: type, arguments: Sequence[Item], keywords: Mapping[str, Item]) -> None:
        super().__init__(cls)
        self.arguments = arguments
        self.keywords = keywords


class ComparisonKey(ObjectValue):
    """What `functools.cmp_to_key(comparison)` returns. A key made of an object by a call of that has it as `obj`."""

    __slots__ = ("comparison",)

    def __init__(self, comparison: Item) -> None:
        super().__init__(COMPARISON_KEY)
        self.comparison = comparison


def _getter_parts(value: GetterValue) -> list[Item]:
    return [*value.arguments, *value.keywords.values()]


def _rebuild_getter(emitter: Emitter, value: GetterValue) -> Fragment:
    arguments = [emitter.expression(part) for part in value.arguments]
    if value.keywords:
        arguments.append(fragment("**{{{}}}", pairs_of(emitter, value.keywords)))
    return emitter.assign("getter", fragment("{}({})", named_class(emitter, value.cls), listed(arguments)))


def _key_parts(value: ComparisonKey) -> list[Item]:
    return [value.comparison, *object_parts(value)]


def _rebuild_key(emitter: Emitter, value: ComparisonKey) -> Fragment:
    maker = emitter.constant(functools.cmp_to_key, "cmp_to_key")
    return build_instance(emitter, value, fragment("{}({})", maker, emitter.expression(value.comparison)))


register(
    Kind(
        wraps=BORN,
        parts=_getter_parts,
        constant=no_constant,
        graph_argument=no_graph_argument,
        rebuild=_rebuild_getter,
    ),
    GetterValue,
)
register(
    Kind(wraps=BORN, parts=_key_parts, constant=no_constant, graph_argument=no_graph_argument, rebuild=_rebuild_key),
    ComparisonKey,
)
