"""Widening: a rule's domain grows by what trials outside of it confirm: ranks, dtypes, kinds of arguments, words.

The cases of the rule stay as they are. Knows nothing of how rules are found.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from passes.infer.assessment.assess import tally
from passes.infer.search.observation import domain_of, is_plain
from passes.infer.trials.kindred_dtypes import in_kindred_dtypes
from passes.infer.trials.out_of_distribution import EDGES
from passes.infer.trials.runner import TrialRunner, trials_made
from passes.infer.trials.value_dependence import ValueDependence, identity_of
from passes.infer.trials.variant import CallVariant
from passes.infer.trials.variants import variants
from passes.infer.validity.novelty import TABLES, Novelty, novelties_in
from passes.record.calls import Call, Failure
from passes.rules.rule import Domain, Rule

ENOUGH: Final = 4  # trials that must confirm a novelty, while none contradicts it
MOST_BASES: Final = 150  # calls that trials are made from


def widened(
    rules: Sequence[Rule],
    calls: Sequence[Call],
    laboratory: TrialRunner,
    trials: int,
    seed: int = 0,
    others: Sequence[CallVariant] = (),
) -> list[Rule]:
    """The rules of one operator, with domains as wide as trials on the real operator confirm.

    Inputs of `others`, such as siblings were called with, are tried too. Rules without answers, and those of operators
    that depend on values, stay as they are.
    """
    if all(_stays(rule) for rule in rules):
        return list(rules)
    draw = random.Random(f"{seed} widened {rules[0].op}")
    good = [call for call in calls if not isinstance(call.outcome, Failure) and is_plain(call)]
    bases = good if len(good) <= MOST_BASES else draw.sample(good, MOST_BASES)
    kindred = [each for rule in rules if not _stays(rule) for each in in_kindred_dtypes(bases, rule.domain, draw)]
    results = _tried(rules[0], laboratory, [*variants(bases, draw, trials, EDGES), *kindred, *others])
    unsettled = [call for rule in rules if not _stays(rule) for call in _Evidence(rule, results).unsettled]
    results += _tried(rules[0], laboratory, variants(unsettled, draw, trials))
    return [rule if _stays(rule) else _Evidence(rule, results).widened() for rule in rules]


def _tried(rule: Rule, laboratory: TrialRunner, drawn: Iterable[CallVariant]) -> list[Call]:
    """The trials that succeeded. Those that depend on values have an outcome that says so and agrees with nothing."""
    inputs = list(drawn)
    results = laboratory.observe_all(rule.op, rule.level, inputs) if inputs else []
    good = [call for call in trials_made(results) if not isinstance(call.outcome, Failure)]
    marked = {identity_of(call): call for call in ValueDependence(rule.op, rule.level, laboratory).dependent(good)}
    return [marked.get(identity_of(call), call) for call in good]


def _stays(rule: Rule) -> bool:
    return rule.is_unknown or bool(rule.provenance.dependent)


class _Evidence:
    """What trials outside of a rule's domain show: which novelties it predicts rightly, and which wrongly."""

    def __init__(self, rule: Rule, trials: Sequence[Call]) -> None:
        self.rule = rule
        self.same = [call for call in trials if tuple(call.arguments) == rule.parameters]
        self.right: Counter[Novelty] = Counter()
        self.wrong: set[Novelty] = set()
        self._beyond: list[tuple[Call, list[Novelty]]] = []
        free = replace(rule, domain=joined(rule.domain, domain_of(rule.parameters, self.same)))
        for call in self.same:
            novelties = list(novelties_in(call, rule.parameters, rule.domain))
            predicted = tally(rule.op, [free], [call] if novelties else [])
            if predicted.exact:
                self.right.update(novelties)
                self._beyond.append((call, novelties))
            elif predicted.wrong:
                self.wrong.update(novelties)

    @property
    def unsettled(self) -> list[Call]:
        """Calls with a novelty that too few trials have confirmed, and none contradicted."""
        unconfirmed = {each for each, count in self.right.items() if count < ENOUGH and each not in self.wrong}
        return [call for call, novelties in self._beyond if not unconfirmed.isdisjoint(novelties)]

    def widened(self) -> Rule:
        """The rule with every novelty in its domain that enough trials confirm and none contradicts."""
        accepted = [each for each, count in self.right.items() if count >= ENOUGH and each not in self.wrong]
        evidence = replace(self.rule.provenance, trials=self.rule.provenance.trials + len(self.same))
        return replace(self.rule, domain=_with(self.rule.domain, accepted), provenance=evidence)


def joined(left: Domain, right: Domain) -> Domain:
    """The union of two domains."""
    return _with(left, _all_of(right))


def _all_of(domain: Domain) -> list[Novelty]:
    return [
        Novelty(table, name, value)
        for table in TABLES
        for name, values in getattr(domain, table).items()
        for value in values
    ]


def _with(domain: Domain, novelties: Sequence[Novelty]) -> Domain:
    """The domain with these novelties. Ranks are a range: a rank that would leave a gap is left out."""
    tables = {table: {name: set(values) for name, values in getattr(domain, table).items()} for table in TABLES}
    for table, name, value in novelties:
        tables[table].setdefault(name, set()).add(value)
    for name, ranks in tables["ranks"].items():
        before = domain.ranks.get(name) or (min(ranks),)
        tables["ranks"][name] = _without_gaps(ranks, min(before), max(before))
    return Domain(
        **{
            table: {name: tuple(sorted(values)) for name, values in by_name.items()}
            for table, by_name in tables.items()
        }
    )


def _without_gaps(ranks: set[int], least: int, most: int) -> set[int]:
    """The contiguous run of ranks around [least, most]."""
    while least - 1 in ranks:
        least -= 1
    while most + 1 in ranks:
        most += 1
    return {rank for rank in ranks if least <= rank <= most}
