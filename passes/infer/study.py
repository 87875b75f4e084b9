"""The study of one operator: learn rules from its calls, try to refute them on the real operator, learn again.

A study is bounded by counted work (trials, rounds, terms tried), never by the clock: equal calls and equal plans give
equal rules on any machine. Knows nothing of files or of other operators.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch

from passes.infer.assessment.assess import tally
from passes.infer.search.learn import FEWEST, learn
from passes.infer.search.observation import answered, domain_of, is_plain
from passes.infer.trials.discriminate import telling
from passes.infer.trials.runner import CrashLog, TrialRunner, trials_made
from passes.infer.trials.value_dependence import ValueDependence, identity_of
from passes.infer.trials.variants import variants
from passes.infer.validity.in_distribution import has_constant_shape, of_ordinary, ordinary, where_varied
from passes.infer.validity.withdraw import abstaining
from passes.infer.worker import Crash
from passes.meta import TensorMeta
from passes.operators.outcome import leaves
from passes.record.calls import Call, Failure
from passes.rules.rule import UNKNOWN, Rule, always

MOST_BASES: Final = 250  # recorded calls that trials are made from
MOST_CALLS: Final = 1500  # recorded calls of one operator that are looked at
ROUNDS: Final = 8
TERMS: Final = 400_000  # some 30 s of a processor; nine studies of ten end long before, with nothing to refute
MOST_LISTS: Final = 4  # of parameters, each of which is given its own share of trials
FEW_ANSWERED: Final = 0.95  # share of the recorded calls below which rules were spoilt by what trials showed
FEW_WRONG: Final = 3
TOLERATED: Final = 0.05  # share of the last trials that may be wrong where a study ran out of rounds or of terms
COST_OF_WRONG: Final = 4.0  # a share of wrong answers weighs so many times as much as one without any
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
    """Rules for `op` that explain `calls` and that no trial refuted in the last round."""
    log = None if laboratory is None else CrashLog(laboratory)
    draw = random.Random(f"{plan.seed} {level} {op}")
    recorded = _bounded(_distinct(calls), draw)
    bases = _sample(recorded, MOST_BASES, draw)
    values = ValueDependence(op, level, log)
    known = {identity_of(call): call for call in [*recorded, *values.dependent(bases)]}
    must: list[Call] = []
    rules, rivals, terms = _explaining(op, level, list(known.values()), must)
    first = rules
    trials = refuted = 0
    clean = log is None
    for number in range(plan.rounds if log is not None and bases else 0):
        assert log is not None
        chosen = telling(rules, rivals, bases, draw, plan.trials * max(1, min(len(rules), MOST_LISTS)))
        if not chosen:
            clean = True
            break
        seen = values.marked(trials_made(log.observe_all(op, level, chosen)))
        trials += len(seen)
        found = tally(op, rules, seen)
        refuted += found.wrong
        clean = found.wrong == 0
        if clean and number and found.unknown <= 0.02 * found.calls:
            break
        if terms >= plan.terms:
            break
        good = [call for call in seen if not isinstance(call.outcome, Failure)]
        must += good[-MOST_BASES:] if found.wrong else []
        known.update((identity_of(call), call) for call in seen)
        bases = _sample([*bases, *good], MOST_BASES, draw)
        rules, rivals, tried = _explaining(op, level, list(known.values()), must)
        terms += tried
    rules = _reconciled(op, level, rules, _distinct(calls), known, must)
    share = _answered(op, rules, recorded)
    if not clean or share < FEW_ANSWERED:
        choices = [rules, first]
        if log is not None and share < FEW_ANSWERED:
            choices.append(_of_ordinary(op, level, recorded, list(known.values())))
        rules = _confirmed(op, level, choices, log, bases, recorded, list(known.values()), draw, plan, values)
    if sum(not isinstance(call.outcome, Failure) for call in recorded) < FEWEST:
        rules = [_unknown([rule])[0] if has_constant_shape(rule) else rule for rule in rules]
    evidence = [
        replace(
            rule,
            provenance=replace(
                rule.provenance, calls=len(recorded), trials=trials, refuted=refuted, dependent=values.count
            ),
        )
        for rule in (where_varied(rule, known.values()) for rule in rules)
    ]
    crashes = () if log is None else tuple(log.crashes)
    return Study(op, level, tuple(evidence), len(recorded), trials, refuted, crashes, terms, clean)


def _distinct(calls: Sequence[Call]) -> list[Call]:
    found: dict[object, Call] = {}
    for call in calls:
        if is_plain(call):
            found.setdefault((identity_of(call), isinstance(call.outcome, Failure)), call)
    return list(found.values())


def _bounded(calls: Sequence[Call], draw: random.Random) -> list[Call]:
    """At most MOST_CALLS, without the largest: sizes beyond the ordinary say little."""
    return list(calls) if len(calls) <= MOST_CALLS else _sample(calls, MOST_CALLS, draw)


def _sample(calls: Sequence[Call], most: int, draw: random.Random) -> list[Call]:
    """At most so many of those that succeeded: of every kind some, smaller ones first."""
    good = [call for call in calls if not isinstance(call.outcome, Failure)]
    if len(good) <= most:
        return good
    kinds: dict[object, list[Call]] = defaultdict(list)
    for call in draw.sample(good, len(good)):
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
    metas = leaves(tuple(call.arguments.values()))
    return sum(int(meta.element_count) for meta in metas if isinstance(meta, TensorMeta))


def _explaining(op: str, level: str, calls: Sequence[Call], must: list[Call]) -> tuple[list[Rule], list[Rule], int]:
    """Rules learned of a part of the calls that reproduce all, their rivals, and how many terms were tried.

    `must` grows by the calls that such a part has to contain.
    """
    rules: list[Rule] = []
    rivals: list[Rule] = []
    tried = 0
    for _ in range(4):
        learned = learn(op, level, calls, must)
        rules = [each.rule for each in learned]
        rivals = [rival for each in learned for rival in each.rivals]
        tried += sum(each.tried for each in learned)
        wrong = _contradicting(op, rules, calls)
        if not wrong:
            break
        must += wrong[:200]
    return rules, rivals, tried


def _reconciled(
    op: str, level: str, rules: list[Rule], calls: Sequence[Call], known: dict[object, Call], must: list[Call]
) -> list[Rule]:
    """Rules that hold for all recorded calls, those that were not looked at before too, and say so in their domains."""
    for _ in range(2):
        rest = [call for call in calls if identity_of(call) not in known]
        wider = [_widened(rule, [*known.values(), *rest]) for rule in rules]
        wrong = _contradicting(op, wider, rest)
        if not wrong:
            return wider
        must += wrong[:200]
        known.update((identity_of(call), call) for call in wrong)
        rules, _, _ = _explaining(op, level, list(known.values()), must)
    return rules


def _answered(op: str, rules: Sequence[Rule], calls: Sequence[Call]) -> float:
    """Share of calls that rules answer, of those that they could."""
    found = tally(op, rules, calls)
    return _share(found.answered, found.calls) if found.calls else 1.0


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _widened(rule: Rule, calls: Sequence[Call]) -> Rule:
    return replace(rule, domain=domain_of(rule.parameters, answered(rule.parameters, calls)))


def _contradicting(op: str, rules: Sequence[Rule], calls: Sequence[Call]) -> list[Call]:
    found = tally(op, rules, calls, examples=1 << 30)
    return [call for call, said in found.examples if said is not None]


def _of_ordinary(op: str, level: str, recorded: Sequence[Call], calls: Sequence[Call]) -> list[Rule]:
    """Rules for what is like the recorded calls alone."""
    rules, _, _ = _explaining(op, level, ordinary(recorded, calls), [])
    return [of_ordinary(rule, recorded) for rule in rules]


def _unknown(rules: Sequence[Rule]) -> list[Rule]:
    return [replace(rule, form=always(UNKNOWN), outputs=(), writes={}) for rule in rules]


def _confirmed(
    op: str,
    level: str,
    choices: Sequence[Sequence[Rule]],
    laboratory: TrialRunner | None,
    bases: Sequence[Call],
    recorded: Sequence[Call],
    known: Sequence[Call],
    draw: random.Random,
    plan: Plan,
    values: ValueDependence,
) -> list[Rule]:
    """For each list of parameters the rule that explains most recorded calls, of those hardly refuted.

    It is asked inside of the domain of the recorded calls alone, and a last round of trials must refute almost
    nothing there; one that is refuted is asked once more where it was not. Where all are refuted nothing is known.
    """
    if laboratory is None or not bases:
        return list(choices[0])
    seen, later = (
        values.marked(trials_made(laboratory.observe_all(op, level, list(variants(bases, draw, plan.trials)))))
        for _ in range(2)
    )
    kept: dict[tuple[str, ...], tuple[float, Rule]] = {}
    for rule in (rule for rules in choices for rule in rules):
        narrow = _widened(rule, recorded)
        for made, trials in ((narrow, seen), (abstaining(narrow, [*recorded, *known, *seen]), later)):
            own = [call for call in trials if tuple(call.arguments) == rule.parameters]
            found, told = tally(op, [made], own), tally(op, [made], recorded)
            sound = found.wrong <= max(FEW_WRONG, TOLERATED * found.answered) and not told.wrong
            worth = (
                _share(told.exact, told.calls) - COST_OF_WRONG * _share(found.wrong, found.answered) if sound else -1
            )
            if worth > kept.get(rule.parameters, (-2, rule))[0]:
                kept[rule.parameters] = worth, made if sound else _unknown([rule])[0]
    return [rule for _, rule in kept.values()]
