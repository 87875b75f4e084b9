"""Discriminating inputs: new inputs for which a rule and a rival that explains as much predict different outcomes.

A trial of such an input refutes one of the two; on any other input both stand or fall together.
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

MOST_RIVALS: Final = 24
PER_RIVAL: Final = 12  # inputs on which each rival disagrees with the rule; more add nothing
LOOKED_AT: Final = 8  # inputs made for each trial in search of discriminating ones
FRUITLESS: Final = 2  # inputs for each trial that discriminate nothing, after which the search ends


def discriminating_inputs(
    rules: Sequence[Rule], rivals: Sequence[Rule], bases: Sequence[Call], draw: random.Random, budget: int
) -> list[CallVariant]:
    """At most `budget` variants of `bases`: half of them discriminating, as far as such are found, the others any."""
    if not rivals:
        return list(variants(bases, draw, budget))
    contest = Contest(rules, rivals[:MOST_RIVALS])
    discriminating: list[CallVariant] = []
    plain: list[CallVariant] = []
    idle = 0
    for variant in variants(bases, draw, LOOKED_AT * budget):
        if contest.discriminates(variant.arguments):
            discriminating.append(variant)
            idle = 0
        else:
            plain.append(variant)
            idle += 1
        enough = len(discriminating) >= budget // 2 or idle >= FRUITLESS * budget
        if len(plain) >= budget // 2 and enough:
            break
    return discriminating[: budget // 2] + plain[: budget // 2]


class Contest:
    """Rules and their rivals. A rival that enough inputs discriminate from its rule is asked no more."""

    def __init__(self, rules: Sequence[Rule], rivals: Sequence[Rule]) -> None:
        self._rules = {rule.parameters: Answerer(rule) for rule in rules}
        self._rivals: dict[tuple[str, ...], list[Answerer]] = defaultdict(list)
        self._inputs: dict[int, int] = defaultdict(int)  # how many inputs discriminate each rival
        for rival in rivals:
            self._rivals[rival.parameters].append(Answerer(rival))

    def discriminates(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a rival that is still asked predicts another outcome for these arguments than the rule."""
        rule = self._rules.get(tuple(arguments))
        values = tuple(arguments.values())
        if rule is None or not rule.is_inside(values):
            return False
        places = places_of(arguments)
        prediction = _predicted(rule.said_of, values, places)
        against = [
            rival
            for rival in self._rivals[rule.rule.parameters]
            if self._inputs[id(rival)] < PER_RIVAL
            and (other := _predicted(rival.said_of, values, places)) is not None
            and other != prediction
        ]
        for rival in against:
            self._inputs[id(rival)] += 1
        return bool(against)


def _predicted(
    ask: Callable[[Sequence[Any], Mapping[str, int], bool], Outcome | None],
    values: Sequence[Any],
    places: Mapping[str, int],
) -> Outcome | None:
    try:
        return ask(values, places, True)
    except PredictedError:
        return None
