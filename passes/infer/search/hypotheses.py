"""Hypotheses: for each question about an output the terms that may answer it, tested against the recorded answers.

The terms for a question are listed in stages, and their order is the model: the first stages hold what most operators
do and what a reader grasps at once, later ones hold more terms, which explain a few rows by accident more easily. A
search ends with the stage that says so, once one term explains every row; so a later, more elaborate term never
replaces an earlier one that is right. A term that explains some rows is kept too: decide.py makes cases of several.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import torch

from passes.infer.search.decide import AnswerCandidate
from passes.infer.search.formula_shapes import formula_shapes, joined_shapes
from passes.infer.search.sample import MISSING, Term, rows_of
from passes.infer.search.terms import Terms
from passes.rules.language import CONSTANT_NAMES, PRIMITIVES, written

PROBES: Final = 40  # rows that every term is tested on
FEW: Final = 8  # of the probes, tested first: most terms fail here
MOST_PARTIAL: Final = 50  # terms of one stage that are kept though they explain some rows only
MOST_ALIKE: Final = 3  # of these, that explain the same probes

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


class AnswerTest:
    """The recorded answers to one question, and on which of its rows a term gives them."""

    def __init__(self, answers: Sequence[Any], rows: int) -> None:
        self.answers = answers
        self.rows = rows
        self._rows = rows_of(rows)
        order = sorted(self._rows, key=lambda row: repr(answers[row]))
        step = max(1, len(order) // PROBES)
        self.probes = order[::step][: PROBES + 8]
        self._first = self.probes[:: max(1, len(self.probes) // FEW)][:FEW]
        if order and all(repr(answers[row]) != repr(answers[order[-1]]) for row in self._first):  # a rare answer
            self._first = [*self._first, order[-1]]
            self.probes = [*dict.fromkeys((*self.probes, order[-1]))]

    def hits(self, term: Term) -> int:
        """The probes on which the term gives the answer, as bits; none if it fails on the first few."""
        return self._agreeing(term, self.probes) if self._agreeing(term, self._first) else 0

    def explained(self, term: Term) -> int:
        """The rows on which the term gives the answer."""
        return self._agreeing(term, self._rows)

    @property
    def is_varied(self) -> bool:
        """Whether the answers differ on some of the probes."""
        return len({self.answers[row] for row in self.probes}) > 1

    def _agreeing(self, term: Term, rows: Sequence[int]) -> int:
        values, answers, agreeing = term.values, self.answers, 0
        for row in rows:
            value = values[row]
            if value is not MISSING and (value is answers[row] or value == answers[row]):
                agreeing |= 1 << row
        return agreeing


class Ends(Enum):
    """Whether a search ends after a stage."""

    NEVER = "the next stage belongs to this one"
    EXPLAINED = "it ends if one term explains every row"
    VARIED = "it ends if one term explains every row, and the answers differ: a constant may be an accident"


@dataclass(frozen=True, slots=True)
class Stage:
    """Terms that are tried together. `extra` is added to their costs: how much less they are to be believed."""

    terms: Iterable[Term]
    extra: float = 0.0
    ends: Ends = Ends.EXPLAINED


def search(terms: Terms, test: AnswerTest, stages: Iterable[Stage]) -> list[AnswerCandidate]:
    """The terms of `stages`, up to the one that ends the search, that give the answer on all rows or some."""
    candidates: list[AnswerCandidate] = []
    complete = False
    for stage in stages:
        complete |= _try(terms, test, stage, candidates, complete)
        if complete and (stage.ends is Ends.EXPLAINED or (stage.ends is Ends.VARIED and test.is_varied)):
            break
    return candidates


def _try(terms: Terms, test: AnswerTest, stage: Stage, candidates: list[AnswerCandidate], complete: bool) -> bool:
    """Add the terms of a stage that explain rows to `candidates`; true if one explains every row.

    Terms that explain less are kept only while none explains everything, and few of those that explain the same.
    """
    partly: dict[int, list[Term]] = defaultdict(list)
    total = False
    for term in stage.terms:
        terms.tried += 1
        hits = test.hits(term)
        if hits.bit_count() == len(test.probes):
            total |= _keep(term, test, stage.extra, candidates)
        elif hits:
            partly[hits].append(term)
    if not (complete or total):
        some = ((hits, term) for hits, terms in partly.items() for term in sorted(terms, key=_cost)[:MOST_ALIKE])
        for _, term in sorted(some, key=lambda pair: (-pair[0].bit_count(), pair[1].cost))[:MOST_PARTIAL]:
            total |= _keep(term, test, stage.extra, candidates)
    return total


def _keep(term: Term, test: AnswerTest, extra: float, candidates: list[AnswerCandidate]) -> bool:
    """Add a term to `candidates` if it explains any row; true if it explains all."""
    explained = test.explained(term)
    if explained:
        candidates.append(AnswerCandidate(term.text, explained, term.cost + extra))
    return explained == test.rows != 0


def _cost(term: Term) -> float:
    return term.cost


def fact(term: Term, name: str, kind: str) -> Term:
    """A fact such as `term.shape` of a strided term, as a term."""
    values = _Fact(term.values, name)
    return Term(f"{term.text}.{name}", kind, values, term.cost + 0.3)


class _Fact(Sequence[Any]):
    __slots__ = ("_name", "_values")

    def __init__(self, values: Sequence[Any], name: str) -> None:
        self._values, self._name = values, name

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        value = self._values[index]
        return MISSING if value is MISSING else getattr(value, self._name)


def constants(test: AnswerTest, most: int = 6, cost: float = 2.0) -> Iterator[Term]:
    """The most common answers, as constants."""
    counted = Counter(test.answers[row] for row in range(len(test.answers)) if test.rows >> row & 1)
    for answer, _ in counted.most_common(most):
        yield Term(written(answer), "", [answer] * len(test.answers), cost)


def shape_stages(terms: Terms, test: AnswerTest, views: Iterable[Term]) -> Iterator[Stage]:
    """Terms for the shape of an output; `views` are those that its tensors could be seen through."""
    # Most outputs have the shape of an argument, or the one that all arguments broadcast to. Whatever else explains
    # these rows is an accident, so each of the two ends the search.
    yield Stage(term for term in terms.of("Ints") if term.text.endswith(".shape"))
    yield Stage(terms.applications(("broadcast",)))
    # Lists of sizes among the arguments, and a constant: believed together, and only where answers differ, since a
    # shape that never varied equals many things.
    yield Stage((term for term in terms.of("Ints") if not term.text.endswith(".shape")), ends=Ends.NEVER)
    yield Stage(constants(test, 3, 3.0), ends=Ends.VARIED)
    # One primitive applied to arguments; then shapes that views have, of which there are many more.
    yield Stage(terms.applications(SHAPES), 0.5)
    yield Stage(fact(view, "shape", "Ints") for view in views)
    # Primitives of many arguments (windows, literals), whose combinations are the most numerous.
    yield Stage(terms.applications(LARGE_SHAPES), 1.0)
    # Shapes put together of parts; last, sizes computed by integer formulas, which can explain almost any few rows.
    yield Stage(joined_shapes(terms, test.answers), 1.5)
    yield Stage(formula_shapes(terms, test.answers, rows_of(test.rows)), 2.0)


def stride_stages(
    terms: Terms,
    test: AnswerTest,
    shapes: Sequence[Any],
    views: Sequence[Term],
    explaining: Callable[[], Iterable[Term]],
) -> Iterator[Stage]:
    """Terms for the strides of an output with known `shapes`.

    `views` are those that a shared output may be; `explaining` gives the views that have its shape, though it shares
    no memory.
    """
    shape = Term("shape", "Ints", shapes, 0.3)
    # An output that shares memory is a view: nothing else gives its strides. Other outputs have no views here.
    yield Stage(fact(view, "stride", "Strides") for view in views)
    # New memory is contiguous unless an operator goes out of its way.
    yield Stage([terms.application(PRIMITIVES["contiguous"], (shape,))])
    # What element-wise operators do: keep the layout of an argument, or let TensorIterator choose one. They agree on
    # most rows, so that all four are compared before the search may end.
    tensors = terms.of("Tensor")
    yield Stage((fact(each, "stride", "Strides") for each in tensors), ends=Ends.NEVER)
    yield Stage((terms.application(PRIMITIVES["preserved"], (each,)) for each in tensors), ends=Ends.NEVER)
    yield Stage(terms.applications(("like_in_format",)), ends=Ends.NEVER)
    yield Stage(iterated(terms, shape))
    # Layouts of single families of operators. None is simpler than the others, so all are compared: what decides
    # between them is cost, and the trials that follow.
    yield from _special_layouts(terms, test, shape, tensors)
    # Last, the layout of a view that an operator takes inside and does not return: reductions, permuted copies.
    inner = list(explaining())
    layouts = (of_view for view in inner for of_view in _laid_out_as(terms, shape, view))
    yield Stage(layouts, 0.5, ends=Ends.NEVER)
    yield Stage((fact(view, "stride", "Strides") for view in inner), 0.7)


def _special_layouts(terms: Terms, test: AnswerTest, shape: Term, tensors: Sequence[Term]) -> Iterator[Stage]:
    """Layouts that single families of operators give to new memory; one that explains everything ends all."""

    def applied(name: str, *parts: Sequence[Term]) -> Iterator[Term]:
        return (terms.application(PRIMITIVES[name], (shape, *each)) for each in parts)

    strides = [fact(each, "stride", "Strides") for each in tensors]
    parts = [terms.application(PRIMITIVES["laid_out"], (shape, each)) for each in strides]
    neighbours = [(left, right) for n, left in enumerate(tensors) for right in tensors[n + 1 : n + 3]]
    plain = [each for each in terms.of("Ints") if "." not in each.text]
    families: tuple[tuple[Iterable[Term], float], ...] = (
        # contiguous copies that keep strides which already fit
        ((term for each in (*strides, *iterated(terms, shape)) for term in applied("compact", (each,))), 0.0),
        # a part of an argument, laid out as the argument is
        ((term for part in parts for term in _laid_out_as(terms, shape, part)), 0.5),
        # the memory format that an argument suggests, or either of two: convolutions, pooling
        (applied("suggested", *((each,) for each in tensors)), 0.0),
        (applied("suggested_exactly", *((each,) for each in tensors)), 0.0),
        (applied("suggested_by_either", *neighbours), 0.0),
        (terms.apply_to(PRIMITIVES["convolved_strides"], shape), 0.0),
        (terms.apply_to(PRIMITIVES["transposed_convolved_strides"], shape), 0.2),
        # fixed layouts, and a format or a permutation that is given
        ((terms.application(PRIMITIVES[name], (shape,)) for name in ("channels_last", "column_major")), 0.0),
        (applied("of_format", *((each,) for each in terms.of("Format"))), 0.0),
        (permutations(terms, test, shape), 0.5),
        (applied("permuted", *((each,) for each in plain)), 0.0),
        # strides that are given as they are
        ((term for term in terms.of("Ints") if not term.text.endswith(".shape")), 0.5),
        # what cat and stack do with lists, and what Fourier transforms do with the dimensions that they sort
        (_of_lists(terms, shape), 0.2),
        (_transformed(terms, shape), 0.5),
    )
    for family, extra in families:
        yield Stage(family, extra, ends=Ends.NEVER)
    yield Stage(constants(test, 2, 4.0))


def iterated(terms: Terms, shape: Term) -> Iterator[Term]:
    """The strides that TensorIterator gives to operands, as they are or copied into their common dtype."""
    for tail in terms.tails("Operand"):
        yield from _iterated(terms, shape, tail, tail)
    pair = [operand for operand in terms.of("Operand") if terms.called("Tensor", operand.text) is not None]
    if len(pair) == 2:  # in the other order, or with a copy of one of them
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
    """Layouts that copy the layout of a view which is not returned itself."""
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


def permutations(terms: Terms, test: AnswerTest, shape: Term) -> Iterator[Term]:
    """Dense layouts in the dimension orders that outputs had."""
    orders: Counter[tuple[int, ...]] = Counter()
    for row in test.probes:
        stride, sizes = test.answers[row], shape.values[row]
        if stride is MISSING or sizes is MISSING or len(stride) < 2 or any(size < 2 for size in sizes):
            continue
        order = tuple(sorted(range(len(stride)), key=lambda dim: -stride[dim]))
        if order != tuple(range(len(order))):
            orders[order] += 1
    for order, _ in orders.most_common(8):
        constant = Term(written(order), "Permutation", [order] * len(test.answers), 1.0)
        yield terms.application(PRIMITIVES["permuted"], (shape, constant))


def dtype_stages(terms: Terms, test: AnswerTest) -> Iterator[Stage]:
    """Terms for the dtype of an output."""
    # That of an argument, the one all arguments promote to, or that of a product of tensors: compared together, for
    # they agree wherever arguments have one dtype. They end the search only where dtypes differed, for an output that
    # always had one dtype may always have it.
    yield Stage(terms.of("Dtype"), ends=Ends.NEVER)
    yield Stage(terms.applications(("promoted",)), 0.2, ends=Ends.NEVER)
    yield Stage((fact(product, "dtype", "Dtype") for product in terms.applications(PRODUCTS)), ends=Ends.VARIED)
    # A constant, the default dtype, and dtypes computed of other ones (the complex one of a real one).
    common = Counter(answer for answer in test.answers if answer is not MISSING).most_common(5)
    yield Stage((_constant_dtype(dtype, test) for dtype, _ in common), ends=Ends.NEVER)
    yield Stage([terms.application(PRIMITIVES["default_dtype"], ())], 1.0, ends=Ends.NEVER)
    bases = [*terms.of("Dtype"), *terms.applications(("promoted", "promoted_alike"))]
    for name in TYPES:
        if PRIMITIVES[name].takes == ("Dtype",):
            yield Stage((terms.application(PRIMITIVES[name], (each,)) for each in bases), 0.3, ends=Ends.NEVER)


def _constant_dtype(dtype: torch.dtype, test: AnswerTest) -> Term:
    cost = 1.8 if dtype in _PLAIN_TYPES else 2.6
    return Term(CONSTANT_NAMES[dtype], "Dtype", [dtype] * len(test.answers), cost)


_PLAIN_TYPES: Final = (torch.bool, torch.int64, torch.float32)


def offset_stages(terms: Terms, test: AnswerTest, views: Sequence[Term]) -> Iterator[Stage]:
    """Terms for where in its memory an output begins."""
    # New memory begins with its tensor. A view mostly begins where its argument does, so that 0 proves nothing there.
    zero = Term("0", "Offset", [0] * len(test.answers), 2.0 if views else 0.3)
    yield Stage([zero], ends=Ends.NEVER if views else Ends.EXPLAINED)
    yield Stage(terms.of("Offset"))
    # Then the offset that a view primitive computes, or an integer that is given (as_strided).
    yield Stage((fact(view, "storage_offset", "Offset") for view in views), ends=Ends.NEVER)
    yield Stage(term for term in terms.of("Int") if term.text.isidentifier())


def grad_stages(terms: Terms, test: AnswerTest, operands: Sequence[Term]) -> Iterator[Stage]:
    """Terms for whether an output requires a gradient: never, or where the gradient mode is on and an argument does."""
    yield Stage([Term("False", "Bool", [False] * len(test.answers), 0.3)])
    # All arguments first, as autograd does by itself; then each alone, then the first few: what operators choose to do.
    tensors = list(operands)
    choices = [tensors, *([each] for each in tensors), *(tensors[:number] for number in range(2, len(tensors)))]
    for chosen in choices:
        applied = terms.application(PRIMITIVES["any_requires_grad"], chosen)
        yield Stage([Term(f"grad_mode and {applied.text}", "Bool", applied.values, applied.cost)])


def flag_terms(terms: Terms, flag: str) -> Iterator[Term]:
    """Terms for a lazy bit (conj, neg): never or always set, as on an argument, or the opposite."""
    size = terms.sample.size
    yield Term("False", "Bool", [False] * size, 0.3)
    yield Term("True", "Bool", [True] * size, 0.4)
    for each in terms.of("Tensor"):
        bit = fact(each, flag, "Bool")
        yield bit
        yield Term(f"not {bit.text}", "Bool", [v if v is MISSING else not v for v in bit.values], bit.cost + 0.2)
    yield from (fact(product, flag, "Bool") for product in terms.applications(PRODUCTS))


def count_stages(terms: Terms, test: AnswerTest) -> Iterator[Stage]:
    """Terms for how many outputs a list has."""
    # As many as a list that is given has elements.
    yield Stage(_lengths(terms))
    # A number that is given, a size, the pieces that a dimension is cut into, a constant: none is simpler than the
    # others, so all are compared.
    yield Stage((term for term in terms.of("Int") if term.text[0].isalpha()), ends=Ends.NEVER)
    yield Stage(_sizes(terms), ends=Ends.NEVER)
    yield Stage(terms.applications(("pieces", "size_at")), ends=Ends.NEVER)
    yield Stage(_pieces_of_chunks(terms), ends=Ends.NEVER)
    yield Stage(constants(test, 4, 3.0), ends=Ends.NEVER)
    one_more = (
        Term(f"{each.text} + 1", "Int", [MISSING if v is MISSING else v + 1 for v in each.values], each.cost + 1)
        for each in _lengths(terms)
    )
    yield Stage(one_more)


def _pieces_of_chunks(terms: Terms) -> Iterator[Term]:
    chunks = list(terms.applications(("chunk_size",)))
    return (
        terms.application(PRIMITIVES["pieces"], (tensor, size, dim))
        for size in chunks
        for tensor in terms.of("Strided")
        for dim in terms.of("Int")
    )


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
