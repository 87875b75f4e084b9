"""The registry of kinds of value: what every kind must answer, and the answers, by exact type.

    wraps           the real types that it stands for, and how one from outside becomes an item
    parts           what it holds, as far as making it again takes no more than storing that
    constant        a real object equal to it, for CPython to compute with
    graph_argument  what an operator is given for it
    rebuild         an expression that makes it in a residual program

A kind is one file that registers itself here; tracer/values/__init__.py lists the files. A kind that has no answer
to a question says so (`BORN`, `no_parts`, `no_constant`, `no_graph_argument`, `no_rebuild`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from tracer.guards.source import Source
from tracer.reasons import UNSUPPORTED_OPERATION
from tracer.values.base import Lazy, Value
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.item import Item
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable

Wrapper = Callable[[Context, Any, Source], Item]
"""Makes the item for an object from outside, and adds the guard that makes this kind a safe assumption."""


@dataclass(frozen=True)
class Wraps:
    """How real objects become a kind's items: by exact type, or as instances of a subclass of a type."""

    exactly: Mapping[Any, Wrapper] = field(default_factory=dict[Any, Wrapper])
    subclasses: Mapping[Any, Wrapper] = field(default_factory=dict[Any, Wrapper])


BORN: Final = Wraps()
"""Of kinds that only the trace makes."""


@dataclass(frozen=True)
class Kind:
    """The answers of one kind. All are functions of the item; `instances` is described at concrete.concrete."""

    wraps: Wraps
    parts: Callable[[Any], Iterable[Item]]
    constant: Callable[[Context, Any, bool], Any]
    graph_argument: Callable[[GraphArguments, Any], GraphArgument]
    rebuild: Callable[[Emitter, Any], Fragment]


KINDS: Final[dict[type, Kind]] = {}
"""Class of an item to its kind; `object` stands for all raw objects that are not listed."""

WRAPPERS: Final[dict[type, Wrapper]] = {}
"""Exact type of a real object to what wraps it."""

SUBCLASS_WRAPPERS: Final[dict[type, Wrapper]] = {}
"""Base class to what wraps an instance of a subclass."""


def register(kind: Kind, *classes: type) -> None:
    """Enter a kind for items of each of `classes`; a class has one kind, and a real type one wrapper."""
    for cls in classes:
        assert cls not in KINDS, f"{cls.__name__} has two kinds"
        KINDS[cls] = kind
    for table, rows in ((WRAPPERS, kind.wraps.exactly), (SUBCLASS_WRAPPERS, kind.wraps.subclasses)):
        for cls, wrapper in rows.items():
            assert cls not in table, f"{cls.__name__} is wrapped in two ways"
            table[cls] = wrapper


def kind_of(item: Item) -> Kind:
    """The kind of an item. Raises KeyError for a value of a class that is not registered."""
    kind = KINDS.get(type(item))
    if kind is None:
        kind = KINDS[type(item) if isinstance(item, Value) else object]
    return kind


class NotConcrete(Exception):
    """The item holds a tensor, a symbol, or an object whose state only the trace knows."""


def no_parts(item: Item) -> tuple[Item, ...]:
    """Nothing, or nothing that may be incomplete when the item is made."""
    return ()


def no_constant(context: Context, item: Item, instances: bool) -> NoReturn:
    """No real object is equal to the item."""
    raise NotConcrete


def no_graph_argument(arguments: GraphArguments, item: Item) -> NoReturn:
    """Operators do not take it."""
    arguments.context.stop(UNSUPPORTED_OPERATION, f"an operator is given a {item.cls.__name__}")


def no_rebuild(emitter: Emitter, item: Item) -> NoReturn:
    """No statements make it again."""
    raise Unrebuildable(f"a {item.cls.__name__}", getattr(item, "birth", None))


def remember(context: Context, value: Any) -> Any:
    """Note a value from outside, so that its object gives the same value when it is met again."""
    context.known[id(value.object)] = value
    return value


def contains_itself(value: Value) -> bool:
    """Whether a value born in the trace can be reached from itself."""
    return any(part is value for part in reachable(value))


def reachable(value: Value) -> Iterator[Value]:
    """The values that building `value` needs, and those that building these needs, each once."""
    seen: set[int] = set()
    waiting = parts_of(value)
    while waiting:
        part = waiting.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting += parts_of(part)


def parts_of(value: Value) -> list[Value]:
    """The values that building `value` needs, of those that must be built themselves."""
    if value.source is not None:
        return []
    parts = [part.known if type(part) is Lazy else part for part in kind_of(value).parts(value)]
    parts += [inner for part in parts if type(part) is tuple for inner in part]
    return [part for part in parts if isinstance(part, Value)]
