"""Constants as JSON, and back: numbers, texts, containers of them, and torch's own constants.

A list is a tag and what belongs to it; everything else stands for itself. What the tags of other tables mean (sources,
objects, nodes, metas) their owners say, who add themselves to a codec.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from passes.meta import torch_names
from tracer.store.errors import BadFile, Unstorable

PLAIN: Final = (type(None), bool, str, float)
INT_LIMIT: Final = 1 << 63
"""Larger ints are written as hexadecimal text, which CPython reads however long it is."""

SEQUENCES: Final[dict[type, str]] = {tuple: "t", list: "l", torch.Size: "size", set: "set", frozenset: "frozenset"}
SEQUENCE_TYPES: Final[dict[str, Callable[[Any], Any]]] = {tag: kind for kind, tag in SEQUENCES.items()}
NAMED: Final[dict[type, dict[Any, str]]] = {
    kind: torch_names(kind) for kind in (torch.dtype, torch.layout, torch.memory_format)
}
BY_NAME: Final = {kind.__name__: {name: value for value, name in names.items()} for kind, names in NAMED.items()}


class ValueWriter:
    """Writes constants. A subclass writes in `other` what it knows besides."""

    def value(self, value: Any) -> Any:
        """`value` as JSON. Raises Unstorable."""
        kind = type(value)
        if kind in PLAIN:
            return value
        if kind is int:
            return value if -INT_LIMIT <= value < INT_LIMIT else ["int", hex(value)]
        tag = SEQUENCES.get(kind)
        if tag is not None:
            parts = list(map(self.value, value))
            return [tag, *(sorted(parts, key=repr) if kind in (set, frozenset) else parts)]
        if kind is dict:
            return ["d", *(part for pair in value.items() for part in map(self.value, pair))]
        if kind is slice:
            return ["slice", *map(self.value, (value.start, value.stop, value.step))]
        if kind is range:
            return ["range", *map(self.value, (value.start, value.stop, value.step))]
        if kind is bytes:
            return ["bytes", value.hex()]
        if kind is complex:
            return ["complex", value.real, value.imag]
        if value is ...:
            return ["..."]
        if kind is torch.device:
            return ["device", str(value)]
        if kind in NAMED and value in NAMED[kind]:
            return [kind.__name__, NAMED[kind][value]]
        return self.other(value)

    def other(self, value: Any) -> Any:
        """What else there is, as JSON. Raises Unstorable."""
        raise Unstorable(f"a constant of type {type(value).__qualname__}", "")


class ValueReader:
    """Reads what a ValueWriter has written. A subclass reads in `other` what it knows besides."""

    def value(self, data: Any) -> Any:
        """The constant. Raises BadFile."""
        if type(data) is not list:
            if type(data) in PLAIN or type(data) is int:
                return data
            raise BadFile(f"a constant is {type(data).__name__}")
        tag, *rest = data if data else [None]
        reader = READERS.get(tag) if type(tag) is str else None
        try:
            return self.other(tag, rest) if reader is None else reader(self, rest)
        except (TypeError, ValueError, KeyError, IndexError, OverflowError, RuntimeError) as error:
            raise BadFile(f"a constant {tag!r}: {error}") from None

    def other(self, tag: Any, rest: list[Any]) -> Any:
        """What else a tag stands for. Raises BadFile."""
        raise BadFile(f"no kind of constant is called {tag!r}")


def _sequence(kind: Callable[[Any], Any]) -> Callable[[ValueReader, list[Any]], Any]:
    return lambda reader, rest: kind(list(map(reader.value, rest)))


def _dict(reader: ValueReader, rest: list[Any]) -> Any:
    return dict(zip(map(reader.value, rest[::2]), map(reader.value, rest[1::2]), strict=True))


def _number(text: Any) -> int:
    return int(_typed(text, str), 16)


def _typed(data: Any, kind: Any) -> Any:
    if type(data) is not kind:
        raise TypeError(f"{kind.__name__} expected, not {type(data).__name__}")
    return data


def _triple(reader: ValueReader, rest: list[Any]) -> Any:
    start, stop, step = map(reader.value, rest)
    return start, stop, step


def _named(kind: str) -> Callable[[ValueReader, list[Any]], Any]:
    return lambda _, rest: BY_NAME[kind][rest[0]]


READERS: Final[dict[str, Callable[[ValueReader, list[Any]], Any]]] = {
    **{tag: _sequence(kind) for tag, kind in SEQUENCE_TYPES.items()},
    **{kind: _named(kind) for kind in BY_NAME},
    "int": lambda _, rest: _number(*rest),
    "d": _dict,
    "slice": lambda reader, rest: slice(*_triple(reader, rest)),
    "range": lambda reader, rest: range(*_triple(reader, rest)),
    "bytes": lambda _, rest: bytes.fromhex(_typed(rest[0], str)),
    "complex": lambda _, rest: complex(_typed(rest[0], float), _typed(rest[1], float)),
    "...": lambda _, rest: ...,
    "device": lambda _, rest: torch.device(_typed(rest[0], str)),
}
