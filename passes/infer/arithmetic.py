"""Arithmetic: sizes as small formulas over sizes and numbers given, for shapes that no primitive tells.

In the manner of NeuRI (Liu et al., "NeuRI: Diversifying DNN Generation via Inductive Rule Inference", 2023):
formulas are enumerated from small to large, one for each different column of values, and met in the middle:
a target minus, or divided by, one formula is looked up among the others.
"""

from __future__ import annotations

import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from passes.infer.sample import MISSING, Term
from passes.infer.terms import Terms

OPERATIONS: Final[tuple[tuple[str, Callable[[Any, Any], Any], float], ...]] = (
    ("{} * {}", operator.mul, 0.2),
    ("{} + {}", operator.add, 0.2),
    ("{} - {}", operator.sub, 0.3),
    ("{} // {}", operator.floordiv, 0.4),
    ("smaller({}, {})", min, 0.4),
    ("larger({}, {})", max, 0.5),
)
CONSTANTS: Final = (0, 1, 2, 3, 4)
MOST_LEAVES: Final = 36
COMMUTATIVE: Final = frozenset(("{} * {}", "{} + {}", "smaller({}, {})", "larger({}, {})"))

Column = tuple[Any, ...]


class Formulas:
    """The formulas over the integers of a sample on some of its rows, by their values."""

    def __init__(self, terms: Terms, rows: Sequence[int], more: Iterable[Term] = ()) -> None:
        """`more` are integers beside those that all formulas may use."""
        self._rows = rows
        self._one: dict[Column, tuple[str, float]] = {}
        self._alike: dict[Column, list[str]] = defaultdict(list)
        for text, values, cost in (*((each.text, each.values, each.cost) for each in more), *self._leaves(terms)):
            column = tuple(values[row] for row in rows)
            if all(type(value) is int for value in column):
                self._keep(self._one, column, text, cost)
                self._alike[column].append(text)
        for constant in CONSTANTS:
            self._keep(self._one, (constant,) * len(rows), str(constant), 0.8)
        leaves = sorted(self._one.items(), key=lambda item: item[1][1])[:MOST_LEAVES]
        self._leaf_items = leaves
        self._two = dict(self._one)
        for column, text, cost in self._combined(leaves, leaves):
            self._keep(self._two, column, text, cost)

    def _leaves(self, terms: Terms) -> Iterator[tuple[str, Sequence[Any], float]]:
        for term in terms.of("Int"):
            if any(character.isalpha() for character in term.text):
                yield term.text, term.values, 1.0
        for term in terms.of("Ints"):
            if not any(character.isalpha() for character in term.text):
                continue
            for index in (-1, 0, 1, -2, 2, -3, 3):
                values = [
                    value[index] if value is not MISSING and -len(value) <= index < len(value) else MISSING
                    for value in term.values
                ]
                if any(type(value) is int for value in values):
                    yield f"{term.text}[{index}]", values, 1.1 + 0.1 * abs(index)
            yield f"rank({term.text})", [value if value is MISSING else len(value) for value in term.values], 1.4

    def alike(self, target: Sequence[Any]) -> Sequence[str]:
        """All integers given that have these values on the rows."""
        return self._alike.get(tuple(target), ())

    @staticmethod
    def _keep(found: dict[Column, tuple[str, float]], column: Column, text: str, cost: float) -> None:
        if column not in found or cost < found[column][1]:
            found[column] = text, cost

    @staticmethod
    def _combined(
        left: Sequence[tuple[Column, tuple[str, float]]], right: Sequence[tuple[Column, tuple[str, float]]]
    ) -> Iterator[tuple[Column, str, float]]:
        for form, apply, cost in OPERATIONS:
            for one, (text, price) in left:
                for other, (text_other, price_other) in right:
                    if form in COMMUTATIVE and text > text_other:
                        continue
                    try:
                        column = tuple(map(apply, one, other))
                    except ZeroDivisionError:
                        continue
                    joined = form.format(bracketed(text), bracketed(text_other))
                    yield column, joined, price + price_other + cost

    def find(self, target: Sequence[Any]) -> tuple[str, float] | None:
        """The simplest formula with these values on the rows."""
        wanted = tuple(target)
        if wanted in self._two:
            return self._two[wanted]
        best: tuple[str, float] | None = None
        for leaf, (text, cost) in self._leaf_items:
            for form, rest in _UNDONE:
                try:
                    needed = tuple(map(rest, wanted, leaf))
                except ZeroDivisionError:
                    continue
                if None in needed or needed not in self._two:
                    continue
                other, price = self._two[needed]
                if best is None or cost + price + 0.5 < best[1]:
                    best = form.format(bracketed(other), bracketed(text)), cost + price + 0.5
        return best


_ARGUMENTS: Final = re.compile(r"\([^()]*\)")


def bracketed(text: str) -> str:
    """An expression as an operand."""
    return f"({text})" if " " in _ARGUMENTS.sub("", text) else text


# How the other operand is found from a result and one operand.
_UNDONE: Final[tuple[tuple[str, Callable[[Any, Any], Any]], ...]] = (
    ("{} + {}", operator.sub),
    ("{} - {}", operator.add),
    ("{} * {}", lambda result, leaf: result // leaf if leaf and result % leaf == 0 else None),
    ("{1} // {0}", lambda result, leaf: leaf // result if result and leaf and leaf % result == 0 else None),
)
