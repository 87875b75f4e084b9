"""Quantities: the integers that formulas are made of: numbers and sizes among the arguments, their counts and sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from passes.infer.search.sample import MISSING, Term
from passes.infer.search.terms import Terms
from passes.rules.language import PRIMITIVES

PLACES: Final = (-1, 0, 1, -2, 2, -3, 3)
MOST_SCALED: Final = 12  # sizes that are multiplied with each fraction among the arguments

Quantity = tuple[str, Sequence[Any], float]  # text, values and cost


def quantities(terms: Terms) -> Iterator[Quantity]:
    """Text, values and cost of every quantity of a sample."""
    for term in terms.of("Int"):
        if _is_given(term):
            yield term.text, term.values, 1.0
    for term in terms.of("Ints"):
        if _is_given(term):
            yield from _sizes_of(term)
            yield _length(term)
            yield _applied(terms, "count", 1.4, term)
            if term.text.isidentifier():
                yield _applied(terms, "total", 1.4, term)
    for term in terms.of("Tensors"):
        yield _length(term)
        yield _applied(terms, "total", 1.5, terms.application(PRIMITIVES["counts"], (term,)))
        for dim in (0, -1):
            place = Term(str(dim), "Int", [dim] * terms.sample.size, 0.0)
            sizes = terms.application(PRIMITIVES["sizes_at"], (term, place))
            yield _applied(terms, "total", 1.5, sizes)
            yield _applied(terms, "largest", 1.5, sizes)
    yield from _scaled(terms)


def _scaled(terms: Terms) -> Iterator[Quantity]:
    """Sizes times fractions among the arguments, as scale factors are."""
    sizes = [size for term in terms.of("Ints") if term.text.endswith(".shape") for size in _sizes_of(term)]
    for factor in terms.of("Number"):
        if factor.text.isidentifier() and any(type(value) is float for value in factor.values):
            for text, values, cost in sizes[:MOST_SCALED]:
                yield _applied(terms, "scaled_size", cost + 0.4, Term(text, "Int", values, cost), factor)


def _sizes_of(term: Term) -> Iterator[Quantity]:
    for index in PLACES:
        values = [
            value[index] if value is not MISSING and -len(value) <= index < len(value) else MISSING
            for value in term.values
        ]
        if any(type(value) is int for value in values):
            yield f"{term.text}[{index}]", values, 1.1 + 0.1 * abs(index)


def _length(term: Term) -> Quantity:
    return f"rank({term.text})", [value if value is MISSING else len(value) for value in term.values], 1.4


def _applied(terms: Terms, name: str, cost: float, *parts: Term) -> Quantity:
    term = terms.application(PRIMITIVES[name], parts)
    return term.text, term.values, cost


def _is_given(term: Term) -> bool:
    return any(character.isalpha() for character in term.text)
