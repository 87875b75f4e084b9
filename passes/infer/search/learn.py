"""Learning: from the recorded calls of one operator to its rules.

There is one rule for each list of parameters that the operator was called with. Every question about the result is
decided on its own; what no cases explain stays unanswered. Knows nothing of trials, files or other operators.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from passes.infer.search import hypotheses
from passes.infer.search.arithmetic import bracketed
from passes.infer.search.conditions import Condition, conditions_of
from passes.infer.search.decide import AnswerCandidate, decide
from passes.infer.search.kinds import kind_of
from passes.infer.search.observation import (
    Observation,
    domain_of,
    hash_of,
    is_plain,
    layouts_of,
    observed,
    sample_of,
    spread,
)
from passes.infer.search.questions import Questions, views_of
from passes.infer.search.sample import CallSample, Term, bits
from passes.infer.search.terms import Terms
from passes.meta import TensorMeta
from passes.operators.outcome import New, Same
from passes.record.calls import Call
from passes.rules.answer import places_of
from passes.rules.rule import UNKNOWN, Case, Cases, Output, Provenance, Rule, always, identifier

FEWEST: Final = 3  # successful calls that a rule needs
MOST_OF_DEPENDENT: Final = 4  # cases of a form that depends on values: more are an accident of the values tried
MOST_ROWS: Final = 400  # calls that are fitted; a study compares the others with the rule


@dataclass(frozen=True, slots=True)
class LearnedRule:
    """A rule, others that explain the same calls (trials should tell them apart), and how many terms were tried."""

    rule: Rule
    rivals: tuple[Rule, ...]
    tried: int


def learn(op: str, level: str, calls: Sequence[Call], required: Sequence[Call] = ()) -> list[LearnedRule]:
    """The rules that explain `calls`, one for each list of parameters; the lists with most calls first.

    Of many calls a part is fitted that has one of each kind, and all of `required`.
    """
    needed = {id(call) for call in required}
    groups: dict[tuple[str, ...], list[Call]] = defaultdict(list)
    for call in calls:
        if is_plain(call):
            groups[tuple(call.arguments)].append(call)
    return [
        learned
        for parameters, same in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
        if (learned := _learned(op, level, parameters, same, needed)) is not None
    ]


def _learned(
    op: str, level: str, parameters: tuple[str, ...], calls: Sequence[Call], needed: Set[int]
) -> LearnedRule | None:
    good = [each for call in calls if (each := observed(call)) is not None]
    if len(good) < FEWEST:
        return None
    first = [each for each in good if id(each.call) in needed][:MOST_ROWS]
    rest = [each for each in good if id(each.call) not in needed]
    fitted = first + spread(rest, MOST_ROWS - len(first))
    learner = Learner(parameters, fitted, level)
    form, many = learner.form()
    outputs = learner.many_outputs() if many else learner.outputs()
    rule = Rule(
        op=op,
        level=level,
        parameters=parameters,
        form=form,
        outputs=tuple(outputs),
        writes=learner.writes(),
        raises=(),
        domain=domain_of(parameters, [each.call for each in good]),
        provenance=Provenance(
            corpus=hash_of(calls), calls=len(calls), torch=torch.__version__, layouts=tuple(sorted(layouts_of(good)))
        ),
    )
    return LearnedRule(rule, tuple(_rivals(rule)), learner.tried)


def _rivals(rule: Rule) -> Iterator[Rule]:
    """The rule with other cases for one question."""
    for place, output in enumerate(rule.outputs):
        for other in _rival_outputs(output):
            yield replace(rule, outputs=(*rule.outputs[:place], other, *rule.outputs[place + 1 :]))
    for name, output in rule.writes.items():
        for other in _rival_outputs(output):
            yield replace(rule, writes={**rule.writes, name: other})


def _rival_outputs(output: Output) -> Iterator[Output]:
    """Alternatives for all questions by turns, so that the trials left for each are about as many."""
    rows = itertools.zip_longest(
        *([(question, cases) for cases in rivals] for question, rivals in output.rivals.items())
    )
    for row in rows:
        for pair in row:
            if pair is not None:
                yield replace(output, **{pair[0]: pair[1]})


class Learner:
    """All questions about the calls of one operator with one list of parameters."""

    def __init__(self, parameters: Sequence[str], observations: Sequence[Observation], level: str) -> None:
        self.observations = observations
        self.parameters = parameters
        self.level = level
        self.sample = sample_of(parameters, [each.call for each in observations])
        self._searched: list[Terms] = []
        self.terms = self._terms_of(self.sample)
        self.optional = False  # whether the result may have None in the place of a tensor
        self._starts = [places_of(each.call.arguments) for each in observations]  # numbers of the first tensors
        self.candidates_found: dict[tuple[Any, ...], list[AnswerCandidate]] = {}
        self._conditions: list[Condition] | None = None
        self._views: list[Term] | None = None

    @property
    def conditions(self) -> list[Condition]:
        """The conditions that may tell the cases of this sample apart; computed once."""
        if self._conditions is None:
            self._conditions = conditions_of(self.sample)
        return self._conditions

    @property
    def tried(self) -> int:
        """How many terms were compared with recorded answers so far."""
        return sum(terms.tried for terms in self._searched)

    def _terms_of(self, sample: CallSample) -> Terms:
        self._searched.append(Terms(sample))
        return self._searched[-1]

    def form(self) -> tuple[Cases, bool]:
        """Cases for the structure of the result, and whether it is a list of many similar outputs."""
        forms = [each.form for each in self.observations]
        lists = [form for form in forms if form.startswith(("[tensor", "(tensor", "[]", "()"))]
        lengths = {form.count("tensor") for form in forms}
        uniform = len(lists) == len(forms) and all("None" not in form and "((" not in form for form in forms)
        if uniform and (len(lengths) > 1 or forms[0].startswith("[")) and UNKNOWN not in "".join(forms):
            return self._many(forms), True
        shown_forms = [form if UNKNOWN not in form else UNKNOWN for form in forms]
        everything = self.sample.everything
        choices = sorted(set(shown_forms) - {UNKNOWN})
        candidates = [
            AnswerCandidate(form, bits(each == form for each in shown_forms), 1.0 + len(form) / 50)
            for form in choices[:12]
        ]
        if UNKNOWN in shown_forms:
            candidates.append(AnswerCandidate(UNKNOWN, bits(each == UNKNOWN for each in shown_forms), 2.0))
        if all(form == UNKNOWN for form in shown_forms):
            return always(UNKNOWN), False
        if len(candidates) == 1 and candidates[0].explains == everything:
            return always(candidates[0].text), False
        if (
            len(choices) > 1
            and len({each.places for each in self.observations}) == 1
            and self.observations[0].places != "tensor_0"
        ):
            self.optional = True
            return always(self.observations[0].places), False
        cases = decide(candidates, self.conditions, everything)
        return always(UNKNOWN) if UNKNOWN in shown_forms and len(cases) > MOST_OF_DEPENDENT else cases, False

    def _many(self, forms: Sequence[str]) -> Cases:
        lengths = [form.count("tensor") for form in forms]
        test = hypotheses.AnswerTest(lengths, self.sample.everything)
        candidates = hypotheses.search(self.terms, test, hypotheses.count_stages(self.terms, test))
        cases = decide(candidates, self.conditions, self.sample.everything)
        opening = "[each]" if forms[0].startswith("[") else "(each)"
        return tuple(
            Case(case.condition, case.answer if case.answer == UNKNOWN else f"{opening} * {bracketed(case.answer)}")
            for case in cases
        )

    def outputs(self) -> list[Output]:
        """An output for each place of the result; one without tensors has no cases."""
        places = max((len(each.outputs) for each in self.observations), default=0)
        return [self._output(place) for place in range(places)]

    def _output(self, place: int) -> Output:
        rows = [
            number
            for number, each in enumerate(self.observations)
            if len(each.outputs) > place and (self.optional or isinstance(each.outputs[place], New | Same))
        ]
        if not rows:
            return Output(())
        questions = self._part(rows)
        return questions.answer(
            [self.observations[row].outputs[place] for row in rows], [self.observations[row].call for row in rows]
        )

    def many_outputs(self) -> list[Output]:
        """The one output that describes all elements of a list."""
        pairs = [
            (each.call, number, output)
            for each in self.observations
            for number, output in _sampled(each.outputs)
            if isinstance(output, New | Same)
        ]
        if not pairs:
            return [Output(())]
        sample = sample_of(self.parameters, [call for call, _, _ in pairs], [number for _, number, _ in pairs])
        questions = Questions(sample, self._terms_of(sample), self.level)
        return [questions.answer([output for *_, output in pairs], [call for call, *_ in pairs])]

    def _part(self, rows: Sequence[int]) -> Questions:
        if len(rows) == len(self.observations):
            return Questions(self.sample, self.terms, self.level, self)
        sample = sample_of(self.parameters, [self.observations[row].call for row in rows])
        return Questions(sample, self._terms_of(sample), self.level)

    def views(self) -> list[Term]:
        """The terms that are views of arguments; computed once."""
        if self._views is None:
            self._views = views_of(self.terms)
        return self._views

    def writes(self) -> Mapping[str, Output]:
        """The parameters that were written to, as they are after the call."""
        observations: dict[str, Output] = {}
        for name in self.parameters:
            rows, numbers, afters = self._written(name)
            if any(after is not None for after in afters):
                calls = [self.observations[row].call for row in rows]
                many = any(number is not None for number in numbers)
                sample = sample_of(self.parameters, calls, [number or 0 for number in numbers] if many else None)
                questions = Questions(sample, self._terms_of(sample), self.level)
                observations[name] = questions.after(afters, f"{identifier(name)}[i]" if many else identifier(name))
        return observations

    def _written(self, name: str) -> tuple[list[int], list[int | None], list[TensorMeta | None]]:
        """Rows where the parameter holds tensors, the number of each in its list, and its meta after a write (or None).

        Rows where it shares memory with another argument are left out if possible: which of the two was written to is
        unknown there.
        """
        alone = [
            row for row, each in enumerate(self.observations) if not _shares(each.call, name, self._starts[row][name])
        ]
        rows: list[int] = []
        numbers: list[int | None] = []
        afters: list[TensorMeta | None] = []
        for row in alone or range(len(self.observations)):
            each = self.observations[row]
            value = each.call.arguments[name]
            start = self._starts[row][name]
            mutated = each.call.outcome.mutated  # type: ignore[union-attr]
            if isinstance(value, TensorMeta):
                rows.append(row)
                numbers.append(None)
                afters.append(mutated.get(start))
            elif kind_of(value) == "Tensors" and value and all(isinstance(part, TensorMeta) for part in value):
                for number, _ in _sampled(value):
                    rows.append(row)
                    numbers.append(number)
                    afters.append(mutated.get(start + number))
        return rows, numbers, afters


def _shares(call: Call, name: str, start: int) -> bool:
    """Whether an argument, whose tensors have the numbers from `start` on, shares memory with another argument."""
    value = call.arguments[name]
    count = len(value) if isinstance(value, tuple) else 1
    memories = call.shares[start : start + count]
    return any(memory in memories for memory in (*call.shares[:start], *call.shares[start + count :]))


def _sampled(parts: Sequence[Any]) -> list[tuple[int, Any]]:
    pairs = list(enumerate(parts))
    return pairs if len(pairs) <= 6 else [*pairs[:3], *pairs[-3:]]
