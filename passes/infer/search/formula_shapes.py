"""Formula shapes: shapes that no primitive gives, put together of sizes of arguments and integer formulas.

Knows nothing of the other questions about an output.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from passes.infer.search.arithmetic import Formulas
from passes.infer.search.expressions import Evaluated
from passes.infer.search.sample import MISSING, Term
from passes.infer.search.terms import Terms
from passes.rules.language import PRIMITIVES

MOST_ROWS: Final = 200
MOST_GROUPS: Final = 8


def joined_shapes(terms: Terms, answers: Sequence[Any]) -> Iterator[Term]:
    """A whole shape followed by another one reduced, as quantiles have it."""
    for shape in [term for term in terms.of("Ints") if term.text.endswith(".shape")]:
        parts = zip(shape.values, answers, strict=True)
        if all(MISSING in (head, whole) or whole[: len(head)] == tuple(head) for head, whole in parts):
            for rest in terms.applications(("reduced", "reduced_or_all")):
                text = f"{shape.text} + {rest.text}"
                yield Term(text, "Ints", Evaluated(text, terms.sample), shape.cost + rest.cost)


def formula_shapes(terms: Terms, answers: Sequence[Any], rows: Sequence[int]) -> Iterator[Term]:
    """Shapes made of the first sizes of an argument and of formulas: `first(x.shape, -1) + (n, m // 2)`.

    Or of a whole shape with one size replaced. They are searched on all rows, on rows whose result has elements, on
    rows of each rank, and on rows with equal flags and the same arguments missing: a formula may hold on one of these
    parts only.
    """
    searched: set[tuple[int, ...]] = set()
    for group, deep in _groups(terms, answers, rows):
        chosen = _spread(terms, group)
        if len(chosen) > 1 and chosen not in searched:
            searched.add(chosen)
            yield from _suffixed(terms, answers, chosen, Formulas(terms, chosen), deep)
            yield from _with_another_size(terms, answers, chosen)


def _spread(terms: Terms, rows: Sequence[int]) -> tuple[int, ...]:
    """At most MOST_ROWS of the rows; some for each combination of integer arguments, which formulas are made of."""
    numbers = [values for _, values in terms.sample.columns() if all(type(values[row]) is int for row in rows)]
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row in rows:
        alike[tuple(values[row] for values in numbers)].append(row)
    turns = itertools.zip_longest(*alike.values())
    chosen = [row for turn in turns for row in turn if row is not None]
    return tuple(sorted(chosen[:MOST_ROWS]))


def _groups(terms: Terms, answers: Sequence[Any], rows: Sequence[int]) -> Iterator[tuple[list[int], bool]]:
    """All rows, then parts of them that may have one formula; and whether to look for long formulas."""
    columns = dict(terms.sample.columns())
    flags = [values for values in columns.values() if all(isinstance(values[row], bool | str) for row in rows[:1])]
    missing = [values for values in columns.values() if any(values[row] is None for row in rows)]

    def rank(row: int) -> Any:
        return len(answers[row])

    def flagged(row: int) -> Any:
        return tuple(values[row] for values in flags), tuple(values[row] is None for values in missing)

    def empty(row: int) -> Any:
        return 0 in answers[row]  # a size of 0 does not show what it was divided by

    keys: tuple[tuple[Callable[[int], Any], bool], ...] = (
        (lambda row: None, True),
        (empty, True),
        (flagged, True),
        (rank, False),
        (lambda row: (rank(row), flagged(row)), False),
    )
    for key, deep in keys:
        parts: dict[Any, list[int]] = {}
        for row in rows:
            parts.setdefault(key(row), []).append(row)
        yield from ((group, deep) for group in list(parts.values())[:MOST_GROUPS])


def _with_another_size(terms: Terms, answers: Sequence[Any], rows: Sequence[int]) -> Iterator[Term]:
    """A shape whose size along a dimension argument is a formula of the sizes that tensors have there."""
    shapes = [shape for shape in terms.of("Ints") if shape.text.endswith(".shape")]
    for dim in terms.of("Int"):
        if not dim.text.isidentifier():
            continue
        there = {shape.text: terms.application(PRIMITIVES["size_at"], (shape, dim)) for shape in shapes}
        for shape in shapes:
            sizes = [_only_change(shape.values[row], answers[row], dim.values[row]) for row in rows]
            formula = None if None in sizes else Formulas(terms, rows, there.values()).find(sizes)
            if formula is not None:
                text = f"with_size({shape.text}, {dim.text}, {formula[0]})"
                yield Term(text, "Ints", Evaluated(text, terms.sample), shape.cost + dim.cost + formula[1])


def _only_change(shape: Any, answer: Sequence[int], dim: Any) -> int | None:
    """The size of `answer` at `dim`, if it is like the shape elsewhere."""
    if shape is MISSING or type(dim) is not int or len(shape) != len(answer) or not -len(shape) <= dim < len(shape):
        return None
    same = all(
        one == other for place, (one, other) in enumerate(zip(shape, answer, strict=True)) if place != dim % len(shape)
    )
    return answer[dim] if same else None


def _suffixed(
    terms: Terms, answers: Sequence[Any], rows: Sequence[int], formulas: Formulas, deep: bool
) -> Iterator[Term]:
    sources: list[tuple[str, Any, float]] = [("", lambda row: (), 0.0)]
    for shape in terms.of("Ints"):
        if not shape.text.endswith(".shape"):
            continue
        sources.append((shape.text, lambda row, values=shape.values: values[row], shape.cost))
        for cut in (-1, -2, -3, 1, 2):
            sources.append(
                (
                    f"first({shape.text}, {cut})",
                    lambda row, values=shape.values, cut=cut: (
                        MISSING if values[row] is MISSING or len(values[row]) < abs(cut) else tuple(values[row][:cut])
                    ),
                    shape.cost + 0.4,
                )
            )
    shapes = [shape for shape in terms.of("Ints") if shape.text.endswith(".shape")][:4]
    pairs = [terms.application(PRIMITIVES["batch"], pair) for pair in itertools.permutations(shapes, 2)]
    several = [
        terms.application(
            PRIMITIVES["together"], (pairs[0], terms.application(PRIMITIVES["batch"], (shapes[0], other)))
        )
        for other in shapes[2:]
    ]
    for applied in (*pairs, *several):
        sources.append((applied.text, lambda row, values=applied.values: values[row], applied.cost))
    for text, prefix, cost in sources:
        heads = [prefix(row) for row in rows]
        if any(head is MISSING for head in heads):
            continue
        rest = [answers[row][len(head) :] for head, row in zip(heads, rows, strict=True)]
        length = len(rest[0])
        if not 0 < length <= 6 or any(len(each) != length for each in rest):
            continue
        if any(answers[row][: len(head)] != tuple(head) for head, row in zip(heads, rows, strict=True)):
            continue
        columns = [[each[index] for each in rest] for index in range(length)]
        size_formulas = list(itertools.takewhile(bool, (formulas.find(column, deep) for column in columns)))
        if len(size_formulas) < length:
            continue
        price = cost + sum(each[1] for each in size_formulas if each)
        for sizes in _spellings(
            [each[0] for each in size_formulas if each], [formulas.alike(column) for column in columns]
        ):
            expression = f"{text} + {sizes}" if text else sizes
            yield Term(expression, "Ints", Evaluated(expression, terms.sample), price + 0.1 * _repeated(sizes))


def _spellings(formulas: list[str], alike: Sequence[Sequence[str]]) -> Iterator[str]:
    """The sizes as they were found; then without repeating an integer where another one always equals it."""
    yield f"({', '.join(formulas)}{',' if len(formulas) == 1 else ''})"
    other = list(formulas)
    for index, text in enumerate(formulas):
        if text in formulas[:index]:
            other[index] = next((each for each in alike[index] if each not in other), text)
    if other != formulas:
        yield f"({', '.join(other)})"


def _repeated(sizes: str) -> int:
    parts = sizes[1:-1].split(", ")
    return len(parts) - len(set(parts))
