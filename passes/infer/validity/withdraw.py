"""Withdrawal: a rule that mispredicts calls gives no answer any more for these and for calls like them.

Conditions tell the mispredicted calls from the others; where one holds, the rule answers nothing. Knows nothing of how
rules are found, or of trials.
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
from passes.rules.rule import UNKNOWN, Case, Rule, always, identifier

MOST_CALLS: Final = 600
PAIRED: Final = 40  # conditions that are also tried two at a time
EXACT, BROAD = 1.3, 3.0  # how much it counts that a condition selects many wrong calls, beside selecting few others
FEW: Final = 4  # wrong calls: too few to show where more of them are


def withdrawn(rule: Rule) -> Rule:
    """The rule without any answer."""
    return replace(rule, form=always(UNKNOWN), outputs=(), writes={})


def withdrawn_where_wrong(rule: Rule, calls: Sequence[Call], breadth: float = EXACT) -> Rule:
    """The rule, without an answer where it mispredicts one of `calls`, or where no condition tells those from others.

    `breadth` (EXACT or BROAD) says how wide a region around them is given up.
    """
    same = [call for call in calls if tuple(call.arguments) == rule.parameters]
    predicted = tally(rule.op, [rule], same, examples=len(same))
    wrong = {id(call) for call, answer in predicted.examples if answer is not None}
    silent = {id(call) for call, answer in predicted.examples if answer is None}
    right = [call for call in same if id(call) not in wrong | silent]
    looked_at = [call for call in same if id(call) in wrong][:MOST_CALLS] + right[:MOST_CALLS]
    flags = [id(call) in wrong for call in looked_at]
    if not any(flags):
        return rule
    conditions = _covering(conditions_of(sample_of(rule.parameters, looked_at)), bits(flags), len(flags), breadth)
    return replace(rule, form=(*(Case(condition.text, UNKNOWN) for condition in conditions), *rule.form))


def withdrawn_widely(rule: Rule, held_out: Sequence[Call], calls: Sequence[Call]) -> Rule:
    """The rule after it mispredicted held-out calls, to which others may be alike.

    It is withdrawn for a wide region around those calls; where they are few, for all tensors that are not contiguous.
    It mispredicts none of `calls` then. A rule that mispredicted nothing stays as it is.
    """
    wrong = tally(rule.op, [rule], held_out).wrong
    if not wrong:
        return rule
    if wrong > FEW:
        return withdrawn_where_wrong(rule, calls, BROAD)
    tensors = [identifier(name) for name in rule.domain.ranks]
    silent_cases = [Case(f"is_tensor({name}) and not is_contiguous({name})", UNKNOWN) for name in tensors]
    return withdrawn_where_wrong(replace(rule, form=(*silent_cases, *rule.form)), calls)


def _covering(conditions: Sequence[Condition], wrong: int, size: int, breadth: float) -> list[Condition]:
    """Conditions that hold wherever a rule is wrong, and seldom elsewhere: a greedy set cover.

    A condition that always holds ends the cover where nothing tells the last of the wrong calls apart.
    """
    everywhere = (1 << size) - 1
    total = [condition for condition in conditions if condition.defined == everywhere]
    ranked = sorted(total, key=lambda condition: -_worth(condition.holds, wrong, breadth))[:PAIRED]
    pool = [*total, *(conjunction(*pair, everywhere) for pair in itertools.combinations(ranked, 2))]
    cover: list[Condition] = []
    while wrong:
        best = max(
            pool,
            key=lambda condition: (_worth(condition.holds, wrong, breadth), -condition.cost, condition.text),
            default=None,
        )
        if best is None or not best.holds & wrong:
            return [*cover, Condition("True", everywhere, everywhere, 0.0)]
        cover.append(best)
        wrong &= ~best.holds
    return cover


def _worth(holds: int, wrong: int, breadth: float) -> float:
    """Share of wrong calls among those that a condition selects, weighted by how many it selects."""
    hit = (holds & wrong).bit_count()
    return hit**breadth / (1 + holds.bit_count())
