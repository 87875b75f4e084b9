"""Trials of tensors beside each other: a rule gives no answer any more where the real operator contradicts it.

The calls follow from the domain of a rule and a seed, and a rule only loses answers: one that was tried once stays as
it is the next time. Knows nothing of how rules are found.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from passes.infer.assessment.assess import tally
from passes.infer.trials.from_domain import LAYOUTS_ASKED, MOST_CHOICES, inputs_from, tensors_of
from passes.infer.trials.inputs import metas_of
from passes.infer.trials.out_of_distribution import EDGES
from passes.infer.trials.runner import TrialRunner, trials_made
from passes.infer.trials.together import together
from passes.infer.trials.value_dependence import ValueDependence, identity_of
from passes.infer.trials.variant import DTYPES, CallVariant, with_metas
from passes.infer.trials.variants import variants
from passes.infer.validity.layouts import MORE, LayoutEvidence
from passes.infer.validity.preconditions import with_refusals
from passes.infer.validity.withdraw import BROAD, withdrawn, withdrawn_where_wrong
from passes.record.calls import Call, Failure
from passes.rules.layout_class import ROW_MAJOR, classes_up_to
from passes.rules.rule import Case, Rule

MOST_ROUNDS: Final = 8  # of trials
CLEAN_ROUNDS: Final = 2  # in a row, after which a rule is believed
DOUBTED_ROUNDS: Final = 3  # likewise, for one that was contradicted
MOST_RIGHT: Final = 300  # calls that a rule is right about, beside which conditions for the wrong ones are looked for
COST_OF_UNSEEN: Final = 20.0  # answers that a narrowing may lose for each wrong call that it does not exclude
FEW_CALLS: Final = 20  # of a corpus: a rule learned from fewer is no law with exceptions once something contradicts it
MOST_IN_DTYPES: Final = 40  # of these that are tried in every dtype
REFUSAL_SWEEPS: Final = 3  # in which refusals are looked for, and again as many that they are checked on
AROUND_REFUSALS: Final = 600  # trials of calls like those that the operator refuses
AROUND: Final = 40  # trials of calls like those that a rule is wrong about
Narrowing = Callable[[Rule, Sequence[Call]], Rule]


def asked_of(rule: Rule, seed: object) -> Iterator[CallVariant]:
    """The calls of a sweep: one tensor in every layout, rank and dtype; several also beside each other."""
    several = len(tensors_of(rule)) > 1
    yield from inputs_from(rule, seed, every_dtype=not several)
    yield from together(rule, seed, LAYOUTS_ASKED, MOST_CHOICES)


def trials_of(rule: Rule, laboratory: TrialRunner, seed: object) -> list[Call]:
    """What the real operator makes of these calls, without those that it refuses.

    Of an operator that is known to depend on values, calls that do have an outcome that no rule predicts.
    """
    return observed(rule, laboratory, list(asked_of(rule, seed)))


def with_provoked_refusals(rule: Rule, laboratory: TrialRunner, seed: object, recorded: Sequence[Call] = ()) -> Rule:
    """The rule with preconditions that calls of a sweep provoke: shapes and types that the operator does not take.

    Calls that were `recorded` as refused count, too. A precondition that a recorded call contradicts, or a trial of
    calls like those that it refuses, is dropped again. Tensors that share memory are left out, since no rule sees what
    they share.
    """
    if rule.is_unknown or not tensors_of(rule):
        return rule
    taken = [call for call in recorded if tuple(call.arguments) == rule.parameters]
    asked, checking = (
        [*_apart(rule, laboratory, f"{seed} refused {purpose}"), *half]
        for purpose, half in (("asked", taken[::2]), ("checking", taken[1::2]))
    )
    refusing = with_refusals(rule, asked, checking)
    if refusing == rule:
        return rule
    draw = random.Random(f"{seed} refused {rule.level} {rule.op} {rule.parameters}")
    failed = [call for call in (*asked, *checking) if isinstance(call.outcome, Failure)]
    inputs = [*variants(failed, draw, AROUND_REFUSALS, EDGES), *_in_every_dtype(failed, draw)]
    like = observed(rule, laboratory, inputs)
    return without_false_refusals(refusing, [*like, *taken])


def _in_every_dtype(calls: Sequence[Call], draw: random.Random) -> Iterator[CallVariant]:
    """Some of the calls with all tensors in one dtype, in each."""
    for call, dtype in itertools.product(draw.sample(calls, min(len(calls), MOST_IN_DTYPES)), DTYPES):
        variant = CallVariant(call.arguments, call.shares)
        yield with_metas(variant, [meta.replace(dtype=dtype) for meta in metas_of(call.arguments)])


def _apart(rule: Rule, laboratory: TrialRunner, seed: object) -> list[Call]:
    """What the real operator makes of the calls of some sweeps whose tensors share no memory: refused ones too."""
    inputs = [each for number in range(REFUSAL_SWEEPS) for each in asked_of(rule, f"{seed} {number}")]
    apart = [each for each in inputs if each.shares == tuple(range(len(each.shares)))]
    return trials_made(laboratory.observe_all(rule.op, rule.level, apart)) if apart else []


def observed(rule: Rule, laboratory: TrialRunner, inputs: Sequence[CallVariant]) -> list[Call]:
    """What the real operator makes of inputs, as `trials_of` gives it."""
    results = laboratory.observe_all(rule.op, rule.level, inputs) if inputs else []
    calls = [call for call in trials_made(results) if not isinstance(call.outcome, Failure)]
    calls = [call for call in calls if tuple(call.arguments) == rule.parameters]
    if not rule.provenance.dependent:
        return calls
    dependent = ValueDependence(rule.op, rule.level, laboratory).dependent(calls)
    marked = {identity_of(call): call for call in dependent}
    return [marked.get(identity_of(call), call) for call in calls]


def tried_together(
    rules: Sequence[Rule],
    laboratory: TrialRunner,
    seed: int = 0,
    twins: Sequence[Rule] = (),
    recorded: Sequence[Call] = (),
) -> list[Rule]:
    """The rules of one operator, without the answers that trials of tensors beside each other contradict.

    `twins` are rules of the same operator under another name: a function and the method. Where one of them answers
    more of these calls, it is taken. Calls that were `recorded` count as trials that were made already.
    """
    plain = [call for call in recorded if not isinstance(call.outcome, Failure)]
    return [
        rule
        if rule.is_unknown or not tensors_of(rule)
        else _tried(_better(rule, twins, laboratory, seed), laboratory, seed, plain)
        for rule in rules
    ]


def _better(rule: Rule, twins: Sequence[Rule], laboratory: TrialRunner, seed: int) -> Rule:
    """The rule, or the twin's if it is wrong about no call of either and exact on clearly more."""
    for twin in twins:
        if twin.parameters != rule.parameters or twin.is_unknown or not tensors_of(twin):
            continue
        renamed = replace(twin, op=rule.op, level=rule.level)
        calls = [call for one in (rule, renamed) for call in trials_of(one, laboratory, f"{seed} twins")]
        (wrong, exact), (_, exact_before) = _cost(renamed, calls), _cost(rule, calls)
        if not wrong and -exact > MORE * -exact_before:
            return renamed
    return rule


def _tried(rule: Rule, laboratory: TrialRunner, seed: int, recorded: Sequence[Call]) -> Rule:
    """The rule as it is, or the narrower one that loses least, after two rounds that contradict nothing.

    From the first wrong answer on, calls like the wrong ones are tried too: a single one shows little of its kind.
    """
    draw = random.Random(f"{seed} around {rule.level} {rule.op} {rule.parameters}")
    calls: list[Call] = []
    wrong: list[Call] = []
    best, clean = rule, 0
    for number in range(MOST_ROUNDS):
        fresh = trials_of(rule, laboratory, f"{seed} {number}" if number else seed)  # those of a sweep come first
        if not number:
            fresh += [call for call in recorded if tuple(call.arguments) == rule.parameters]
        around = observed(rule, laboratory, list(variants(wrong, draw, AROUND)))
        calls += [*fresh, *around]
        if not tally(rule.op, [best], [*fresh, *around]).wrong:
            clean += 1
            if clean == (DOUBTED_ROUNDS if wrong else CLEAN_ROUNDS):
                break
            continue
        rule = without_false_refusals(rule, calls)
        wrong = _mispredicted(rule, calls)
        more = observed(rule, laboratory, list(variants(wrong, draw, AROUND)))
        wrong += _mispredicted(rule, more)
        calls += more
        if wrong and rule.provenance.calls < FEW_CALLS:
            return withdrawn(rule)
        best, clean = _narrower(rule, wrong, calls), 0
    return best


def _narrower(rule: Rule, wrong: Sequence[Call], calls: Sequence[Call]) -> Rule:
    """The rule after the narrowing that leaves most answers, and learns the wrong calls from half of them best."""
    ids = {id(call) for call in wrong}
    right = [call for call in calls if id(call) not in ids]
    right = right[:: 1 + len(right) // MOST_RIGHT]

    def worth(narrow: Narrowing) -> tuple[float, Rule]:
        half, whole = narrow(rule, [*wrong[::2], *right[::2]]), narrow(rule, [*wrong, *right])
        unseen = tally(rule.op, [half], [*wrong[1::2], *right[1::2]]).wrong
        return tally(rule.op, [whole], calls).exact - COST_OF_UNSEEN * unseen, whole

    return max(map(worth, NARROWINGS), key=lambda each: each[0])[1]


def without_false_refusals(rule: Rule, calls: Sequence[Call]) -> Rule:
    """The rule without each case that says of one of these calls, which the operator takes, that it is refused."""

    def is_right(case: Case) -> bool:
        predicted = tally(rule.op, [replace(rule, raises=(case,))], calls)
        return not any(difference.startswith("refused") for difference in predicted.differences)

    return replace(rule, raises=tuple(case for case in rule.raises if is_right(case)))


def _mispredicted(rule: Rule, calls: Sequence[Call]) -> list[Call]:
    """The calls that the rule is wrong about, each once."""
    predicted = tally(rule.op, [rule], calls, examples=len(calls))
    wrong = [call for call, prediction in predicted.examples if prediction is not None]
    return list({identity_of(call): call for call in wrong}.values())


def _cost(rule: Rule, calls: Sequence[Call]) -> tuple[int, int]:
    """Wrong answers count first, then missing ones."""
    predicted = tally(rule.op, [rule], calls)
    return predicted.wrong, -predicted.exact


def in_fewer_layouts(rule: Rule, calls: Sequence[Call]) -> Rule:
    """The rule without the layouts in which it is wrong, and where that is not enough without some calls."""
    evidence = LayoutEvidence(rule)
    evidence.add(calls)
    refuted = evidence.refuted()
    ranks = rule.domain.ranks
    layouts = {
        name: tuple(
            layout
            for layout in rule.domain.layouts.get(name) or classes_up_to(max(ranks[name], default=0))
            if (name, layout) not in refuted
        )
        or (ROW_MAJOR,)
        for name in ranks
    }
    return withdrawn_where_wrong(replace(rule, domain=replace(rule.domain, layouts=layouts)), calls)


NARROWINGS: Final[Sequence[Narrowing]] = (
    withdrawn_where_wrong,
    lambda rule, calls: withdrawn_where_wrong(rule, calls, BROAD),
    in_fewer_layouts,
)
