"""Instances: objects with a class and attributes, from outside or born in the trace.

Attributes written during the trace live in `attributes` and are replayed when it ends; the real
object is only ever read. How an attribute is *found* is in attributes.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracer.guards.source import Source
from tracer.reasons import UNSUPPORTED_OPERATION, GraphBreak
from tracer.values.base import MISSING, UNREAD, Value
from tracer.values.context import Context
from tracer.values.item import Item

if TYPE_CHECKING:
    from types import CodeType


class ObjectValue(Value):
    """An instance. `object` is the real one, MISSING for one born in the trace.

    `attributes` is its dictionary, `fields` what it keeps outside of that: slots and members of C types.
    In both MISSING marks what a real object no longer has. `written` lists the names that were changed,
    in order; True for one that was deleted and then set again, and so comes last in the dictionary.
    One whose class has a `__hash__` of its own carries what that answered once it is a key, and its
    `twin`: an earlier key of the trace that it equals.
    """

    __slots__ = ("attributes", "dictionary", "fields", "hash", "object", "rewritten", "twin", "written")

    def __init__(self, cls: type, source: Source | None = None, obj: object = MISSING) -> None:
        self.cls = cls
        self.source = source
        self.object = obj
        self.attributes: dict[str, Item] = {}
        self.fields: dict[str, Item] | None = None
        self.written: dict[str, bool] = {}
        self.dictionary: Any = None
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
        attributes = self.attributes
        again = item is not MISSING and name in attributes and attributes[name] is MISSING
        if again or (item is MISSING and self.object is MISSING):
            del attributes[name]
        if item is not MISSING or self.object is not MISSING:
            attributes[name] = item
        self._note(context, name, again)

    def field(self, name: str) -> Item:
        """A slot or C member as far as the trace knows it, UNREAD when it does not."""
        return UNREAD if self.fields is None else self.fields.get(name, UNREAD)

    def keep_field(self, name: str, item: Item) -> None:
        """Remember a slot or C member that was read, or that a value is born with."""
        if self.fields is None:
            self.fields = {}
        self.fields[name] = item

    def write_field(self, context: Context, name: str, item: Item) -> None:
        """Set (or with MISSING delete) a slot or C member."""
        self.keep_field(name, item)
        self._note(context, name, False)

    def _note(self, context: Context, name: str, again: bool) -> None:
        if again:
            self.written.pop(name, None)
        self.written[name] = again or self.written.get(name, False)
        context.effects.record(self, name)


class ExceptionValue(ObjectValue):
    """An exception born in the trace, or one that arrived from outside.

    `traceback` lists where it was raised and what it has passed through since, outermost first: (code, line).
    """

    __slots__ = ("arguments", "cause", "handling", "suppress", "traceback")

    def __init__(self, cls: type, arguments: Item = (), source: Source | None = None, obj: object = MISSING) -> None:
        super().__init__(cls, source, obj)
        self.arguments: Item = arguments
        self.cause: Item = None
        self.handling: Item = None
        self.suppress = False
        self.traceback: tuple[tuple[CodeType, int], ...] = ()


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


def arguments_of(value: ExceptionValue) -> list[Item]:
    """What an exception was made with, one by one."""
    return list(value.arguments if isinstance(value.arguments, tuple) else value.arguments.items)
