"""Decision lists: ordered guarded cases that explain every row, or say of some that nothing is known.

After Rivest, "Learning Decision Lists" (1987): each case takes rows that its guard picks and one candidate
explains all of; the guard is chosen so that the rest is explained best. Knows nothing of tensors.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from passes.infer.guards import Guard, conjunction
from passes.rules.rule import UNKNOWN, Case, Cases

MOST_CASES: Final = 14
COST_OF_UNKNOWN: Final = 6.0
BEARABLE: Final = 0.06  # share of rows that may be left unexplained, or given up, for a short list
MOST_CANDIDATES: Final = 60
MOST_GUARDS: Final = 400
WORTH_A_PAIR: Final = 1.5  # times as much has to be left unexplained by one guard as by two
PAIRED: Final = 40  # guards that are tried two at a time


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer, and the rows that it explains."""

    text: str
    explains: int
    cost: float


def decide(candidates: Sequence[Candidate], guards: Sequence[Guard], rows: int) -> Cases:
    """Cases for `rows`. The last one is always unguarded; its answer may be UNKNOWN."""
    cases: list[Case] = []
    remaining = rows
    pool = _distinct(candidates, rows)
    if not pool:
        return (Case("", UNKNOWN),)
    covered = functools.reduce(operator.or_, (each.explains for each in pool))
    if rows & ~covered:  # what nothing explains is to be told apart too
        pool.append(Candidate(UNKNOWN, rows & ~covered, COST_OF_UNKNOWN))
    while remaining:
        total = next((each for each in pool if not remaining & ~each.explains), None)
        if total is not None:
            cases.append(Case("", total.text))
            return tuple(cases)
        step = _step(pool, guards, remaining) if len(cases) < MOST_CASES else None
        if step is None:
            cases.append(Case("", UNKNOWN))
            return tuple(cases)
        guard, answer = step
        cases.append(Case(guard.text, answer))
        remaining &= ~guard.holds
    return tuple(cases) or (Case("", UNKNOWN),)


def _distinct(candidates: Sequence[Candidate], rows: int) -> list[Candidate]:
    """The simplest candidate for each set of rows explained, those that explain most or cost least first."""
    best: dict[int, Candidate] = {}
    for candidate in candidates:
        explained = candidate.explains & rows
        if explained and (explained not in best or candidate.cost < best[explained].cost):
            best[explained] = candidate
    found = sorted(best.values(), key=lambda each: (-(each.explains & rows).bit_count(), each.cost, each.text))
    kept = found[:MOST_CANDIDATES]
    return sorted(kept, key=lambda each: (each.cost, each.text))


def _step(pool: Sequence[Candidate], guards: Sequence[Guard], remaining: int) -> tuple[Guard, str] | None:
    """The next case: one after which one candidate explains the rest, or loses little; else what explains most."""
    usable = _usable(guards, remaining)
    single, left = _best(pool, usable, remaining)
    if single is not None and left == 0:
        return single
    pairs = _pairs(pool, usable, remaining)
    double, left_by_two = _best(pool, pairs, remaining)
    if double is not None and left_by_two == 0:
        return double
    given_up, lost = _given_up(pool, [*usable, *pairs], remaining)
    if given_up is not None and lost <= BEARABLE * remaining.bit_count():
        return given_up
    if single is not None and left <= BEARABLE * remaining.bit_count():
        return single
    if single is not None and double is not None and left <= WORTH_A_PAIR * left_by_two:
        return single
    return double or single or given_up


def _usable(guards: Sequence[Guard], remaining: int) -> list[Guard]:
    """Guards that can be asked of all remaining rows and split them, the simplest of those that split alike."""
    best: dict[int, Guard] = {}
    for guard in guards:
        picked = guard.holds & remaining
        if remaining & ~guard.defined or picked in (0, remaining):
            continue
        if picked not in best or guard.cost < best[picked].cost:
            best[picked] = guard
    return sorted(best.values(), key=lambda guard: (guard.cost, guard.text))[:MOST_GUARDS]


def _best(pool: Sequence[Candidate], guards: Sequence[Guard], remaining: int) -> tuple[tuple[Guard, str] | None, int]:
    """The guard whose rows one candidate explains and after which least is left unexplained, and how much that is."""
    found: tuple[tuple[float, ...], Guard, str] | None = None
    for guard in guards:
        picked = guard.holds & remaining
        answer = next((each for each in pool if not picked & ~each.explains), None)
        if answer is None:
            continue
        left = remaining & ~guard.holds
        explained = max((left & each.explains).bit_count() for each in pool)
        unexplained = left.bit_count() - explained
        score = (unexplained, guard.cost + answer.cost / 4, -picked.bit_count())
        if found is None or score < found[0]:
            found = score, guard, answer.text
    return (None, 0) if found is None else (found[1:], int(found[0][0]))


def _pairs(pool: Sequence[Candidate], guards: Sequence[Guard], remaining: int) -> Sequence[Guard]:
    """Conjunctions of two guards, of those that separate best."""
    ranked = sorted(guards, key=lambda guard: _impurity(pool, guard, remaining))[:PAIRED]
    pairs: dict[int, Guard] = {}
    for left, right in itertools.combinations(ranked, 2):
        picked = left.holds & right.holds & remaining
        cost = left.cost + right.cost
        if picked and (picked not in pairs or cost < pairs[picked].cost):
            pairs[picked] = conjunction(left, right, remaining)
    return list(pairs.values())


def _impurity(pool: Sequence[Candidate], guard: Guard, remaining: int) -> int:
    """Rows that stay unexplained when each side of a guard gets its best candidate."""
    inside, outside = remaining & guard.holds, remaining & ~guard.holds
    best_inside = max((inside & each.explains).bit_count() for each in pool)
    best_outside = max((outside & each.explains).bit_count() for each in pool)
    return inside.bit_count() - best_inside + outside.bit_count() - best_outside


def _given_up(
    pool: Sequence[Candidate], guards: Sequence[Guard], remaining: int
) -> tuple[tuple[Guard, str] | None, int]:
    """A guard that holds wherever the best candidate fails, where nothing is known then; and how much that loses."""
    best = max(pool, key=lambda each: (remaining & each.explains).bit_count())
    failing = remaining & ~best.explains
    covering = [guard for guard in guards if not failing & ~guard.holds]
    if not covering or best.text == UNKNOWN:
        return None, 0
    guard = min(covering, key=lambda each: ((each.holds & remaining).bit_count(), each.cost))
    known = functools.reduce(operator.or_, (each.explains for each in pool if each.text != UNKNOWN))
    return (guard, UNKNOWN), (guard.holds & remaining & known).bit_count()
