"""Hypotheses: what may answer each question about an output, tested against the recorded answers.

Stages go from small to large and end as soon as one hypothesis explains every row. A hypothesis that explains
some rows is kept: decide.py makes cases of several.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import torch

from passes.infer.search.decide import AnswerCandidate
from passes.infer.search.formula_shapes import formula_shapes, joined_shapes
from passes.infer.search.sample import MISSING, Term, rows_of
from passes.infer.search.terms import Terms
from passes.rules.language import CONSTANT_NAMES, PRIMITIVES, written

PROBES: Final = 40
FEW: Final = 8
MOST_PARTIAL: Final = 50  # terms of one stage that explain some rows
MOST_ALIKE: Final = 3  # of them that explain the same probes

SHAPES: Final = tuple(
    name
    for name, each in PRIMITIVES.items()
    if each.gives == "Ints" and name not in ("broadcast", "convolved", "transposed_convolved", "pooled", "literal")
)
LARGE_SHAPES: Final = ("literal", "convolved", "transposed_convolved", "pooled")
VIEWS: Final = tuple(
    name
    for name, each in PRIMITIVES.items()
    if each.gives in ("Strided", "Product") and name not in ("fresh", "laid_out")
)
PRODUCTS: Final = tuple(name for name, each in PRIMITIVES.items() if each.gives == "Product")
TYPES: Final = tuple(
    name for name, each in PRIMITIVES.items() if each.gives == "Dtype" and name not in ("default_dtype",)
)


class Test:
    """Recorded answers on all rows, and which terms give them."""

    __test__ = False  # no test of pytest

    def __init__(self, answers: Sequence[Any], rows: int) -> None:
        self.answers = answers
        self.rows = rows
        self._asked = rows_of(rows)
        order = sorted(self._asked, key=lambda row: repr(answers[row]))
        step = max(1, len(order) // PROBES)
        self.probes = order[::step][: PROBES + 8]
        self._first = self.probes[:: max(1, len(self.probes) // FEW)][:FEW]
        if order and all(repr(answers[row]) != repr(answers[order[-1]]) for row in self._first):  # one that is rare
            self._first = [*self._first, order[-1]]
            self.probes = [*dict.fromkeys((*self.probes, order[-1]))]

    def hits(self, term: Term) -> int:
        """The probes on which the term gives the answer, as bits; none after a first look at a few of them."""
        return self._agreeing(term, self.probes) if self._agreeing(term, self._first) else 0

    def explained(self, term: Term) -> int:
        """The rows on which the term gives the answer."""
        return self._agreeing(term, self._asked)

    def _agreeing(self, term: Term, rows: Sequence[int]) -> int:
        values, answers, found = term.values, self.answers, 0
        for row in rows:
            value = values[row]
            if value is not MISSING and (value is answers[row] or value == answers[row]):
                found |= 1 << row
        return found


class Search:
    """Candidates found so far for one question."""

    def __init__(self, terms: Terms, test: Test) -> None:
        self._terms = terms
        self._test = test
        self.candidates: list[AnswerCandidate] = []
        self.complete = False

    def offer(self, terms: Iterable[Term], extra: float = 0.0) -> bool:
        """Try terms; true once one of all offered explains every row. Then those that explain less are not kept."""
        partly: dict[int, list[Term]] = defaultdict(list)
        for term in terms:
            self._terms.tried += 1
            hits = self._test.hits(term)
            if hits.bit_count() == len(self._test.probes):
                self._keep(term, extra)
            elif hits:
                partly[hits].append(term)
        if not self.complete:
            some = ((hits, term) for hits, terms in partly.items() for term in sorted(terms, key=_cost)[:MOST_ALIKE])
            for _, term in sorted(some, key=lambda pair: (-pair[0].bit_count(), pair[1].cost))[:MOST_PARTIAL]:
                self._keep(term, extra)
        return self.complete

    def _keep(self, term: Term, extra: float) -> None:
        explained = self._test.explained(term)
        if explained:
            self.candidates.append(AnswerCandidate(term.text, explained, term.cost + extra))
            self.complete |= explained == self._test.rows


def _cost(term: Term) -> float:
    return term.cost


def fact(term: Term, name: str, kind: str) -> Term:
    """`term.shape` and the like, for terms that are strided."""
    values = _Fact(term.values, name)
    return Term(f"{term.text}.{name}", kind, values, term.cost + 0.3)


class _Fact(Sequence[Any]):
    __slots__ = ("_name", "_values")

    def __init__(self, values: Sequence[Any], name: str) -> None:
        self._values, self._name = values, name

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        found = self._values[index]
        return MISSING if found is MISSING else getattr(found, self._name)


def constants(test: Test, most: int = 6, cost: float = 2.0) -> Iterator[Term]:
    """The answers that occur most, as constants."""
    counted = Counter(test.answers[row] for row in range(len(test.answers)) if test.rows >> row & 1)
    for answer, _ in counted.most_common(most):
        yield Term(written(answer), "", [answer] * len(test.answers), cost)


def shape_candidates(terms: Terms, test: Test, views: Sequence[Term]) -> list[AnswerCandidate]:
    search = Search(terms, test)
    own = [term for term in terms.of("Ints") if term.text.endswith(".shape")]
    if search.offer(own) or search.offer(terms.applications(("broadcast",))):
        return search.candidates
    search.offer(term for term in terms.of("Ints") if not term.text.endswith(".shape"))
    search.offer(constants(test, 3, 3.0))
    if search.complete and len({test.answers[row] for row in test.probes}) > 1:
        return search.candidates
    if search.offer(terms.applications(SHAPES), 0.5):
        return search.candidates
    if search.offer(fact(view, "shape", "Ints") for view in views):
        return search.candidates
    if search.offer(terms.applications(LARGE_SHAPES), 1.0) or search.offer(joined_shapes(terms, test.answers), 1.5):
        return search.candidates
    search.offer(formula_shapes(terms, test.answers, rows_of(test.rows)), 2.0)
    return search.candidates


def stride_candidates(
    terms: Terms,
    test: Test,
    shapes: Sequence[Any],
    views: Sequence[Term],
    explaining: Callable[[], Iterable[Term]],
) -> list[AnswerCandidate]:
    """Strides of an output with known `shapes`; `explaining` gives views that have this shape, for the last resort."""
    search = Search(terms, test)
    shape = Term("shape", "Ints", shapes, 0.3)
    search.offer(fact(view, "stride", "Strides") for view in views)
    if search.complete:
        return search.candidates
    contiguous = terms.application(PRIMITIVES["contiguous"], (shape,))
    if search.offer([contiguous]):
        return search.candidates
    tensors = terms.of("Tensor")
    search.offer(fact(each, "stride", "Strides") for each in tensors)
    search.offer(terms.application(PRIMITIVES["preserved"], (each,)) for each in tensors)
    search.offer(terms.applications(("like_in_format",)))
    search.offer(iterated(terms, shape))
    if search.complete:
        return search.candidates
    own = [fact(each, "stride", "Strides") for each in tensors]
    search.offer(terms.application(PRIMITIVES["compact"], (shape, each)) for each in (*own, *iterated(terms, shape)))
    parts = [terms.application(PRIMITIVES["laid_out"], (shape, each)) for each in own]
    search.offer((of_part for part in parts for of_part in _laid_out_as(terms, shape, part)), 0.5)
    for name in ("suggested", "suggested_exactly"):
        search.offer(terms.application(PRIMITIVES[name], (shape, each)) for each in tensors)
    search.offer(
        terms.application(PRIMITIVES["suggested_by_either"], (shape, left, right))
        for number, left in enumerate(tensors)
        for right in tensors[number + 1 : number + 3]
    )
    search.offer(terms.application(PRIMITIVES[name], (shape,)) for name in ("channels_last", "column_major"))
    search.offer(terms.application(PRIMITIVES["of_format"], (shape, each)) for each in terms.of("Format"))
    search.offer(permutations(terms, test, shape), 0.5)
    search.offer(
        terms.application(PRIMITIVES["permuted"], (shape, each)) for each in terms.of("Ints") if "." not in each.text
    )
    search.offer((term for term in terms.of("Ints") if not term.text.endswith(".shape")), 0.5)
    search.offer(_of_lists(terms, shape), 0.2)
    search.offer(_transformed(terms, shape), 0.5)
    search.offer(constants(test, 2, 4.0))
    if not search.complete:
        found = list(explaining())
        search.offer((of_view for view in found for of_view in _laid_out_as(terms, shape, view)), 0.5)
        search.offer((fact(view, "stride", "Strides") for view in found), 0.7)
    return search.candidates


def iterated(terms: Terms, shape: Term) -> Iterator[Term]:
    """What TensorIterator makes of some operands, as they are or copied into the type they have together."""
    for tail in terms.tails("Operand"):
        yield from _iterated(terms, shape, tail, tail)
    pair = [operand for operand in terms.of("Operand") if terms.called("Tensor", operand.text) is not None]
    if len(pair) == 2:  # the other way round, or with something that was computed of one of them
        first, second = pair
        tensors = (terms.called("Tensor", operand.text) for operand in pair)
        of_first, of_second = (terms.application(PRIMITIVES["mapped"], (each,)) for each in tensors if each is not None)
        for tail in ((second, first), (first, of_second), (of_second, first), (of_first, second), (second, of_first)):
            yield from _iterated(terms, shape, tail, pair)


def _iterated(terms: Terms, shape: Term, tail: Sequence[Term], typed: Sequence[Term]) -> Iterator[Term]:
    yield terms.application(PRIMITIVES["iterated"], (shape, *tail))
    together = terms.application(PRIMITIVES["promoted"], typed)
    for dtype in (together, terms.application(PRIMITIVES["floating"], (together,))):
        yield terms.application(PRIMITIVES["iterated_as"], (shape, dtype, *tail))


def _laid_out_as(terms: Terms, shape: Term, view: Term) -> Iterator[Term]:
    """Layouts that follow a view that is never returned."""
    yield terms.application(PRIMITIVES["preserved"], (view,))
    yield terms.application(PRIMITIVES["iterated"], (shape, view))
    yield terms.application(PRIMITIVES["suggested"], (shape, view))


def _transformed(terms: Terms, shape: Term) -> Iterator[Term]:
    sorted_dims = list(terms.applications(("by_stride",)))
    for tensor in terms.of("Tensor"):
        for dims in [*terms.of("Dims"), *sorted_dims]:
            if dims.text[0].isalpha():
                yield terms.application(PRIMITIVES["transformed"], (shape, tensor, dims))


def _of_lists(terms: Terms, shape: Term) -> Iterator[Term]:
    for each in terms.of("Tensors"):
        for name in ("joined_strides",):
            yield terms.application(PRIMITIVES[name], (shape, each))


def permutations(terms: Terms, test: Test, shape: Term) -> Iterator[Term]:
    """Dense layouts in the orders in which outputs were seen, as they are and counted from the last dimension."""
    seen: Counter[tuple[int, ...]] = Counter()
    for row in test.probes:
        stride, sizes = test.answers[row], shape.values[row]
        if stride is MISSING or sizes is MISSING or len(stride) < 2 or any(size < 2 for size in sizes):
            continue
        order = tuple(sorted(range(len(stride)), key=lambda dim: -stride[dim]))
        if order != tuple(range(len(order))):
            seen[order] += 1
    for order, _ in seen.most_common(8):
        constant = Term(written(order), "Permutation", [order] * len(test.answers), 1.0)
        yield terms.application(PRIMITIVES["permuted"], (shape, constant))


def dtype_candidates(terms: Terms, test: Test) -> list[AnswerCandidate]:
    search = Search(terms, test)
    search.offer(terms.of("Dtype"))
    search.offer(terms.applications(("promoted",)), 0.2)
    search.offer(fact(product, "dtype", "Dtype") for product in terms.applications(PRODUCTS))
    if search.complete and len({test.answers[row] for row in test.probes}) > 1:
        return search.candidates
    seen = Counter(answer for answer in test.answers if answer is not MISSING)
    search.offer(
        Term(CONSTANT_NAMES[dtype], "Dtype", [dtype] * len(test.answers), 1.8 if dtype in _PLAIN_TYPES else 2.6)
        for dtype, _ in seen.most_common(5)
    )
    search.offer([terms.application(PRIMITIVES["default_dtype"], ())], 1.0)
    bases = [*terms.of("Dtype"), *terms.applications(("promoted", "promoted_alike"))]
    for name in TYPES:
        if PRIMITIVES[name].takes == ("Dtype",):
            search.offer((terms.application(PRIMITIVES[name], (each,)) for each in bases), 0.3)
    return search.candidates


_PLAIN_TYPES: Final = (torch.bool, torch.int64, torch.float32)


def offset_candidates(terms: Terms, test: Test, views: Sequence[Term]) -> list[AnswerCandidate]:
    search = Search(terms, test)
    zero = Term("0", "Offset", [0] * len(test.answers), 2.0 if views else 0.3)  # views begin where their tensor does
    if search.offer([zero]) and not views:
        return search.candidates
    search.offer(terms.of("Offset"))
    if search.complete:
        return search.candidates
    search.offer(fact(view, "storage_offset", "Offset") for view in views)
    search.offer(term for term in terms.of("Int") if term.text.isidentifier())
    return search.candidates


def grad_candidates(terms: Terms, test: Test, operands: Sequence[Term]) -> list[AnswerCandidate]:
    """Whether an output requires a gradient: never, or where the gradient mode is on and an argument does."""
    search = Search(terms, test)
    never = Term("False", "Bool", [False] * len(test.answers), 0.3)
    if search.offer([never]):
        return search.candidates
    tensors = list(operands)
    choices = [tensors] + [[each] for each in tensors] + ([tensors[:number] for number in range(2, len(tensors))])
    for chosen in choices:
        applied = terms.application(PRIMITIVES["any_requires_grad"], chosen)
        search.offer([Term(f"grad_mode and {applied.text}", "Bool", applied.values, applied.cost)])
        if search.complete:
            break
    return search.candidates


def flag_terms(terms: Terms, flag: str) -> Iterator[Term]:
    """A lazy bit: always or never set, as on a tensor given, or the contrary."""
    size = terms.sample.size
    yield Term("False", "Bool", [False] * size, 0.3)
    yield Term("True", "Bool", [True] * size, 0.4)
    for each in terms.of("Tensor"):
        own = fact(each, flag, "Bool")
        yield own
        yield Term(f"not {own.text}", "Bool", [v if v is MISSING else not v for v in own.values], own.cost + 0.2)
    yield from (fact(product, flag, "Bool") for product in terms.applications(PRODUCTS))


def count_candidates(terms: Terms, test: Test) -> list[AnswerCandidate]:
    """How many outputs a list has."""
    search = Search(terms, test)
    search.offer(_lengths(terms))
    if search.complete:
        return search.candidates
    search.offer(term for term in terms.of("Int") if term.text[0].isalpha())
    search.offer(_sizes(terms))
    search.offer(terms.applications(("pieces", "size_at")))
    chunks = list(terms.applications(("chunk_size",)))
    search.offer(
        terms.application(PRIMITIVES["pieces"], (tensor, size, dim))
        for size in chunks
        for tensor in terms.of("Strided")
        for dim in terms.of("Int")
    )
    search.offer(constants(test, 4, 3.0))
    search.offer(
        Term(f"{each.text} + 1", "Int", [MISSING if v is MISSING else v + 1 for v in each.values], each.cost + 1)
        for each in _lengths(terms)
    )
    return search.candidates


def _lengths(terms: Terms) -> Iterator[Term]:
    for kind in ("Tensors", "Ints"):
        for each in terms.of(kind):
            if each.text[0].isalpha():
                lengths = [value if value is MISSING else len(value) for value in each.values]
                yield Term(f"rank({each.text})", "Int", lengths, each.cost + 0.2)


def _sizes(terms: Terms) -> Iterator[Term]:
    for each in terms.of("Tensor"):
        for index in (0, -1, 1):
            values = [
                v if v is MISSING else (v.shape[index] if -len(v.shape) <= index < len(v.shape) else MISSING)
                for v in each.values
            ]
            yield Term(f"{each.text}.shape[{index}]", "Int", values, each.cost + 0.5)
