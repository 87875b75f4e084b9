"""A Hypothesis strategy that writes programs, their arguments and the changes between their calls.

The tables that it draws from are in `templates.py` and `changes.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.changes import CHANGES, concerns
from tests.fuzz.program import Program
from tests.fuzz.templates import ANYTHING, ARGUMENTS, BLOCKS, NUMBERS, RESULTS, SIMPLE, TENSORS

WAYS: dict[str, tuple[Any, ...]] = {
    "backend": ("eager", "aot_eager", "forward"),
    "dynamic": (None, False, True),
    "keep": (True, False),
    "door": ("function", "function", "keywords", "module", "handler", "C"),
    "breaks": ("none", "none", "none", "none", "none", "none", "every other", "everywhere"),
}
"""The ways in which a program is captured and called; see the fields of `Program`."""

_HOLE = re.compile(r"@(T|N|A|V|B|new)\b")


class Writer:
    """Fills templates from draws, and keeps the names of the locals that hold tensors."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        self.tensors = ["x", "y"]
        self.fresh: list[str] = []

    def fill(self, template: str, depth: int) -> str:
        """The template with its holes filled by expressions of at most this depth."""

        def hole(match: re.Match[str]) -> str:
            kind = match[1]
            if kind == "V":
                return self.draw(st.sampled_from(self.tensors))
            if kind == "new":
                if not self.fresh:
                    self.fresh.append(f"t{len(self.tensors)}")
                return self.fresh[0]
            if kind == "B":
                line = template[template.rfind("\n", 0, match.start()) + 1 : match.start()]
                return self.block(depth - 1).replace("\n", "\n" + line)
            return self.expression(kind, depth - 1)

        return _HOLE.sub(hole, template)

    def expression(self, kind: str, depth: int) -> str:
        """An expression for a tensor, a number or anything."""
        table = {"T": TENSORS, "N": NUMBERS, "A": ANYTHING}[kind]
        simple = {"T": 3, "N": 9, "A": 1}[kind]
        return self.fill(self.draw(st.sampled_from(table if depth > 0 else table[:simple])), depth)

    def statement(self, depth: int) -> str:
        """A simple or a compound statement."""
        table = BLOCKS if depth > 0 and self.draw(st.integers(0, 3)) == 3 else SIMPLE
        text = self.fill(self.draw(st.sampled_from(table)), 2 if table is SIMPLE else depth)
        self.tensors += self.fresh
        self.fresh.clear()
        return text

    def block(self, depth: int) -> str:
        """One or two statements."""
        return "\n".join(self.statement(depth) for _ in range(self.draw(st.integers(1, 2))))


def compiles(source: str) -> bool:
    """Whether the source is a program: a local that is global elsewhere, say, is none."""
    try:
        compile(source, "<program>", "exec")
    except SyntaxError:
        return False
    return True


@st.composite
def programs(draw: Callable[[Any], Any], kinds: tuple[str, ...] = tuple(CHANGES), **fixed: Any) -> Program:
    """Programs with their arguments and changes, which are of the `kinds`; `fixed` are fields of each program."""
    writer = Writer(draw)
    statements: list[str] = []
    while len(statements) < 6 and draw(st.integers(0, 3)):  # a draw for each, so that shrinking can leave one out
        statements.append(writer.statement(2))
    statements.append(writer.fill(draw(st.sampled_from(RESULTS)), 2))
    body = "\n".join(statements)
    fields = {
        "arguments": draw(st.sampled_from(ARGUMENTS)),
        "changes": tuple(draw(change_for(body, kinds)) for _ in range(draw(st.integers(1, 3)))),
        **{name: draw(st.sampled_from(choices)) for name, choices in WAYS.items()},
    }
    return Program(body, **{**fields, **fixed})


@st.composite
def change_for(draw: Callable[[Any], Any], body: str, kinds: tuple[str, ...]) -> str:
    """A change of one of the kinds; mostly one that the program may see."""
    rows = CHANGES[draw(st.sampled_from(kinds))]
    concerning = tuple(row for row in rows if concerns(row, body))
    return draw(st.sampled_from(concerning if concerning and draw(st.integers(0, 4)) else rows))
