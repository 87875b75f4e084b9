"""The guards of one capture: rows, each asked once, in the order the trace met them.

Nothing here evaluates a guard; rows are read by the native guard program and by `explain`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tracer.guards.checks import CHECKS
from tracer.guards.source import Source


class Guard(NamedTuple):
    """One fact read from outside the frame: where, what was asked, what was found, and for which user line."""

    source: Source | None
    check: str
    expected: Any
    line: Any


_KEYED = frozenset(name for name, check in CHECKS.items() if check.keyed)
assert not any(CHECKS[name].prepare for name in _KEYED), "what is held weakly must not be kept as a key"
_PREPARE = {name: check.prepare for name, check in CHECKS.items() if check.prepare}


class GuardSet:
    """Append-only, without duplicates. Keeps nothing of the user's alive: objects are held weakly."""

    __slots__ = ("_seen", "rows")

    rows: list[Guard]

    def __init__(self) -> None:
        self.rows = []
        self._seen: set[Any] = set()

    def add(self, source: Source | None, check: str, expected: Any = None, line: Any = None) -> None:
        """Rely on `check` of CHECKS finding `expected` at `source`; the first line to ask is remembered.

        "type" and "same object" take the class or object itself; "expression" and "state" have no source.
        """
        key = (source, check, expected) if check in _KEYED else (source, check)
        seen = self._seen
        if key in seen:
            return
        seen.add(key)
        prepare = _PREPARE.get(check)
        if prepare is not None:
            expected = prepare(expected)
        self.rows.append(tuple.__new__(Guard, (source, check, expected, line)))

    def __iter__(self) -> Iterator[Guard]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
