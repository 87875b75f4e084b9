"""The study of one operator: learn rules from its calls, try to refute them on the real operator, learn again.

A study is bounded by counted work (trials, rounds, terms tried), never by the clock: equal calls and equal plans give
equal rules on any machine. Knows nothing of files or of other operators.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import torch

from passes.infer.assessment.assess import tally
from passes.infer.search.learn import FEWEST, learn
from passes.infer.search.observation import answered, domain_of, is_plain
from passes.infer.trials.discriminate import discriminating_inputs
from passes.infer.trials.runner import CrashLog, TrialRunner, trials_made
from passes.infer.trials.value_dependence import ValueDependence, identity_of
from passes.infer.trials.variants import variants
from passes.infer.validity.in_distribution import (
    has_constant_shape,
    limited_to_ordinary,
    limited_to_variation,
    ordinary,
)
from passes.infer.validity.layouts import in_layouts
from passes.infer.validity.withdraw import withdrawn, withdrawn_where_wrong
from passes.infer.worker import Crash
from passes.meta import TensorMeta
from passes.operators.outcome import leaves
from passes.record.calls import Call, Failure
from passes.rules.rule import Rule

MOST_BASES: Final = 250  # calls that trials are derived from
LAYOUT_ROUNDS: Final = 3  # of calls made in every layout before a study begins: corpora have few of them
MOST_CALLS: Final = 1500  # recorded calls of one operator that are learned from
MOST_REQUIRED: Final = 200  # mispredicted calls at a time that must be fitted from then on
ROUNDS: Final = 8
TERMS: Final = 400_000  # some 30 s of a processor; most studies end long before, with nothing left to refute
MOST_SIGNATURES: Final = 4  # lists of parameters, each of which gets trials of its own
FEW_ANSWERED: Final = 0.95  # below this share of recorded calls, trials of unusual inputs have spoilt the rules
FEW_UNANSWERED: Final = 0.02  # share of the trials of a round that rules may leave unanswered at the end
FEW_WRONG: Final = 3
TOLERATED: Final = 0.05  # share of the final trials that may be mispredicted, where a study ran out of rounds or terms
COST_OF_WRONG: Final = 4.0  # one mispredicted trial costs as much as so many unanswered calls
FLAGS: Final = (bool, str, torch.memory_format)


@dataclass(frozen=True, slots=True)
class Plan:
    """How hard a study looks, in counted work.

    A round makes `trials` trials for each list of parameters. There are at most `rounds` of them, and none begins once
    the search has compared `terms` terms with recorded answers.
    """

    trials: int = 120
    rounds: int = ROUNDS
    seed: int = 0
    terms: int = TERMS


@dataclass(frozen=True, slots=True)
class Study:
    """The rules of one operator, and what finding them took.

    `trials` were made, `refuted` of which contradicted an earlier rule; `terms` were compared with recorded answers.
    `clean` says that no trial of the last round contradicted the rules.
    """

    op: str
    level: str
    rules: tuple[Rule, ...]
    calls: int
    trials: int
    refuted: int
    crashes: tuple[Crash, ...]
    terms: int
    clean: bool


def study(op: str, level: str, calls: Sequence[Call], laboratory: TrialRunner | None, plan: Plan = Plan()) -> Study:
    """Learn the rules of `op` at `level` from recorded `calls`, and try to refute them on the real operator.

    Without a laboratory there are no trials: the rules explain the calls, and nothing more is known of them. Equal
    calls and an equal plan give equal rules. Raises UnknownOperator if the laboratory has no operator of this name.
    """
    log = None if laboratory is None else CrashLog(laboratory)
    draw = random.Random(f"{plan.seed} {level} {op}")
    distinct = _distinct(calls)
    recorded = _bounded(distinct, draw)
    bases = _sample(recorded, MOST_BASES, draw)
    values = ValueDependence(op, level, log)
    dependent = values.dependent(bases)
    count = len(recorded)
    if log is not None and bases:
        recorded += _in_other_layouts(log, bases, draw, values)
    fitted = _Fitted(op, level, {identity_of(call): call for call in [*recorded, *dependent]})
    fitted.learn()
    first = fitted.rules
    trials = refuted = 0
    clean = log is None
    for number in range(plan.rounds if log is not None and bases else 0):
        assert log is not None
        budget = plan.trials * max(1, min(len(fitted.rules), MOST_SIGNATURES))
        inputs = discriminating_inputs(fitted.rules, fitted.rivals, bases, draw, budget)
        if not inputs:
            clean = True
            break
        results = values.marked(trials_made(log.observe_all(op, level, inputs)))
        trials += len(results)
        predicted = tally(op, fitted.rules, results)
        refuted += predicted.wrong
        clean = predicted.wrong == 0
        if clean and number and predicted.unknown <= FEW_UNANSWERED * predicted.calls:
            break
        if fitted.terms >= plan.terms:
            break
        successful = [call for call in results if not isinstance(call.outcome, Failure)]
        fitted.required += successful[-MOST_BASES:] if predicted.wrong else []
        fitted.calls.update((identity_of(call), call) for call in results)
        bases = _sample([*bases, *successful], MOST_BASES, draw)
        fitted.learn()
    rules = fitted.reconciled(distinct)
    share = _answered_share(op, rules, recorded)
    if not clean or share < FEW_ANSWERED:
        choices = [rules, first]
        if log is not None and share < FEW_ANSWERED:
            choices.append(_rules_of_ordinary_calls(op, level, recorded, fitted))
        if log is not None and bases:
            rounds = [
                values.marked(trials_made(log.observe_all(op, level, list(variants(bases, draw, plan.trials)))))
                for _ in range(2)
            ]
            rules = _confirmed(choices, rounds, recorded, fitted)
    if sum(not isinstance(call.outcome, Failure) for call in recorded[:count]) < FEWEST:
        rules = [withdrawn(rule) if has_constant_shape(rule) else rule for rule in rules]
    evidence = {"calls": count, "trials": trials, "refuted": refuted, "dependent": values.count}
    crashes = () if log is None else tuple(log.crashes)
    return Study(op, level, _published(rules, fitted, evidence), count, trials, refuted, crashes, fitted.terms, clean)


def _published(rules: Sequence[Rule], fitted: _Fitted, evidence: Mapping[str, int]) -> tuple[Rule, ...]:
    """The rules that a study ends with, limited to what varied in its calls, with the evidence for them."""
    limited = [limited_to_variation(rule, fitted.calls.values()) for rule in rules]
    return tuple(replace(rule, provenance=replace(rule.provenance, **evidence)) for rule in limited)


def _in_other_layouts(
    log: TrialRunner, calls: Sequence[Call], draw: random.Random, values: ValueDependence
) -> list[Call]:
    """Calls like these in every layout, as the real operator answers them; those that it refuses are left out."""
    results = trials_made(log.observe_all(calls[0].op, calls[0].level, list(in_layouts(calls, draw, LAYOUT_ROUNDS))))
    return [call for call in values.marked(results) if not isinstance(call.outcome, Failure)]


@dataclass(slots=True)
class _Fitted:
    """The calls that rules are fitted to, by identity, and the rules that were learned from them last."""

    op: str
    level: str
    calls: dict[object, Call]
    required: list[Call] = field(default_factory=list[Call])  # calls that have to be in the part that is fitted
    rules: list[Rule] = field(default_factory=list[Rule])
    rivals: list[Rule] = field(default_factory=list[Rule])
    terms: int = 0

    def learn(self) -> None:
        """Learn rules from a part of the calls that predict all of them."""
        self.rules, self.rivals, terms = _learned(self.op, self.level, list(self.calls.values()), self.required)
        self.terms += terms

    def reconciled(self, calls: Sequence[Call]) -> list[Rule]:
        """The rules, in the domain of all recorded `calls`; learned again if they mispredict one not yet fitted."""
        rules = self.rules
        for _ in range(2):
            rest = [call for call in calls if identity_of(call) not in self.calls]
            wider = [_with_domain_of(rule, [*self.calls.values(), *rest]) for rule in rules]
            wrong = _mispredicted(self.op, wider, rest)
            if not wrong:
                return wider
            self.required += wrong[:MOST_REQUIRED]
            self.calls.update((identity_of(call), call) for call in wrong)
            rules, _, _ = _learned(self.op, self.level, list(self.calls.values()), self.required)
        return rules


def _learned(op: str, level: str, calls: Sequence[Call], required: list[Call]) -> tuple[list[Rule], list[Rule], int]:
    """Rules learned from a part of the calls that predict all, their rivals, and how many terms were tried.

    `required` grows by the calls that such a part has to contain.
    """
    rules: list[Rule] = []
    rivals: list[Rule] = []
    terms = 0
    for _ in range(4):
        learned = learn(op, level, calls, required)
        rules = [each.rule for each in learned]
        rivals = [rival for each in learned for rival in each.rivals]
        terms += sum(each.tried for each in learned)
        wrong = _mispredicted(op, rules, calls)
        if not wrong:
            break
        required += wrong[:MOST_REQUIRED]
    return rules, rivals, terms


def _distinct(calls: Sequence[Call]) -> list[Call]:
    """Plain calls, one for each input and each of success and failure."""
    distinct: dict[object, Call] = {}
    for call in calls:
        if is_plain(call):
            distinct.setdefault((identity_of(call), isinstance(call.outcome, Failure)), call)
    return list(distinct.values())


def _bounded(calls: Sequence[Call], draw: random.Random) -> list[Call]:
    """At most MOST_CALLS, the largest left out: unusually large sizes say little."""
    return list(calls) if len(calls) <= MOST_CALLS else _sample(calls, MOST_CALLS, draw)


def _sample(calls: Sequence[Call], most: int, draw: random.Random) -> list[Call]:
    """At most `most` successful calls: some of every kind, smaller ones first."""
    successful = [call for call in calls if not isinstance(call.outcome, Failure)]
    if len(successful) <= most:
        return successful
    kinds: dict[object, list[Call]] = defaultdict(list)
    for call in draw.sample(successful, len(successful)):
        kinds[_kind(call)].append(call)
    queues = [sorted(kind, key=_elements) for kind in kinds.values()]
    return [call for row in itertools.zip_longest(*queues) for call in row if call is not None][:most]


def _kind(call: Call) -> object:
    """What calls have in common that differ in sizes, numbers and layouts only."""
    return tuple(
        (name, value.dtype.is_floating_point, len(value.shape))
        if isinstance(value, TensorMeta)
        else (name, value if isinstance(value, FLAGS) else type(value))
        for name, value in call.arguments.items()
    )


def _elements(call: Call) -> int:
    """How many elements the tensors of a call have."""
    metas = leaves(tuple(call.arguments.values()))
    return sum(int(meta.element_count) for meta in metas if isinstance(meta, TensorMeta))


def _answered_share(op: str, rules: Sequence[Rule], calls: Sequence[Call]) -> float:
    """Share of calls that rules answer, of those that any rule could answer."""
    predicted = tally(op, rules, calls)
    return _share(predicted.answered, predicted.calls) if predicted.calls else 1.0


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _with_domain_of(rule: Rule, calls: Sequence[Call]) -> Rule:
    """The rule with the domain of these calls."""
    return replace(rule, domain=domain_of(rule.parameters, answered(rule.parameters, calls)))


def _mispredicted(op: str, rules: Sequence[Rule], calls: Sequence[Call]) -> list[Call]:
    """The calls whose outcome the rules predict wrongly."""
    predicted = tally(op, rules, calls, examples=1 << 30)
    return [call for call, prediction in predicted.examples if prediction is not None]


def _rules_of_ordinary_calls(op: str, level: str, recorded: Sequence[Call], fitted: _Fitted) -> list[Rule]:
    """Rules learned from calls that are like the recorded ones, and that answer for no others."""
    rules, _, _ = _learned(op, level, ordinary(recorded, list(fitted.calls.values())), [])
    return [limited_to_ordinary(rule, recorded) for rule in rules]


def _confirmed(
    choices: Sequence[Sequence[Rule]], rounds: Sequence[Sequence[Call]], recorded: Sequence[Call], fitted: _Fitted
) -> list[Rule]:
    """For each list of parameters the rule that predicts most recorded calls, of those that hardly a trial refutes.

    Each is asked in the domain of the recorded calls alone, about the first of two final rounds of trials; then once
    more, withdrawn where that round refuted it, about the second. Where all are refuted, the rule gives no answer.
    """
    first, second = rounds
    best: dict[tuple[str, ...], tuple[float, Rule]] = {}
    for rule in (rule for rules in choices for rule in rules):
        narrow = _with_domain_of(rule, recorded)
        calls = [*recorded, *fitted.calls.values(), *first]
        for candidate, trials in ((narrow, first), (withdrawn_where_wrong(narrow, calls), second)):
            same = [call for call in trials if tuple(call.arguments) == rule.parameters]
            on_trials, on_recorded = tally(fitted.op, [candidate], same), tally(fitted.op, [candidate], recorded)
            sound = on_trials.wrong <= max(FEW_WRONG, TOLERATED * on_trials.answered) and not on_recorded.wrong
            exact = _share(on_recorded.exact, on_recorded.calls)
            worth = exact - COST_OF_WRONG * _share(on_trials.wrong, on_trials.answered) if sound else -1
            if worth > best.get(rule.parameters, (-2, rule))[0]:
                best[rule.parameters] = worth, candidate if sound else withdrawn(rule)
    return [rule for _, rule in best.values()]
