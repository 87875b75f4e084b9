"""Iterators from outside over builtin containers: what they give is read ahead, and they are advanced behind the graph.

Another call is answered by the same capture wherever the iterator stands, as long as it gives as many items; of the
items themselves only what is used is guarded. So a loop that breaks in each turn has its body captured once.
"""

from __future__ import annotations

import gc
from typing import Any

from tracer.guards.iterators import KNOWN_ITERATORS, UnknownIterator, form, has_upcoming, leaves, upcoming
from tracer.guards.source import Source
from tracer.reasons import UNSUPPORTED_ITERATOR
from tracer.values.base import Lazy
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.iterators import END, IteratorValue, iterator_graph_argument
from tracer.values.kinds import SUBCLASS_WRAPPERS, Kind, Wraps, no_constant, no_parts, register, remember
from tracer.values.rebuilding import Emitter, Fragment

READ_AHEAD = 32
"""Items that one capture takes from an iterator: each is read anew from where the iterator stands."""


class OutsideIterator(IteratorValue):
    """An iterator that existed before the call. `taken` counts the items that the trace has asked for."""

    __slots__ = ("ended", "leaves", "object", "taken")

    def __init__(self, context: Context, source: Source, obj: Any) -> None:
        super().__init__(context, type(obj))
        self.source = source
        self.object = obj
        self.leaves = leaves(obj)
        self.taken = 0
        self.ended = False

    def next(self, context: Context) -> Item:
        self._check_unchanged(context)
        if self.ended and self.cls is not zip:
            return END
        if self.ended or self.taken >= READ_AHEAD:
            context.stop(UNSUPPORTED_ITERATOR, self.cls.__name__)
        assert self.source is not None
        place = self.taken
        try:
            there_is_one = has_upcoming(self.object, place)
            item = upcoming(self.object, place) if there_is_one else END
        except UnknownIterator as error:
            context.stop(UNSUPPORTED_ITERATOR, f"{self.cls.__name__}: {error}")
        context.guard(self.source.child("has upcoming", place), "equal", there_is_one)
        self.taken += 1
        self.ended = not there_is_one
        context.effects.record(self)
        return Lazy(item, self.source.child("upcoming", place)) if there_is_one else END

    def _check_unchanged(self, context: Context) -> None:
        """A break where the trace has changed what the iterator is over, or another takes its items from the same."""
        for other in context.known.values():
            if isinstance(other, OutsideIterator) and other is not self:
                self._keep_apart(context, other)
        for leaf in self.leaves:
            for container in gc.get_referents(leaf):
                value = context.known.get(id(container))
                if getattr(value, "changed", False) or id(container) in context.effects.stored:
                    context.stop(UNSUPPORTED_ITERATOR, f"a {type(container).__name__} that has changed is iterated")

    def _keep_apart(self, context: Context, other: OutsideIterator) -> None:
        for index, leaf in enumerate(self.leaves):
            for place, another in enumerate(other.leaves):
                if leaf is another:
                    context.stop(UNSUPPORTED_ITERATOR, "two iterators that take their items from a third")
                context.guard(self.path_of_leaf(index), "not same as", other.path_of_leaf(place))

    def path_of_leaf(self, index: int) -> Source:
        """The path to one of `leaves`."""
        assert self.source is not None
        return self.source if self.leaves[index] is self.object else self.source.child("leaf", index)


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    try:
        words = form(obj)
    except UnknownIterator:
        return SUBCLASS_WRAPPERS[object](context, obj, source)
    context.guard(source, "type", type(obj))
    context.guard(source.child("form"), "equal", words)
    return remember(context, OutsideIterator(context, source, obj))


def _rebuild(emitter: Emitter, value: OutsideIterator) -> Fragment:
    assert value.source is not None
    return emitter.parameter(value.source)


register(
    Kind(
        wraps=Wraps(exactly=dict.fromkeys(KNOWN_ITERATORS, _wrap)),
        parts=no_parts,
        constant=no_constant,
        graph_argument=iterator_graph_argument,
        rebuild=_rebuild,
    ),
    OutsideIterator,
)
