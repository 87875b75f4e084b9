"""The services that values need from whoever runs the trace.

Values never import the interpreter; they are handed this protocol instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from tracer.effects.log import EffectLog
    from tracer.guards.source import Source
    from tracer.reasons import Reason
    from tracer.values.base import Item
    from tracer.values.tensors import TensorValue


class Raised(Exception):
    """A Python exception raised by the traced program; `value` is the exception as an item."""

    def __init__(self, value: Item) -> None:
        super().__init__(value)
        self.value = value


class Context(Protocol):
    """One trace, as values see it."""

    effects: EffectLog
    known: dict[int, Any]

    def guard(self, source: Source | None, check: str, expected: object = None) -> None: ...

    def constant(self, obj: object, source: Source | None) -> Item:
        """`obj` as a raw constant, guarded by equality (or a symbolic size standing for it)."""
        ...

    def wrap(self, obj: object, source: Source) -> Item: ...

    def class_attribute(self, cls: type, name: str) -> Item:
        """What the MRO of `cls` stores under `name`, descriptors unapplied; MISSING when nothing does."""
        ...

    def own_class_attribute(self, cls: type, name: str) -> Item:
        """What `cls` itself stores under `name`."""
        ...

    def forget_class(self, cls: object) -> None:
        """A class was written to: what was remembered of attributes no longer holds."""
        ...

    def reads_on_host(self, value: Any) -> bool:
        """Whether CPython itself may read any attribute of the real object: it never changes."""
        ...

    def host_attribute(self, value: Any, name: str) -> Item: ...

    def settle(self, obj: object, source: Source, name: str) -> Item:
        """The item for an attribute read off an immutable object: raw unless it is something mutable."""
        ...

    def wrap_key(self, key: object, source: Source | None) -> Item: ...

    def born_exception(self, error: BaseException) -> Item: ...

    def truth(self, item: Item) -> bool: ...

    def next_of(self, iterator: Item) -> Item: ...

    def unpack(self, iterable: Item) -> list[Item]: ...

    def same_object(self, left: Any, right: Item) -> bool:
        """Whether two different values stand for one object, as bound methods never do."""
        ...

    def polyfill(self, name: str) -> Any: ...

    def call_until_stop(self, method: Item, args: Sequence[Item]) -> Item:
        """Call; END in the place of a StopIteration."""
        ...

    def tensor_rows(self, value: TensorValue) -> list[Item]: ...

    def tensor_attribute(self, value: TensorValue, name: str, found: Any) -> Item: ...

    def set_tensor_attribute(self, value: TensorValue, name: str, item: Item) -> None: ...

    def call(self, function: Item, args: Sequence[Item], kwargs: Mapping[str, Item] | None = None) -> Item: ...

    def tensor_op(self, target: Any, args: Sequence[Item], kwargs: Mapping[str, Item] | None = None) -> Item: ...

    def tensor_touched(self, value: TensorValue) -> None: ...

    def stop(self, reason: Reason, detail: str = "") -> NoReturn:
        """Break the graph here."""
        ...

    def throw(self, cls: type[BaseException], *args: object, **fields: Item) -> NoReturn:
        """Raise inside the traced program; `fields` are attributes that the exception is born with."""
        ...

    def host(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a pure C function on raw arguments; what it raises is raised in the traced program."""
        ...

    def birth(self) -> int:
        """The step of the root frame now running, at which a value that cannot be rebuilt was made."""
        ...
