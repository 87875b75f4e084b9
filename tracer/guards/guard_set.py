"""The guards of one capture: rows without duplicates, in the order in which the trace added them.

Nothing here evaluates a guard: the native guard program and `explain` read the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tracer.guards.checks import CHECKS
from tracer.guards.source import Source


class Guard(NamedTuple):
    """One fact from outside the frame: its source, the check, the expected value and the user's line that needed it."""

    source: Source | None
    check: str
    expected: Any
    line: Any


_KEYED = frozenset(name for name, check in CHECKS.items() if check.keyed)
assert not any(CHECKS[name].prepare for name in _KEYED), "a key would keep alive what is held weakly"
_PREPARE = {name: check.prepare for name, check in CHECKS.items() if check.prepare}


class GuardSet:
    """Append-only, without duplicates. The user's objects are held weakly, so that guards keep none alive."""

    __slots__ = ("_seen", "rows")

    rows: list[Guard]

    def __init__(self) -> None:
        self.rows = []
        self._seen: set[Any] = set()

    def add(self, source: Source | None, check: str, expected: Any = None, line: Any = None) -> None:
        """Add the guard that `check` of CHECKS finds `expected` at `source`; `line` is the user's line that needs it.

        "type" and "same object" take the class or object itself; "expression" and "state" have no source. A guard that
        is there already keeps its first line.
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

    def repeat(self, source: Source, check: str, expected: Any, line: Any) -> None:
        """Add a guard as `add` does, with what another guard of this set expects."""
        key = (source, check, expected) if check in _KEYED else (source, check)
        if key not in self._seen:
            self._seen.add(key)
            self.rows.append(tuple.__new__(Guard, (source, check, expected, line)))

    def knows(self, source: Source, check: str, expected: Any) -> bool:
        """Whether a guard is there, whatever it expects if a source is checked for it at most once."""
        return ((source, check, expected) if check in _KEYED else (source, check)) in self._seen

    def has(self, source: Source | None, check: str) -> bool:
        """Whether a check that is made of a source at most once is there."""
        return (source, check) in self._seen

    def __iter__(self) -> Iterator[Guard]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
