"""Abstention: where a rule was refuted and none better was found, it is made to say nothing there.

The calls that it gets wrong are told apart from the others by guards, and what these pick is answered no more.
Knows nothing of how rules are found, or of trials.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from passes.infer.assess import tally
from passes.infer.guards import Guard, conjunction, guards_of
from passes.infer.observation import sample_of
from passes.infer.sample import bits
from passes.record.calls import Call
from passes.rules.rule import UNKNOWN, Case, Rule

MOST_CALLS: Final = 600
PAIRED: Final = 40  # guards that are tried two at a time


def abstaining(rule: Rule, calls: Sequence[Call]) -> Rule:
    """The rule without an answer where it is wrong about `calls`, and where guards do not tell those from others."""
    own = [call for call in calls if tuple(call.arguments) == rule.parameters]
    found = tally(rule.op, [rule], own, examples=len(own))
    wrong = {id(call) for call, said in found.examples if said is not None}
    silent = {id(call) for call, said in found.examples if said is None}
    right = [call for call in own if id(call) not in wrong | silent]
    looked_at = [call for call in own if id(call) in wrong][:MOST_CALLS] + right[:MOST_CALLS]
    flags = [id(call) in wrong for call in looked_at]
    if not any(flags):
        return rule
    guards = _covering(guards_of(sample_of(rule.parameters, looked_at)), bits(flags), len(flags))
    return replace(rule, form=(*(Case(guard.text, UNKNOWN) for guard in guards), *rule.form))


def _covering(guards: Sequence[Guard], wrong: int, size: int) -> list[Guard]:
    """Guards that hold wherever a rule is wrong, and seldom elsewhere: a greedy set cover.

    One that always holds ends it, where nothing tells the last of the wrong calls apart.
    """
    everywhere = (1 << size) - 1
    total = [guard for guard in guards if guard.defined == everywhere]
    ranked = sorted(total, key=lambda guard: -_worth(guard.holds, wrong))[:PAIRED]
    pool = [*total, *(conjunction(*pair, everywhere) for pair in itertools.combinations(ranked, 2))]
    found: list[Guard] = []
    while wrong:
        best = max(pool, key=lambda guard: (_worth(guard.holds, wrong), -guard.cost, guard.text), default=None)
        if best is None or not best.holds & wrong:
            return [*found, Guard("True", everywhere, everywhere, 0.0)]
        found.append(best)
        wrong &= ~best.holds
    return found


def _worth(holds: int, wrong: int) -> float:
    """Wrong calls that a guard picks, for each call that it picks; a little more for those that pick many."""
    hit = (holds & wrong).bit_count()
    return hit**1.3 / (1 + holds.bit_count())
