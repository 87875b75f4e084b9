"""Source text that makes values real again, and what a value may ask of the residual program it is written into.

A fragment of source text knows which names it reads, so that whoever wants to know whether a program uses a name asks
the fragments and never searches text. How a program is put together is in tracer/output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from tracer.guards.source import Source
from tracer.reasons import ESCAPING_GENERATOR, ESCAPING_OBJECT, Reason
from tracer.values.item import Item


class Unrebuildable(Exception):
    """A value of the trace has no expression, or a change no statement.

    `birth` is the root step that made it, None if unknown; `reason` is why the graph breaks there.
    """

    def __init__(self, what: str, birth: int | None = None, reason: Reason = ESCAPING_GENERATOR) -> None:
        super().__init__(what)
        self.what = what
        self.birth = birth
        self.reason = ESCAPING_OBJECT if birth is None else reason


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of source text, and the names that it reads: one entry for each mention.

    The names of Python's builtin functions are not listed: a residual program never assigns to them.
    """

    text: str
    reads: tuple[str, ...] = ()

    def __format__(self, specification: str) -> NoReturn:
        raise TypeError("a fragment in an f-string would lose the names it reads: use `fragment`")


def fragment(template: str, *parts: Fragment) -> Fragment:
    """`template` with each `{}` replaced by a part, as str.format does; it reads what its parts read."""
    text = template.format(*[part.text for part in parts])
    return Fragment(text, tuple(name for part in parts for name in part.reads))


def literal(value: Any) -> Fragment:
    """A value whose repr is an expression for it."""
    return Fragment(repr(value))


def listed(parts: Iterable[Fragment]) -> Fragment:
    """The parts with commas between them: arguments, or what stands inside brackets."""
    parts = list(parts)
    return fragment(", ".join(["{}"] * len(parts)), *parts)


def tuple_of(parts: Iterable[Fragment]) -> Fragment:
    """A tuple of the parts."""
    parts = list(parts)
    return fragment("({},)" if len(parts) == 1 else "({})", listed(parts))


class Emitter(Protocol):
    """A residual program while it is written, as the values that are rebuilt in it see it."""

    def expression(self, item: Item) -> Fragment:
        """An expression for an item; the statements that it needs are emitted first. Raises Unrebuildable."""
        ...

    def constant(self, obj: Any, wish: str = "") -> Fragment:
        """An expression for a raw object: a literal, or a name like `wish` that is bound to it."""
        ...

    def list_members(self, members: Any) -> None:
        """Note that the program lists the members of a set, or of one that is made of it."""
        ...

    def parameter(self, source: Source) -> Fragment:
        """The parameter of the program that holds what `source` leads to."""
        ...

    def fresh(self, wish: str) -> Fragment:
        """A name like `wish` that nothing else has."""
        ...

    def assign(self, wish: str, value: Fragment) -> Fragment:
        """Assign `value` to a fresh variable, and give its name."""
        ...

    def once(self, wish: str, value: Fragment) -> Fragment:
        """An expression for `value`, which is made once: a variable if the program mentions it more often."""
        ...

    def assign_to(self, name: Fragment, value: Fragment) -> None:
        """Assign `value` to the variable `name`."""
        ...

    def say(self, statement: Fragment, comment: str = "") -> None:
        """Emit a statement that assigns to no variable: a call, an attribute or an item that is set."""
        ...

    def bind(self, item: Item, name: Fragment) -> None:
        """From now on `name` is the expression for `item`: what it holds may refer to it while it is being built."""
        ...

    def output(self, value: Any) -> Fragment:
        """The name of a tensor that the graph computes."""
        ...

    def drawn(self, draw: Any) -> Fragment:
        """The name of what the program draws: an entry of the effect log."""
        ...

    def computed(self, number: Any) -> Fragment:
        """The name of a number that the program computes, before its graph unless that is what knows it."""
        ...

    def symbol(self, size: Any) -> Fragment:
        """An expression for a symbolic size, over the sizes that it was read from."""
        ...

    def later(self, fill: Callable[[], None]) -> None:
        """Call `fill` when everything that is being built has been."""
        ...

    def after_classes(self, fill: Callable[[], None]) -> None:
        """Call `fill` when all classes that are being made exist: at once if there is none."""
        ...

    def first_time(self, item: Item) -> bool:
        """Whether this is asked about `item` for the first time: what fills it is emitted once."""
        ...


def items_of(emitter: Emitter, items: Iterable[Item]) -> Fragment:
    """Expressions for items, with commas between them."""
    return listed(emitter.expression(item) for item in items)


def tuple_of_items(emitter: Emitter, items: Iterable[Item]) -> Fragment:
    """An expression for a tuple of items."""
    return tuple_of(emitter.expression(item) for item in items)


def pairs_of(emitter: Emitter, items: Mapping[Item, Item]) -> Fragment:
    """What stands inside the braces of a dict of items."""
    return listed(fragment("{}: {}", emitter.expression(key), emitter.expression(part)) for key, part in items.items())


def named_class(emitter: Emitter, cls: type) -> Fragment:
    """An expression for a class, by its own name if that is free."""
    return emitter.constant(cls, cls.__name__)


def fill_later(emitter: Emitter, value: Item, empty: Fragment, fill: Callable[[Fragment], None]) -> Fragment:
    """A container that contains itself: made empty, and filled when everything else that it needs is made."""
    name = emitter.assign("cycle", empty)
    emitter.bind(value, name)
    emitter.later(lambda: fill(name))
    return name
