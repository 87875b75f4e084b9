"""Questions: what a rule has to answer about one output, and the cases that answer it on the rows of a sample.

Memory comes first, as only an output that shares memory can have the strides of a view; then the shape, which the
conditions of all later questions may mention; then strides, dtype, offset and flags. Knows nothing of other outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from passes.infer.search import hypotheses
from passes.infer.search.conditions import Condition, conditions_of
from passes.infer.search.decide import AnswerCandidate, alternatives, decide
from passes.infer.search.expressions import answers
from passes.infer.search.hypotheses import AnswerTest, Stage
from passes.infer.search.observation import aliases_of
from passes.infer.search.sample import MISSING, CallSample, Term, bits, rows_of
from passes.infer.search.terms import Terms
from passes.meta import TensorMeta
from passes.operators.outcome import New, Same
from passes.record.calls import Call
from passes.rules.language import PRIMITIVES
from passes.rules.rule import UNKNOWN, Case, Cases, Output, always

MOST_RIVALS: Final = 5  # answers to one question, beside the chosen one, that explain all rows as well
MOST_VIEWS: Final = 24  # views with the shape of an output, from which its strides may follow


class Shared(Protocol):
    """What outputs with the same rows have in common, and compute once."""

    candidates_found: dict[tuple[Any, ...], list[AnswerCandidate]]

    @property
    def conditions(self) -> list[Condition]:
        """The conditions of the whole sample."""
        ...

    def views(self) -> list[Term]:
        """The terms that are views of arguments."""
        ...


def views_of(terms: Terms) -> list[Term]:
    """Every application of a view primitive to the tensors."""
    return list(_views(terms))


def _views(terms: Terms) -> Iterator[Term]:
    yield from terms.applications(hypotheses.VIEWS)
    if terms.sample.extra:
        chunks = list(terms.applications(("chunk_size",)))
        number = next(term for term in terms.of("Int") if term.text == "i")
        for size in chunks:
            tensor, _, dim = size.text[len("chunk_size(") : -1].split(", ")
            source, along = terms.called("Strided", tensor), terms.called("Int", dim)
            if source is not None and along is not None:
                yield terms.application(PRIMITIVES["piece"], (source, size, along, number))


class Questions:
    """The questions about one output on the rows of a sample."""

    def __init__(self, sample: CallSample, terms: Terms, level: str, shared: Shared | None = None) -> None:
        self.sample, self.terms, self._shared, self._level = sample, terms, shared, level
        self._own_guards: list[Condition] | None = None
        self._candidates = shared.candidates_found if shared is not None else {}

    @property
    def conditions(self) -> list[Condition]:
        """The conditions that answers may hang on: those of the whole sample, or of this one."""
        if self._shared is not None:
            return self._shared.conditions
        if self._own_guards is None:
            self._own_guards = conditions_of(self.sample)
        return self._own_guards

    def views(self) -> list[Term]:
        """The terms that are views of arguments: those of the whole sample, or of this one."""
        return self._shared.views() if self._shared is not None else views_of(self.terms)

    def answer(self, outputs: Sequence[New | Same | None], calls: Sequence[Call]) -> Output:
        """The cases of one returned tensor (or of None in its place), for its outputs in all calls."""
        numbers = self.sample.extra.get("i", [None] * len(calls))
        aliases = [aliases_of(*each) for each in zip(outputs, calls, numbers, strict=True)]
        choices = sorted({word for words in aliases for word in words})
        candidates = [
            AnswerCandidate(word, bits(word in words for words in aliases), 1.0 + ("[" in word) * 0.1)
            for word in choices
        ]
        everything = self.sample.everything
        alias = decide(candidates, self.conditions, everything)
        rivals = {"alias": tuple(alternatives(alias, self.conditions, everything))[:MOST_RIVALS]}
        rows = bits(isinstance(output, New) for output in outputs)
        if not rows:
            return Output(alias, rivals=rivals)
        metas = [output.meta if isinstance(output, New) else None for output in outputs]
        sharing = [output.alias_of if isinstance(output, New) else None for output in outputs]
        output_cases = self._facts(alias, metas, rows, sharing, False)
        output_cases = replace(output_cases, rivals={**output_cases.rivals, **rivals})
        if len(alias) == 1 or all(owner is None for owner in sharing):
            return output_cases
        shapes = answers(output_cases.shape, self.sample)  # whether the output can be a view depends on its shape
        conditions = conditions_of(self.sample, shapes)
        by_shape = decide(candidates, conditions, everything)
        if _doubt(alias) <= _doubt(by_shape):
            return output_cases
        rivals["alias"] = tuple(alternatives(by_shape, conditions, everything))[:MOST_RIVALS]
        return replace(output_cases, alias=by_shape, rivals={**output_cases.rivals, **rivals})

    def after(self, metas: Sequence[TensorMeta | None], name: str) -> Output:
        """The cases of the parameter `name` after the call: its metas if it was written to, else None.

        Most writes change nothing but values.
        """
        words = ["kept" if meta is None else "new" for meta in metas]
        candidates = [AnswerCandidate(word, bits(each == word for each in words), 1.0) for word in sorted(set(words))]
        alias = decide(candidates, self.conditions, self.sample.everything)
        rows = bits(meta is not None for meta in metas)
        before = self._parameter(name)
        if all(meta is None or _is_kept(meta, old) for meta, old in zip(metas, before, strict=True)):
            shape, stride, offset, dtype = (
                always(f"{name}.{fact}") for fact in ("shape", "stride", "storage_offset", "dtype")
            )
            return Output(alias, shape, stride, offset, dtype, self._grad(metas, rows))
        return self._facts(alias, metas, rows, [None] * len(metas), True)

    def _parameter(self, name: str) -> Sequence[Any]:
        """The values of a parameter, or of the elements of a list `name[i]`."""
        values = dict(self.sample.columns())[name.removesuffix("[i]")]
        if not name.endswith("[i]"):
            return values
        return [value[number] for value, number in zip(values, self.sample.extra["i"], strict=True)]

    def _facts(
        self, alias: Cases, metas: Sequence[TensorMeta | None], rows: int, sharing: Sequence[int | None], written: bool
    ) -> Output:
        shared = written or any(owner is not None for owner in sharing)
        shapes = [MISSING if meta is None else meta.shape for meta in metas]
        shape_test = AnswerTest(shapes, rows)
        views = self.views() if shared else []
        conditions = self.conditions
        shape_candidates = self._remembered(
            ("shape", *shapes),
            lambda: self._search(
                shape_test, hypotheses.shape_stages(self.terms, shape_test, views or _LazyTerms(self.views))
            ),
        )
        shape = decide(shape_candidates, conditions, rows)
        rivals = {"shape": _rivals(shape, shape_candidates, conditions, rows)}
        strides = [MISSING if meta is None else meta.stride for meta in metas]
        stride_test = AnswerTest(strides, rows)
        unshared = bits(owner is None for owner in sharing) & rows
        if unshared in (0, rows):
            conditions_of_output = _LazyConditions(lambda: conditions_of(self.sample, shapes))
        else:
            is_new = Condition("is_new", unshared, rows, 0.3)
            conditions_of_output = _LazyConditions(
                lambda: [is_new, is_new.negated(), *conditions_of(self.sample, shapes)]
            )
        stride_candidates = self._remembered(
            ("stride", shared, *shapes, *strides),
            lambda: self._search(
                stride_test,
                hypotheses.stride_stages(
                    self.terms, stride_test, shapes, views, lambda: _explaining(self.views(), shape_test)
                ),
            ),
        )
        stride = self._decided(stride_candidates, conditions_of_output, rows)
        rivals["stride"] = _rivals(stride, stride_candidates, conditions_of_output, rows)
        dtypes = [MISSING if meta is None else meta.dtype for meta in metas]
        dtype_test = AnswerTest(dtypes, rows)
        dtype_candidates = self._search(dtype_test, hypotheses.dtype_stages(self.terms, dtype_test))
        dtype = self._decided(dtype_candidates, conditions_of_output, rows)
        rivals["dtype"] = _rivals(dtype, dtype_candidates, conditions_of_output, rows)
        offset, rivals["storage_offset"] = self._offset(metas, rows, unshared, views, conditions_of_output)
        flags = {} if written else {flag: self._flag(flag, metas, rows) for flag in ("is_conj", "is_neg")}
        return Output(alias, shape, stride, offset, dtype, self._grad(metas, rows), **flags, rivals=rivals)

    def _offset(
        self,
        metas: Sequence[TensorMeta | None],
        rows: int,
        unshared: int,
        views: Sequence[Term],
        conditions_of_output: _LazyConditions,
    ) -> tuple[Cases, tuple[Cases, ...]]:
        """The cases for where in its memory an output begins, and rivals.

        `own` are the rows where it has memory of its own, which mostly begins with it.
        """
        offsets = [MISSING if meta is None else meta.storage_offset for meta in metas]
        fresh = unshared not in (0, rows) and all(not offsets[row] for row in rows_of(unshared))
        asked_rows = rows & ~unshared if fresh else rows
        test = AnswerTest(offsets, asked_rows)
        candidates = self._search(test, hypotheses.offset_stages(self.terms, test, views))
        offset = self._decided(candidates, conditions_of_output, asked_rows)
        rivals = _rivals(offset, candidates, conditions_of_output, asked_rows)
        if not fresh:
            return offset, rivals
        first = () if offset == always("0") else (Case("is_new", "0"),)
        return (*first, *offset), tuple((Case("is_new", "0"), *cases) for cases in rivals)

    def _flag(self, flag: str, metas: Sequence[TensorMeta | None], rows: int) -> Cases:
        """The cases for a lazy bit of the output: none if it is never set."""
        flags = [MISSING if meta is None else getattr(meta, flag) for meta in metas]
        if not any(answer is True for answer in flags):
            return ()
        candidates = self._search(AnswerTest(flags, rows), [Stage(hypotheses.flag_terms(self.terms, flag))])
        return decide(candidates, self.conditions, rows)

    def _search(self, test: AnswerTest, stages: Iterable[Stage]) -> list[AnswerCandidate]:
        return hypotheses.search(self.terms, test, stages)

    def _remembered(self, key: tuple[Any, ...], search: Callable[[], list[AnswerCandidate]]) -> list[AnswerCandidate]:
        """The candidates found before for the same answers on the same rows, or those that `search` finds."""
        if key not in self._candidates:
            self._candidates[key] = search()
        return self._candidates[key]

    def _decided(self, candidates: Sequence[AnswerCandidate], conditions: _LazyConditions, rows: int) -> Cases:
        total = [each for each in candidates if not rows & ~each.explains]
        if total:
            return always(min(total, key=lambda each: (each.cost, each.text)).text)
        return decide(candidates, conditions.value, rows)

    def _grad(self, metas: Sequence[TensorMeta | None], rows: int) -> Cases:
        if self._level == "aten":
            return always("False")
        needs = [MISSING if meta is None else meta.requires_grad for meta in metas]
        operands = [*self.terms.of("Tensor"), *self.terms.of("Tensors")]
        operands = [term for term in operands if "[" not in term.text or "[i]" in term.text]
        whole = [
            Term(term.text, "Operand", [None if value is MISSING else value for value in term.values], term.cost)
            for term in operands
        ]
        asking = PRIMITIVES["any_requires_grad"].function
        possible = (
            bits(asking(*values) for values in zip(*(term.values for term in whole), strict=True)) if whole else 0
        )
        unclear = possible & ~bits(need is True for need in needs) & ~self.sample.tried
        rows = rows & ~unclear or rows  # no gradient, though an argument has one: perhaps recorded under no_grad
        test = AnswerTest(needs, rows)
        return decide(self._search(test, hypotheses.grad_stages(self.terms, test, whole)), self.conditions, rows)


def _rivals(
    cases: Cases, candidates: Sequence[AnswerCandidate], conditions: _LazyConditions | Sequence[Condition], rows: int
) -> tuple[Cases, ...]:
    """Other cases that explain as much: the next simplest candidates, or the same ones under other conditions."""
    if len(cases) > 1:
        all_conditions = conditions.value if isinstance(conditions, _LazyConditions) else conditions
        return tuple(alternatives(cases, all_conditions, rows))[:MOST_RIVALS]
    total = sorted((each for each in candidates if not rows & ~each.explains), key=lambda each: (each.cost, each.text))
    return tuple(always(each.text) for each in total[1 : 1 + MOST_RIVALS])


def _explaining(views: Sequence[Term], test: AnswerTest) -> list[Term]:
    """Views that have the shape of the output on most probes; those that always have it first, then simple ones."""
    hits = ((view, test.hits(hypotheses.fact(view, "shape", "Ints")).bit_count()) for view in views)
    views_with_shape = [(view, count < len(test.probes)) for view, count in hits if count > len(test.probes) / 2]
    return [view for view, _ in sorted(views_with_shape, key=lambda pair: (pair[1], pair[0].cost))[:MOST_VIEWS]]


def _doubt(cases: Cases) -> tuple[bool, int]:
    return any(case.answer == UNKNOWN for case in cases), len(cases)


def _is_kept(meta: TensorMeta, old: TensorMeta) -> bool:
    return (meta.shape, meta.stride, meta.storage_offset, meta.dtype) == (
        old.shape,
        old.stride,
        old.storage_offset,
        old.dtype,
    )


class _LazyConditions:
    """Conditions, computed when first read."""

    def __init__(self, make: Callable[[], list[Condition]]) -> None:
        self._make = make
        self._value: list[Condition] | None = None

    @property
    def value(self) -> list[Condition]:
        if self._value is None:
            self._value = self._make()
        return self._value


class _LazyTerms(Sequence[Term]):
    """Terms, computed when first read."""

    def __init__(self, make: Callable[[], list[Term]]) -> None:
        self._make = make

    def __len__(self) -> int:
        return len(self._make())

    def __getitem__(self, index: Any) -> Any:
        return self._make()[index]

    def __iter__(self) -> Iterator[Term]:
        return iter(self._make())
