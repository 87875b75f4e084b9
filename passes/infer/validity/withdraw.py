"""Abstention: where a rule was refuted and none better was found, it is made to say nothing there.

The calls that it gets wrong are told apart from the others by guards, and what these pick is answered no more.
Knows nothing of how rules are found, or of trials.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from passes.infer.assessment.assess import tally
from passes.infer.search.conditions import Condition, conditions_of, conjunction
from passes.infer.search.observation import sample_of
from passes.infer.search.sample import bits
from passes.record.calls import Call
from passes.rules.rule import UNKNOWN, Case, Rule, identifier

MOST_CALLS: Final = 600
PAIRED: Final = 40  # guards that are tried two at a time
EXACT, BROAD = 1.3, 3.0  # how much a guard is preferred that picks many wrong calls, to one that picks no others
FEW: Final = 4  # wrong calls that say little of where more of them are


def abstaining(rule: Rule, calls: Sequence[Call], breadth: float = EXACT) -> Rule:
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
    conditions = _covering(conditions_of(sample_of(rule.parameters, looked_at)), bits(flags), len(flags), breadth)
    return replace(rule, form=(*(Case(condition.text, UNKNOWN) for condition in conditions), *rule.form))


def cautious(rule: Rule, held_out: Sequence[Call], calls: Sequence[Call]) -> Rule:
    """The rule after it was wrong about calls that it was not fitted to: there may be others that are like them.

    It says nothing in a wide part of its domain where those are. Where they are few it is kept for row-major
    tensors. About none of `calls` it is wrong then. One that was never wrong stays as it is.
    """
    wrong = tally(rule.op, [rule], held_out).wrong
    if not wrong:
        return rule
    if wrong > FEW:
        return abstaining(rule, calls, BROAD)
    tensors = [identifier(name) for name in rule.domain.ranks]
    told = [Case(f"is_tensor({name}) and not is_contiguous({name})", UNKNOWN) for name in tensors]
    return abstaining(replace(rule, form=(*told, *rule.form)), calls)


def _covering(conditions: Sequence[Condition], wrong: int, size: int, breadth: float) -> list[Condition]:
    """Guards that hold wherever a rule is wrong, and seldom elsewhere: a greedy set cover.

    One that always holds ends it, where nothing tells the last of the wrong calls apart.
    """
    everywhere = (1 << size) - 1
    total = [condition for condition in conditions if condition.defined == everywhere]
    ranked = sorted(total, key=lambda condition: -_worth(condition.holds, wrong, breadth))[:PAIRED]
    pool = [*total, *(conjunction(*pair, everywhere) for pair in itertools.combinations(ranked, 2))]
    found: list[Condition] = []
    while wrong:
        best = max(
            pool,
            key=lambda condition: (_worth(condition.holds, wrong, breadth), -condition.cost, condition.text),
            default=None,
        )
        if best is None or not best.holds & wrong:
            return [*found, Condition("True", everywhere, everywhere, 0.0)]
        found.append(best)
        wrong &= ~best.holds
    return found


def _worth(holds: int, wrong: int, breadth: float) -> float:
    """Wrong calls that a guard picks, for each call that it picks; more for those that pick many."""
    hit = (holds & wrong).bit_count()
    return hit**breadth / (1 + holds.bit_count())
