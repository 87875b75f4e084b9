"""Calls of a graph as rows, each stretch of them that repeats once: all that a replay needs, without a torch.fx.Graph.

Nothing here knows where the rows come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from backends.repeats import NOT_COMPUTED, Stretch


class CallRow:
    """One input or call: what a replay reads of a torch.fx.Node. `users` says whether anything uses the result."""

    __slots__ = ("args", "kwargs", "name", "op", "target", "users")

    def __init__(self, name: str, op: str = "placeholder") -> None:
        self.name = name
        self.op = op
        self.target: Any = None
        self.args: Sequence[Any] = ()
        self.kwargs: dict[str, Any] = {}
        self.users = False


class Unit(NamedTuple):
    """What a row of rows stands for: a call and the rows that it uses, each once, in the order of its arguments."""

    place: int
    row: CallRow
    uses: Sequence[CallRow]


class Repeated(NamedTuple):
    """A stretch of calls and its repetitions: the number of the first call, the calls of the first stretch, and the
    rows that each repetition takes from elsewhere, in one order.
    """

    start: int
    body: Sequence[Unit]
    inputs: Sequence[Sequence[CallRow]]


class CallRows:
    """A graph as rows: `rows` are its inputs, then its calls; `parts` say what the calls are, in their order; `result`
    are the rows that it returns.
    """

    def __init__(
        self,
        rows: Sequence[CallRow],
        inputs: Sequence[CallRow],
        parts: Sequence[Unit | Repeated],
        result: Sequence[CallRow],
    ) -> None:
        self.rows = rows
        self.inputs = inputs
        self.parts = parts
        self.result = result

    def calls(self) -> tuple[list[Any], list[list[Stretch]]]:
        """Each call with the rows that it uses for the last time, None for the calls of repetitions; and the stretches
        that repeat, as backends.repeats has them.
        """
        first = len(self.inputs)
        calls: list[Any] = [None] * (len(self.rows) - first)
        groups: list[list[Stretch]] = []
        seen = set(self.result)
        for row in self.result:
            row.users = True
        for part in self._uses_outside():
            part.users = True
        for part in reversed(self.parts):
            if isinstance(part, Unit):
                calls[part.place] = part.row, _last(part.uses, seen)
            else:
                groups.append(self._stretches(part, calls, seen))
        groups.reverse()
        return calls, groups

    def _uses_outside(self) -> set[CallRow]:
        """The rows that are used by a call outside of the stretch in which they are computed."""
        used: set[CallRow] = set()
        for part in self.parts:
            for uses in (part.uses,) if isinstance(part, Unit) else part.inputs:
                used.update(uses)
        return used

    def _stretches(self, repeated: Repeated, calls: list[Any], seen: set[CallRow]) -> list[Stretch]:
        """The repetitions of one stretch, after whose end `seen` are used; the calls of the first go into `calls`."""
        start, body, inputs = repeated
        length, first = len(body), len(self.inputs)
        dying = []
        for taken in reversed(inputs):
            dying.append({k for k, row in enumerate(taken) if row not in seen and row.op not in NOT_COMPUTED})
            seen.update(taken)
        dead = set.intersection(*dying)
        rows = [self.rows[first + start + k * length : first + start + (k + 1) * length] for k in range(len(inputs))]
        outputs = [place for place in range(length) if any(each[place].users for each in rows)]
        numbers = {row: k for k, row in enumerate(inputs[0])}
        used = {rows[0][place] for place in outputs}
        used.update(row for row, k in numbers.items() if k not in dead)
        order: list[CallRow] = []
        for unit in reversed(body):
            last = _last(unit.uses, used)
            calls[unit.place] = unit.row, last
            order[:0] = [row for row in last if row in numbers]
        for unit in body:
            for row in unit.uses:
                row.users = True
        return [
            Stretch(
                start + k * length,
                start + (k + 1) * length,
                tuple(taken),
                tuple(rows[k][place] for place in outputs),
                tuple(taken[numbers[row]] for row in order),
                None,
            )
            for k, taken in enumerate(inputs)
        ]


def _last(uses: Sequence[CallRow], seen: set[CallRow]) -> list[CallRow]:
    """The rows of these that are used nowhere after, which from now on are."""
    last = [row for row in uses if row not in seen]
    seen.update(last)
    return last
