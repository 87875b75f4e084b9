"""Instances: objects with a class and attributes, from outside or born in the trace.

Attributes written during the trace live in `attributes` and are replayed when it ends; the real
object is only ever read. How an attribute is *found* is in attributes.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracer.reasons import UNSUPPORTED_OPERATION, GraphBreak
from tracer.values.base import MISSING, Item, Value

if TYPE_CHECKING:
    from tracer.guards.source import Source
    from tracer.values.context import Context


class ObjectValue(Value):
    """An instance. `object` is the real one, MISSING for one born in the trace.

    One whose class has a `__hash__` of its own carries what that answered once it is a key, and its
    `twin`: an earlier key of the trace that it equals.
    """

    __slots__ = ("attributes", "dictionary", "hash", "object", "rewritten", "twin", "written")

    def __init__(self, cls: type, source: Source | None = None, obj: object = MISSING) -> None:
        self.cls = cls
        self.source = source
        self.object = obj
        self.attributes: dict[str, Item] = {}
        self.written: dict[str, None] = {}
        self.dictionary: ObjectValue | None = None
        self.rewritten = False
        self.hash: int | None = None
        self.twin: ObjectValue | None = None

    def __hash__(self) -> int:
        return id(self) if self.hash is None else self.hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ObjectValue):
            return (self.twin or self) is (other.twin or other)
        if self.hash is not None and not isinstance(other, Value) and hash(other) == self.hash:
            raise GraphBreak(UNSUPPORTED_OPERATION, f"a {self.cls.__name__} that hashes like {other!r} as a key")
        return False

    @property
    def born(self) -> bool:
        return self.object is MISSING

    def write(self, context: Context, name: str, item: Item) -> None:
        """Set (or with MISSING delete) an attribute, as the last step of object.__setattr__."""
        self.attributes[name] = item
        self.written.pop(name, None)
        self.written[name] = None
        context.effects.record(self)


class ExceptionValue(ObjectValue):
    """An exception born in the trace, or one that arrived from outside."""

    __slots__ = ("arguments", "cause", "handling", "raised", "suppress")

    def __init__(self, cls: type, arguments: Item = (), source: Source | None = None, obj: object = MISSING) -> None:
        super().__init__(cls, source, obj)
        self.arguments: Item = arguments
        self.cause: Item = None
        self.handling: Item = None
        self.suppress = False
        self.raised = False


class SuperValue(Value):
    """`super(start, instance)`; `owner` is the class whose MRO is searched."""

    __slots__ = ("instance", "owner", "start")

    def __init__(self, start: type, instance: Item, owner: type) -> None:
        super().__init__(super)
        self.start = start
        self.instance = instance
        self.owner = owner


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
