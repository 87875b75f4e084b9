"""Arithmetic: integer formulas over arguments and sizes that have a wanted value on every row.

In the manner of NeuRI (Liu et al., "NeuRI: Diversifying DNN Generation via Inductive Rule Inference", 2023):
formulas of one and two operands are enumerated, one for each different column of values. Longer ones are met in the
middle: one operation is undone on the target, and the rest is looked up among these. Columns are rows of matrices,
so that an operation is tried on all formulas at once.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from passes.infer.search.quantities import quantities
from passes.infer.search.sample import Term
from passes.infer.search.terms import Terms
from passes.rules.language import parsed

Matrix = np.ndarray[Any, np.dtype[np.int64]]
Formula = tuple[str, float]  # a formula and its cost

CEILING: Final = "-(-{} // {})"
OPERATIONS: Final[tuple[tuple[str, Callable[[Matrix, Matrix], Matrix], float], ...]] = (
    ("{} * {}", lambda one, other: one * other, 0.2),
    ("{} + {}", lambda one, other: one + other, 0.2),
    ("{} - {}", lambda one, other: one - other, 0.3),
    ("{} // {}", lambda one, other: one // other, 0.4),
    (CEILING, lambda one, other: -(-one // other), 0.5),
    ("smaller({}, {})", np.minimum, 0.4),
    ("larger({}, {})", np.maximum, 0.5),
)
COMMUTATIVE: Final = frozenset(("{} * {}", "{} + {}", "smaller({}, {})", "larger({}, {})"))
DIVIDING: Final = frozenset(("{} // {}", CEILING))
CONSTANTS: Final = (0, 1, 2, 3, 4)
FACTORS: Final = (2, 3, 4, 8, -1, -2)
DIVISORS: Final = (2, 3, 4, 8, 16, 32, 64, 128, 256)
MOST_LEAVES: Final = 44
LARGEST: Final = 1 << 30  # of numbers in formulas: products of two fit into 64 bits
MOST_DIVISORS: Final = 6  # factors of a target whose cofactors are looked for
MOST_DIFFERENCES: Final = 12  # operands that are taken from a target before a division is looked for
FEWEST_ROWS: Final = 8  # that a formula of more than three operands has to explain,
FEWEST_SIZES: Final = 4  # with so many different results: it would explain fewer by accident


class Operand(NamedTuple):
    """An integer among the arguments, or a constant, with its values."""

    text: str
    values: Matrix
    cost: float


class Formulas:
    """All formulas over the integers of a sample, by their values on some rows."""

    def __init__(self, terms: Terms, rows: Sequence[int], more: Iterable[Term] = ()) -> None:
        """`more` are further integers for the formulas, beside the quantities of the sample."""
        self._rows = rows
        self._alike: dict[bytes, list[str]] = {}
        self._long_formulas: dict[bytes, Formula | None] = {}  # long ones
        self._leaves = self._distinct(terms, more)
        self._texts = [("{}", leaf.text, "") for leaf in self._leaves]
        self._costs = [leaf.cost for leaf in self._leaves]
        self._all, self._index = self._combined(np.stack([leaf.values for leaf in self._leaves]))
        self._few = slice(0, None, max(1, len(rows) // FEWEST_ROWS))  # rows that are looked at first
        self._first = np.ascontiguousarray(self._all[:, self._few])
        self._varies = (self._first != self._first[:, :1]).any(1)

    def _distinct(self, terms: Terms, more: Iterable[Term]) -> list[Operand]:
        """The operands: the simplest of those with the same values, and constants."""
        operands: dict[bytes, Operand] = {}
        offered = [(each.text, each.values, each.cost) for each in more]
        for text, values, cost in (*offered, *quantities(terms)):
            numbers = [values[row] for row in self._rows]
            if all(type(value) is int and abs(value) < LARGEST for value in numbers):
                column = np.array(numbers, np.int64)
                key = column.tobytes()
                if key not in operands or cost < operands[key].cost:
                    operands[key] = Operand(text, column, cost)
                self._alike.setdefault(key, []).append(text)
        for constant in CONSTANTS:
            column = np.full(len(self._rows), constant, np.int64)
            operands.setdefault(column.tobytes(), Operand(str(constant), column, 0.8))
        return sorted(operands.values(), key=lambda operand: operand.cost)[:MOST_LEAVES]

    def _combined(self, leaves: Matrix) -> tuple[Matrix, dict[bytes, int]]:
        """The values of all formulas of one or two operands, and where each column is; the simplest of equal ones."""
        size = len(leaves)
        texts = [leaf.text for leaf in self._leaves]
        ones, others = (axis.ravel() for axis in np.indices((size, size)))
        parts = [leaves]
        for form, apply, price in OPERATIONS:
            fits = ones <= others if form in COMMUTATIVE else np.full(len(ones), True)
            if form in DIVIDING:
                fits &= (leaves != 0).all(1)[others]
            left, right = ones[fits], others[fits]
            parts.append(apply(leaves[left], leaves[right]))
            for one, other in zip(left.tolist(), right.tolist(), strict=True):
                self._texts.append((form, texts[one], texts[other]))
                self._costs.append(self._costs[one] + self._costs[other] + price)
        every = np.concatenate(parts)
        best: dict[bytes, int] = {}
        for number in np.argsort(np.array(self._costs), kind="stable").tolist():
            best.setdefault(every[number].tobytes(), number)
        places = list(best.values())
        self._texts = [self._texts[number] for number in places]
        self._costs = [self._costs[number] for number in places]
        return every[places], {key: place for place, key in enumerate(best)}

    def alike(self, target: Sequence[Any]) -> Sequence[str]:
        """The texts of all integers with these values on the rows."""
        return self._alike.get(np.array(target, np.int64).tobytes(), ())

    def find(self, target: Sequence[Any], deep: bool = False) -> Formula | None:
        """The simplest formula with these values on the rows, or None; of more than three operands only if `deep`."""
        column = np.array(target, np.int64)
        formula = self._short(column)
        if formula is None and deep and len(column) >= FEWEST_ROWS and len(set(target)) >= FEWEST_SIZES:
            key = column.tobytes()
            if key not in self._long_formulas:
                self._long_formulas[key] = min(self._long(column), key=_price, default=None)
            return self._long_formulas[key]
        return formula

    def _written(self, number: int) -> Formula:
        form, one, other = self._texts[number]
        return form.format(bracketed(one), bracketed(other)) if other else one, self._costs[number]

    def _one_or_two(self, target: Matrix) -> Formula | None:
        number = self._index.get(target.tobytes())
        return None if number is None else self._written(number)

    def _short(self, target: Matrix) -> Formula | None:
        """A formula of at most three operands."""
        formula = self._one_or_two(target)
        return formula if formula is not None else min(self._undone(target, self._one_or_two), key=_price, default=None)

    def _undone(self, target: Matrix, find: Callable[[Matrix], Formula | None]) -> Iterator[Formula]:
        """Formulas whose last operation has a single operand on its right (or, of a division, on its left)."""
        for leaf in self._leaves:
            for form, needed in _needed(target, leaf.values):
                other = find(needed)
                if other is not None:
                    yield form.format(bracketed(other[0]), bracketed(leaf.text)), leaf.cost + other[1] + 0.5

    def _long(self, target: Matrix) -> Iterator[Formula]:
        """Formulas of four operands or more, constants among them."""
        yield from self._without_product(target)
        yield from self._products(target)
        yield from self._undone(target, self._short)
        for leaf in self._leaves[:MOST_DIFFERENCES]:
            for text, cost in self._quotients(target - leaf.values):
                yield f"{bracketed(text)} + {leaf.text}", cost + leaf.cost + 0.5
        twice = min((*self._products(2 * target), *_all_of(self._short(2 * target))), key=_price, default=None)
        if twice is not None:
            yield f"{bracketed(twice[0])} // 2", twice[1] + 1.2
        roots = np.sqrt(np.maximum(target, 0)).round().astype(np.int64)
        if (roots * roots == target).all():
            root = min((*_all_of(self._short(roots)), *self._without_product(roots)), key=_price, default=None)
            if root is not None:
                yield f"{bracketed(root[0])} * {bracketed(root[0])}", 2 * root[1]

    def _without_product(self, target: Matrix) -> Iterator[Formula]:
        yield from self._quotients(target)
        yield from self._multiples(target)
        yield from self._parts(target)
        yield from self._bounded(target)

    def _quotients(self, target: Matrix) -> Iterator[Formula]:
        """A formula of two operands divided by another operand, rounded down or up."""
        few = target[self._few]
        for leaf in self._leaves:
            divisor = leaf.values
            if not (divisor > 0).all() or leaf.text == "1":
                continue
            low = few * divisor[self._few]
            for form, least in (("{} // {}", low), (CEILING, low - divisor[self._few] + 1)):
                near = (self._first >= least) & (self._first < least + divisor[self._few])
                for number in np.flatnonzero(near.all(1)).tolist():
                    column = self._all[number]
                    whole = column // divisor if form != CEILING else -(-column // divisor)
                    if (whole == target).all():
                        text, cost = self._written(number)
                        yield form.format(bracketed(text), bracketed(leaf.text)), cost + leaf.cost + 0.5
                        break  # they are sorted by cost

    def _multiples(self, target: Matrix) -> Iterator[Formula]:
        """A formula of two operands times a small number, and another number added."""
        few = target[self._few]
        for factor in (1, *FACTORS):
            rest = few - factor * self._first
            fits = (rest == rest[:, :1]).all(1) & self._varies
            for number in np.flatnonzero(fits).tolist():
                added = target - factor * self._all[number]
                if (added == added[0]).all():
                    text, cost = self._written(number)
                    text = text if factor == 1 else f"{bracketed(text)} * {factor}"
                    yield _plus(text, int(added[0])), cost + 1.2 + abs(int(added[0])) / 8
                    break

    def _parts(self, target: Matrix) -> Iterator[Formula]:
        """A formula of two operands, with a number added that rounds, divided by another number."""
        few = target[self._few]
        for divisor in DIVISORS:
            least = (divisor * few - self._first).max(1)
            most = (divisor * few + divisor - 1 - self._first).min(1)
            for number in np.flatnonzero((least <= most) & self._varies).tolist():
                low = int((divisor * target - self._all[number]).max())
                high = int((divisor * target + divisor - 1 - self._all[number]).min())
                added = next((each for each in (0, divisor - 1) if low <= each <= high), low if low == high else None)
                if added is not None and abs(added) <= 2 * divisor:
                    text, cost = self._written(number)
                    sum_ = _plus(text, added)
                    yield f"{bracketed(sum_)} // {divisor}", cost + 1.6 + (added not in (0, divisor - 1))
                    break

    def _bounded(self, target: Matrix) -> Iterator[Formula]:
        """A formula of two operands, or another operand where that is smaller, or larger; nothing less than 0."""
        for leaf in self._leaves:
            for bound in _BOUNDS:
                near = bound.fits(self._first, leaf.values[self._few], target[self._few])
                for number in np.flatnonzero(near & self._varies).tolist():
                    if bound.fits(self._all[number : number + 1], leaf.values, target).all():
                        text, cost = self._written(number)
                        yield bound.form.format(text, leaf.text), cost + leaf.cost + bound.cost
                        break

    def _products(self, target: Matrix) -> Iterator[Formula]:
        """A formula of two operands times another one of two, or times a quotient."""
        if not target.all():
            return
        few = target[self._few]
        divides = (self._first > 0).all(1) & self._varies
        places = np.flatnonzero(divides)
        places = places[(few % self._first[places] == 0).all(1)]
        factors = [
            place for place in places.tolist() if self._all[place].all() and not (target % self._all[place]).any()
        ]
        for number, place in enumerate(factors):
            cofactor = target // self._all[place]
            formula = self._short(cofactor)
            if formula is None and number < MOST_DIVISORS:
                formula = min(self._without_product(cofactor), key=_price, default=None)
            if formula is not None:
                text, cost = self._written(place)
                yield f"{_factor(text)} * {_factor(formula[0])}", cost + formula[1] + 0.5


class _Bound(NamedTuple):
    """A result that is one of two numbers, whichever is less or more."""

    form: str
    apply: Callable[[Matrix, Matrix], Matrix]
    cost: float

    def fits(self, columns: Matrix, leaf: Matrix, target: Matrix) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which of the columns give what is wanted on all rows."""
        return (self.apply(columns, leaf) == target).all(1)


_BOUNDS: Final = (
    _Bound("smaller({}, {})", np.minimum, 0.5),
    _Bound("larger({}, {})", np.maximum, 0.5),
    _Bound("larger(smaller({}, {}), 0)", lambda one, other: np.maximum(np.minimum(one, other), 0), 1.5),
)


def _needed(target: Matrix, leaf: Matrix) -> Iterator[tuple[str, Matrix]]:
    """Operations on an operand and an unknown that give the result, with the values of the unknown."""
    yield "{} + {}", target - leaf
    yield "{} - {}", target + leaf
    if leaf.all() and not (target % leaf).any():
        yield "{} * {}", target // leaf
    if target.all() and leaf.all() and not (leaf % target).any():
        yield "{1} // {0}", leaf // target


def _all_of(formula: Formula | None) -> tuple[Formula, ...]:
    return () if formula is None else (formula,)


def _price(formula: Formula) -> tuple[float, str]:
    return formula[1], formula[0]


def _plus(text: str, number: int) -> str:
    return text if number == 0 else f"{bracketed(text)} {'+' if number > 0 else '-'} {abs(number)}"


def bracketed(text: str) -> str:
    """An expression as an operand."""
    tree = parsed(text).tree
    has_brackets = tree.col_offset > 0  # the tree of `(a + b)` begins behind the bracket, that of `(a + b) * c` at it
    return text if has_brackets or not isinstance(tree, ast.BinOp | ast.BoolOp | ast.Compare) else f"({text})"


def _factor(text: str) -> str:
    """An expression as a factor; products need no brackets."""
    return text if _is_product(parsed(text).tree) else bracketed(text)


def _is_product(tree: ast.expr) -> bool:
    """Whether an expression is a product of operands that are no operations themselves, or such an operand."""
    if isinstance(tree, ast.BinOp):
        return isinstance(tree.op, ast.Mult) and _is_product(tree.left) and _is_product(tree.right)
    return not isinstance(tree, ast.BoolOp | ast.Compare)
