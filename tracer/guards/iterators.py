"""What an iterator of CPython's would give next, read without advancing it.

The iterators are those over builtin containers, ranges and strings, and what `enumerate` and `zip` make of such. A copy
is advanced in the place of the iterator; those that iterators share are copied once.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from tracer.guards.words import shown

SEQUENCES: tuple[Any, ...] = ([], (), "", b"", range(0), range(2**70))
SEQUENCE_ITERATORS = frozenset(type(iter(sequence)) for sequence in SEQUENCES) | {reversed, type(reversed([]))}
"""Iterators whose copy is at the same place of the same sequence."""

TABLE_ITERATORS = frozenset(
    type(iterator)
    for iterator in (
        *(iter({}), iter({}.values()), iter({}.items()), iter(set()), iter(OrderedDict())),
        *(reversed({}), reversed({}.values()), reversed({}.items())),
    )
)
"""Iterators over dicts and sets, which tell what is left."""

NESTING_ITERATORS = frozenset((enumerate, zip))
KNOWN_ITERATORS = SEQUENCE_ITERATORS | TABLE_ITERATORS | NESTING_ITERATORS


class UnknownIterator(LookupError):
    """An iterator whose items cannot be read in advance: its class, or a table that has changed its size, is why."""


def leaves(iterator: Any) -> list[Any]:
    """The iterators that an iterator takes its items from in the end: itself, if it is over a container."""
    if type(iterator) not in NESTING_ITERATORS:
        return [iterator]
    return [leaf for inner in _inner(iterator) for leaf in leaves(inner)]


def leaf(iterator: Any, index: int) -> Any:
    """One of the `leaves`."""
    return leaves(iterator)[index]


def form(iterator: Any) -> str:
    """The classes of an iterator and of those inside it: `enumerate(list_iterator)`. Raises UnknownIterator."""
    kind = type(iterator)
    if kind in NESTING_ITERATORS:
        strict = " strict" if kind is zip and _is_strict(iterator) else ""
        return f"{kind.__name__}({', '.join(map(form, _inner(iterator)))}){strict}"
    if kind not in KNOWN_ITERATORS or (kind is reversed and not _is_over_builtin(iterator)):
        raise UnknownIterator(kind.__name__)
    return kind.__name__


def upcoming(iterator: Any, place: int) -> Any:
    """The item that an iterator gives after `place` others. Raises UnknownIterator if there is none."""
    ahead = _copied(iterator, {})
    try:
        for _ in range(place):
            next(ahead)
        return next(ahead)
    except StopIteration:
        raise UnknownIterator(place) from None
    except (RuntimeError, ValueError) as error:  # a dict that has changed its size; zip(strict=True)
        raise UnknownIterator(str(error)) from None


def has_upcoming(iterator: Any, place: int) -> bool:
    """Whether an iterator gives more than `place` items."""
    ahead = _copied(iterator, {})
    try:
        for _ in range(place + 1):
            next(ahead)
    except StopIteration:
        return False
    except (RuntimeError, ValueError) as error:
        raise UnknownIterator(str(error)) from None
    return True


def _inner(iterator: Any) -> tuple[Any, ...]:
    arguments = iterator.__reduce__()[1]
    return arguments if type(iterator) is zip else arguments[:1]


def _is_over_builtin(iterator: Any) -> bool:
    """Whether `reversed` made an iterator that runs no code of the program."""
    return type(iterator.__reduce__()[1][0]) in (tuple, str, bytes)


BUILTIN_CONTAINERS = frozenset({list, tuple, str, bytes, range, dict, set, frozenset, OrderedDict})


def is_over_builtin(leaf: Any) -> bool:
    """Whether a leaf takes its items from a container of CPython's own class, or has given them all: a copy of it then
    runs no code of the program.
    """
    kind = type(leaf)
    if kind not in SEQUENCE_ITERATORS | TABLE_ITERATORS:
        return False
    return kind in TABLE_ITERATORS or type(leaf.__reduce__()[1][0]) in BUILTIN_CONTAINERS


def _is_strict(iterator: Any) -> bool:
    return len(iterator.__reduce__()) > 2


def _copied(iterator: Any, copies: dict[int, Iterator[Any]]) -> Iterator[Any]:
    """A copy that is advanced without the iterator; `copies` has those of the iterators met before."""
    ahead = copies.get(id(iterator))
    if ahead is None:
        ahead = copies[id(iterator)] = _copy(iterator, copies)
    return ahead


def _copy(iterator: Any, copies: dict[int, Iterator[Any]]) -> Iterator[Any]:
    kind = type(iterator)
    if kind in SEQUENCE_ITERATORS and (kind is not reversed or _is_over_builtin(iterator)):
        return copy.copy(iterator)
    if kind in TABLE_ITERATORS:
        try:
            return iter(iterator.__reduce__()[1][0])
        except RuntimeError as error:
            raise UnknownIterator(str(error)) from None
    if kind is enumerate:
        inner, count = iterator.__reduce__()[1]
        return enumerate(_copied(inner, copies), count)
    if kind is zip:
        return zip(*[_copied(inner, copies) for inner in _inner(iterator)], strict=_is_strict(iterator))
    raise UnknownIterator(kind.__name__)


def place_words(base: str, place: int) -> str:
    """An item to come as a person reads it: `next(it)`, `next(it) after 2 others`."""
    return f"next({base})" if not place else f"next({base}) after {shown(place)} others"
