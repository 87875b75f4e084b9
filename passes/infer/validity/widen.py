"""A rule's domain, widened to what trials beyond it confirm: other ranks, dtypes, kinds of arguments, words.

The rule itself stays as it is. Knows nothing of how rules are found.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from passes.infer.assessment.assess import tally
from passes.infer.search.observation import domain_of, is_plain
from passes.infer.trials.out_of_distribution import EDGES
from passes.infer.trials.runner import TrialRunner, trials_made
from passes.infer.trials.value_dependence import ValueDependence, identity_of
from passes.infer.trials.variant import CallVariant
from passes.infer.trials.variants import variants
from passes.infer.validity.novelty import TABLES, Novelty, novelties_in
from passes.record.calls import Call, Failure
from passes.rules.rule import Domain, Rule

ENOUGH: Final = 4  # trials that must confirm each thing that is new, while none denies it
MOST_BASES: Final = 150  # calls that trials are made from


def widened(
    rules: Sequence[Rule], calls: Sequence[Call], laboratory: TrialRunner, trials: int, seed: int = 0
) -> list[Rule]:
    """The rules of one operator, for as much more than they were found for as trials on the real one confirm.

    Those that are unknown, or whose operator depends on values, stay as they are.
    """
    if all(_stays(rule) for rule in rules):
        return list(rules)
    draw = random.Random(f"{seed} widened {rules[0].op}")
    good = [call for call in calls if not isinstance(call.outcome, Failure) and is_plain(call)]
    bases = good if len(good) <= MOST_BASES else draw.sample(good, MOST_BASES)
    seen = _tried(rules[0], laboratory, variants(bases, draw, trials, EDGES))
    unsettled = [call for rule in rules if not _stays(rule) for call in _Verdicts(rule, seen).unsettled]
    seen += _tried(rules[0], laboratory, variants(unsettled, draw, trials))
    return [rule if _stays(rule) else _Verdicts(rule, seen).widened() for rule in rules]


def _tried(rule: Rule, laboratory: TrialRunner, drawn: Iterable[CallVariant]) -> list[Call]:
    """The calls of trials that worked; the outcome of those that depend on values says so, and agrees with nothing."""
    chosen = list(drawn)
    seen = laboratory.observe_all(rule.op, rule.level, chosen) if chosen else []
    good = [call for call in trials_made(seen) if not isinstance(call.outcome, Failure)]
    marked = {identity_of(call): call for call in ValueDependence(rule.op, rule.level, laboratory).dependent(good)}
    return [marked.get(identity_of(call), call) for call in good]


def _stays(rule: Rule) -> bool:
    return rule.is_unknown or bool(rule.provenance.dependent)


class _Verdicts:
    """What trials say of a rule where it was not asked so far."""

    def __init__(self, rule: Rule, trials: Sequence[Call]) -> None:
        self.rule = rule
        self.own = [call for call in trials if tuple(call.arguments) == rule.parameters]
        self.right: Counter[Novelty] = Counter()
        self.wrong: set[Novelty] = set()
        self._beyond: list[tuple[Call, list[Novelty]]] = []
        free = replace(rule, domain=joined(rule.domain, domain_of(rule.parameters, self.own)))
        for call in self.own:
            news = list(novelties_in(call, rule.parameters, rule.domain))
            found = tally(rule.op, [free], [call] if news else [])
            if found.exact:
                self.right.update(news)
                self._beyond.append((call, news))
            elif found.wrong:
                self.wrong.update(news)

    @property
    def unsettled(self) -> list[Call]:
        """Calls that have something of which too few were seen."""
        open_ = {each for each, count in self.right.items() if count < ENOUGH and each not in self.wrong}
        return [call for call, news in self._beyond if not open_.isdisjoint(news)]

    def widened(self) -> Rule:
        """The rule with everything in its domain that enough trials confirm and none denies."""
        accepted = [each for each, count in self.right.items() if count >= ENOUGH and each not in self.wrong]
        evidence = replace(self.rule.provenance, trials=self.rule.provenance.trials + len(self.own))
        return replace(self.rule, domain=_with(self.rule.domain, accepted), provenance=evidence)


def joined(left: Domain, right: Domain) -> Domain:
    """All that either domain has."""
    return _with(left, _all_of(right))


def _all_of(domain: Domain) -> list[Novelty]:
    return [
        Novelty(table, name, value)
        for table in TABLES
        for name, values in getattr(domain, table).items()
        for value in values
    ]


def _with(domain: Domain, news: Sequence[Novelty]) -> Domain:
    """The domain with more in it. Ranks are a range: what would leave a gap is left out."""
    tables = {table: {name: set(values) for name, values in getattr(domain, table).items()} for table in TABLES}
    for table, name, value in news:
        tables[table].setdefault(name, set()).add(value)
    for name, ranks in tables["ranks"].items():
        before = domain.ranks.get(name) or (min(ranks),)
        tables["ranks"][name] = _without_gaps(ranks, min(before), max(before))
    return Domain(
        **{table: {name: tuple(sorted(values)) for name, values in found.items()} for table, found in tables.items()}
    )


def _without_gaps(ranks: set[int], least: int, most: int) -> set[int]:
    """Those from `least` to `most`, and those that follow on them."""
    while least - 1 in ranks:
        least -= 1
    while most + 1 in ranks:
        most += 1
    return {rank for rank in ranks if least <= rank <= most}
