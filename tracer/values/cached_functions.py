"""Functions behind functools.lru_cache that the traced program makes: each run's cache begins empty.

What a call gives for arguments that it was given before is known. One from outside is in tracer/interpret/memoised.py.
"""

from __future__ import annotations

import functools
from typing import Any, Final

from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import UNREAD
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, register
from tracer.values.objects import ObjectValue, object_parts, say_attributes
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable, fragment, items_of, named_class

WRAPPER: Final[Any] = functools._lru_cache_wrapper


class CachedFunction(ObjectValue):
    """`function` with its cache: `results` by key, the one used last at the end. `most` is how many it keeps, None for
    all; `birth` is the step that made it.
    """

    __slots__ = ("arguments", "birth", "function", "most", "results", "typed")

    def __init__(self, function: Item, most: int | None, typed: bool, arguments: list[Item], birth: int) -> None:
        super().__init__(WRAPPER)
        self.function = function
        self.most = most
        self.typed = typed
        self.arguments = arguments
        self.birth = birth
        self.results: dict[Item, Item] = {}

    def keep(self, context: Context, key: Item, result: Item) -> None:
        """Keep the result of a call as that used last, and drop the one used longest ago if there are too many."""
        context.effects.record(self)
        self.results.pop(key, None)
        self.results[key] = result
        if self.most is not None and len(self.results) > self.most:
            del self.results[next(iter(self.results))]

    def member(self, context: Context, name: str) -> Item:
        """Nothing that C keeps can be read: what functools adds are attributes."""
        return UNREAD


def _rebuild(emitter: Emitter, value: CachedFunction) -> Fragment:
    if value.results:
        raise Unrebuildable("a function whose calls are cached", value.birth, UNSUPPORTED_CALL)
    parts = items_of(emitter, (value.function, *value.arguments))
    name = emitter.assign("cached", fragment("{}({})", named_class(emitter, WRAPPER), parts))
    emitter.bind(value, name)
    say_attributes(emitter, name, value)
    return name


register(
    Kind(
        BORN,
        lambda value: [value.function, *value.arguments, *value.results.values(), *object_parts(value)],
        no_constant,
        no_graph_argument,
        _rebuild,
    ),
    CachedFunction,
)
