"""Telling inputs: new ones on which a rule and another that explains as much disagree, for trials to decide.

Knows nothing of how either was found, or of what comes of the trials.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from passes.infer.trials.variant import CallVariant
from passes.infer.trials.variants import variants
from passes.operators.outcome import Outcome
from passes.record.calls import Call
from passes.rules.answer import Answerer, places_of
from passes.rules.generate import PredictedError
from passes.rules.rule import Rule

MOST_RIVAL_RULES: Final = 24
PER_RIVAL: Final = 12  # inputs on which each of them disagrees
LOOKED_AT: Final = 8  # inputs made for each trial, in search of those
FRUITLESS: Final = 2  # inputs for each trial that tell nothing, after which the search ends


def telling(
    rules: Sequence[Rule], rivals: Sequence[Rule], bases: Sequence[Call], draw: random.Random, budget: int
) -> list[CallVariant]:
    """Half of `budget` inputs such that a rule and a rival disagree, as far as such are found; the others any."""
    if not rivals:
        return list(variants(bases, draw, budget))
    contest = Contest(rules, rivals[:MOST_RIVAL_RULES])
    found: list[CallVariant] = []
    plain: list[CallVariant] = []
    idle = 0
    for variant in variants(bases, draw, LOOKED_AT * budget):
        if contest.tells(variant.arguments):
            found.append(variant)
            idle = 0
        else:
            plain.append(variant)
            idle += 1
        if len(plain) >= budget // 2 and (len(found) >= budget // 2 or idle >= FRUITLESS * budget):
            break
    return found[: budget // 2] + plain[: budget // 2]


class Contest:
    """Rules and their rivals, of which each is told apart by so many inputs and not asked any more then."""

    def __init__(self, rules: Sequence[Rule], rivals: Sequence[Rule]) -> None:
        self._rules = {rule.parameters: Answerer(rule) for rule in rules}
        self._rivals: dict[tuple[str, ...], list[Answerer]] = defaultdict(list)
        self._told: dict[int, int] = defaultdict(int)
        for rival in rivals:
            self._rivals[rival.parameters].append(Answerer(rival))

    def tells(self, arguments: Mapping[str, Any]) -> bool:
        """Whether some rival that is not told apart often enough says otherwise of these arguments than the rule."""
        rule = self._rules.get(tuple(arguments))
        values = tuple(arguments.values())
        if rule is None or not rule.is_inside(values):
            return False
        places = places_of(arguments)
        said = _said(rule.said_of, values, places)
        against = [
            rival
            for rival in self._rivals[rule.rule.parameters]
            if self._told[id(rival)] < PER_RIVAL
            and (other := _said(rival.said_of, values, places)) is not None
            and other != said
        ]
        for rival in against:
            self._told[id(rival)] += 1
        return bool(against)


def _said(
    ask: Callable[[Sequence[Any], Mapping[str, int], bool], Outcome | None],
    values: Sequence[Any],
    places: Mapping[str, int],
) -> Outcome | None:
    try:
        return ask(values, places, True)
    except PredictedError:
        return None
