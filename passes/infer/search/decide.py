"""Decision lists: ordered cases of a condition and an answer, which explain every row or leave some unanswered.

After Rivest, "Learning Decision Lists" (1987): each case takes rows that its condition selects and one candidate
explains; the condition is chosen so that the other rows are explained best. Knows nothing of tensors.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from passes.infer.search.conditions import Condition, conjunction
from passes.rules.rule import UNKNOWN, Case, Cases

MOST_CASES: Final = 14
FEW_CASES: Final = 6  # of a list without an unanswered case, which is preferred where there is one
COST_OF_UNKNOWN: Final = 6.0
BEARABLE: Final = 0.06  # share of rows that may stay unexplained or unanswered, for a short list
MOST_CANDIDATES: Final = 60
MOST_GUARDS: Final = 400
WORTH_A_PAIR: Final = 1.5  # two conditions are worth it if one alone leaves so many times as much unexplained
MOST_ALTERNATIVES: Final = 4  # conditions that select the same rows as the chosen one: trials discriminate them
PAIRED: Final = 40  # conditions that are also tried two at a time
ENOUGH_FOR_TWO: Final = 4  # rows that the best candidate fails to explain, for a pair to be no accident


@dataclass(frozen=True, slots=True)
class AnswerCandidate:
    """An answer, and the rows that it explains."""

    text: str
    explains: int
    cost: float


def decide(candidates: Sequence[AnswerCandidate], conditions: Sequence[Condition], rows: int) -> Cases:
    """Cases for `rows`, a set of rows as bits. The last case has no condition; its answer may be UNKNOWN.

    A short list that answers every row is preferred. Otherwise rows that no candidate explains get cases of their own,
    whose answer is UNKNOWN.
    """
    pool = _distinct(candidates, rows)
    if not pool:
        return (Case("", UNKNOWN),)
    covered = functools.reduce(operator.or_, (each.explains for each in pool))
    if rows & ~covered:  # rows that nothing explains need a case too
        pool.append(AnswerCandidate(UNKNOWN, rows & ~covered, COST_OF_UNKNOWN))
    else:
        short = _listed(pool, conditions, rows, FEW_CASES, False)
        if short[-1].answer != UNKNOWN:
            return short
    return _listed(pool, conditions, rows, MOST_CASES, True)


def _listed(
    pool: Sequence[AnswerCandidate], conditions: Sequence[Condition], rows: int, most: int, may_give_up: bool
) -> tuple[Case, ...]:
    """At most `most` cases with a condition, and a last one without."""
    cases: list[Case] = []
    remaining = rows
    while remaining:
        total = next((each for each in pool if not remaining & ~each.explains), None)
        if total is not None:
            return (*cases, Case("", total.text))
        step = _step(pool, conditions, remaining, may_give_up) if len(cases) < most else None
        if step is None:
            return (*cases, Case("", UNKNOWN))
        condition, answer = step
        cases.append(Case(condition.text, answer))
        remaining &= ~condition.holds
    return tuple(cases) or (Case("", UNKNOWN),)


def alternatives(cases: Cases, conditions: Sequence[Condition], rows: int) -> Iterator[Cases]:
    """The cases with one condition (or one of two) replaced by another that selects the same of `rows`."""
    by_text = {condition.text: condition for condition in conditions}
    remaining = rows
    for number, case in enumerate(cases):
        parts = _parts(case.condition, by_text)
        if not parts:
            return
        picked = functools.reduce(operator.and_, (part.holds for part in parts), remaining)
        usable = [condition for condition in conditions if not remaining & ~condition.defined]
        equivalent = [condition for condition in usable if condition.holds & remaining == picked]
        if len(parts) == 2:
            for unchanged in parts:
                other = (condition for condition in usable if condition.holds & unchanged.holds & remaining == picked)
                equivalent += [conjunction(unchanged, condition, rows) for condition in other]
        texts = [text for condition in sorted(equivalent, key=_cost) for text in (condition.text, *condition.others)]
        if len(parts) == 2:
            texts += [f"{one.text} and {other}" for one, two in (parts, parts[::-1]) for other in two.others]
        listed = {case.condition: None, " and ".join(part.text for part in parts[::-1]): None}
        for text in [text for text in dict.fromkeys(texts) if text not in listed][:MOST_ALTERNATIVES]:
            yield (*cases[:number], Case(text, case.answer), *cases[number + 1 :])
        remaining &= ~picked


def _cost(condition: Condition) -> tuple[float, str]:
    return condition.cost, condition.text


def _parts(text: str, by_text: Mapping[str, Condition]) -> list[Condition]:
    """The one or two conditions that a case has."""
    if text in by_text:
        return [by_text[text]]
    first = (condition for condition in by_text.values() if text.startswith(f"{condition.text} and "))
    pairs = ((condition, by_text.get(text.removeprefix(f"{condition.text} and "))) for condition in first)
    return next(([one, other] for one, other in pairs if other is not None), [])


def _distinct(candidates: Sequence[AnswerCandidate], rows: int) -> list[AnswerCandidate]:
    """The simplest candidate for each set of explained rows; at most MOST_CANDIDATES, cheapest first."""
    best: dict[int, AnswerCandidate] = {}
    for candidate in candidates:
        explained = candidate.explains & rows
        if explained and (explained not in best or candidate.cost < best[explained].cost):
            best[explained] = candidate
    ranked = sorted(best.values(), key=lambda each: (-(each.explains & rows).bit_count(), each.cost, each.text))
    return sorted(ranked[:MOST_CANDIDATES], key=lambda each: (each.cost, each.text))


def _step(
    pool: Sequence[AnswerCandidate], conditions: Sequence[Condition], remaining: int, may_give_up: bool
) -> tuple[Condition, str] | None:
    """The next case: its condition and its answer.

    Preferred are, in this order: one condition after which a single candidate explains the rest; two conditions that do
    so; leaving few rows unanswered; leaving few rows unexplained; else what leaves least unexplained. One condition is
    preferred to two, for two select an accident more easily.
    """
    usable = _usable(conditions, remaining)
    single, left = _best(pool, usable, remaining)
    if single is not None and left == 0:
        return single
    pairs = _pairs(pool, usable, remaining)
    double, left_by_two = _best(pool, pairs, remaining, ENOUGH_FOR_TWO)
    if double is not None and left_by_two == 0:
        return double
    unanswered, lost = _unanswered(pool, usable, pairs, remaining) if may_give_up else (None, 0)
    if unanswered is not None and lost <= BEARABLE * remaining.bit_count():
        return unanswered
    if single is not None and left <= BEARABLE * remaining.bit_count():
        return single
    if single is not None and double is not None and left <= WORTH_A_PAIR * left_by_two:
        return single
    return double or single or unanswered


def _usable(conditions: Sequence[Condition], remaining: int) -> list[Condition]:
    """Conditions defined for all remaining rows that split them; of those that split alike the cheapest."""
    best: dict[int, Condition] = {}
    for condition in conditions:
        picked = condition.holds & remaining
        if remaining & ~condition.defined or picked in (0, remaining):
            continue
        if picked not in best or condition.cost < best[picked].cost:
            best[picked] = condition
    return sorted(best.values(), key=lambda condition: (condition.cost, condition.text))[:MOST_GUARDS]


def _best(
    pool: Sequence[AnswerCandidate], conditions: Sequence[Condition], remaining: int, few_unknown: int = 0
) -> tuple[tuple[Condition, str] | None, int]:
    """The condition whose rows one candidate explains and after which least stays unexplained, and how much that is.

    Conditions for fewer than `few_unknown` rows that nothing explains are passed over.
    """
    best: tuple[tuple[float, ...], Condition, str] | None = None
    for condition in conditions:
        picked = condition.holds & remaining
        answer = next((each for each in pool if not picked & ~each.explains), None)
        if answer is None or (answer.text == UNKNOWN and picked.bit_count() < few_unknown):
            continue
        left = remaining & ~condition.holds
        explained = max((left & each.explains).bit_count() for each in pool)
        unexplained = left.bit_count() - explained
        score = (unexplained, condition.cost + answer.cost / 4, -picked.bit_count())
        if best is None or score < best[0]:
            best = score, condition, answer.text
    return (None, 0) if best is None else (best[1:], int(best[0][0]))


def _pairs(pool: Sequence[AnswerCandidate], conditions: Sequence[Condition], remaining: int) -> Sequence[Condition]:
    """Conjunctions of two of the conditions that separate best."""
    ranked = sorted(conditions, key=lambda condition: _impurity(pool, condition, remaining))[:PAIRED]
    pairs: dict[int, Condition] = {}
    for left, right in itertools.combinations(ranked, 2):
        picked = left.holds & right.holds & remaining
        cost = left.cost + right.cost
        if picked and (picked not in pairs or cost < pairs[picked].cost):
            pairs[picked] = conjunction(left, right, remaining)
    return list(pairs.values())


def _impurity(pool: Sequence[AnswerCandidate], condition: Condition, remaining: int) -> int:
    """Rows that stay unexplained when each side of a condition gets its best candidate."""
    inside, outside = remaining & condition.holds, remaining & ~condition.holds
    best_inside = max((inside & each.explains).bit_count() for each in pool)
    best_outside = max((outside & each.explains).bit_count() for each in pool)
    return inside.bit_count() - best_inside + outside.bit_count() - best_outside


def _unanswered(
    pool: Sequence[AnswerCandidate], conditions: Sequence[Condition], pairs: Sequence[Condition], remaining: int
) -> tuple[tuple[Condition, str] | None, int]:
    """A condition that holds wherever the best candidate fails, for an unanswered case, and how many answers it costs.

    If those rows are few, a pair of conditions that selects just these would be an accident of the sample.
    """
    best = max(pool, key=lambda each: (remaining & each.explains).bit_count())
    failing = remaining & ~best.explains
    choices = conditions if failing.bit_count() < ENOUGH_FOR_TWO else [*conditions, *pairs]
    covering = [condition for condition in choices if not failing & ~condition.holds]
    if not covering or best.text == UNKNOWN:
        return None, 0
    condition = min(covering, key=lambda each: ((each.holds & remaining).bit_count(), each.cost))
    explained = functools.reduce(operator.or_, (each.explains for each in pool if each.text != UNKNOWN))
    return (condition, UNKNOWN), (condition.holds & remaining & explained).bit_count()
