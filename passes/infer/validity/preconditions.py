"""Preconditions: which calls an operator refuses, as guarded cases with the exception that it raises.

Over the same guards as everything else. A case is kept only if no call that worked, recorded or tried, falls
under it: what is not surely refused is not said to be.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from passes.infer.search.conditions import Condition, conditions_of
from passes.infer.search.observation import is_plain
from passes.infer.search.sample import CallSample, bits
from passes.infer.trials.observe import is_made
from passes.infer.trials.runner import TrialRunner
from passes.infer.trials.variant import CallVariant, identity
from passes.infer.trials.variants import variants
from passes.record.calls import Call, Failure
from passes.rules.answer import Answerer
from passes.rules.generate import PredictedError
from passes.rules.rule import Case, Cases, Rule, always

LEAST: Final = 4  # calls that a case must refuse, of those it is found in and of those it is checked on
CHANCE: Final = 1e-4  # that as many calls as a case refuses all fail for other reasons, at most
# What of guards tells of single sizes and of layout: no operator refuses those, but what has them may fail by accident.
ACCIDENTAL: Final = re.compile(r"\.shape\[|storage_offset|stride|contiguous|dense|channels_last|repeats|requires_grad")
MOST_CASES: Final = 6
MOST_CALLS: Final = 1500  # that cases are found in
MOST_BASES: Final = 300  # calls that trials are made from


def with_preconditions(
    rule: Rule, calls: Sequence[Call], laboratory: TrialRunner, trials: int = 200, seed: int = 0
) -> Rule:
    """The rule, saying too which calls are refused, as far as recorded failures and trials tell.

    Half of the trials find cases, the other half check them. Calls outside of the rule's domain stay unknown.
    """
    draw = random.Random(f"{seed} preconditions {rule.op}")
    own = [call for call in calls if _is_usable(rule, call)]
    bases = own if len(own) <= MOST_BASES else draw.sample(own, MOST_BASES)
    drawn = list(variants(bases, draw, trials))
    seen = laboratory.observe_all(rule.op, rule.level, drawn) if drawn else []
    made = [call for call in seen if isinstance(call, Call) and _is_usable(rule, call)]
    fresh, checking = made[::2], made[1::2]
    known = list({identity(CallVariant(call.arguments, call.shares)): call for call in [*fresh, *own]}.values())
    usable = [call for call in known if _is_inside(rule, call)][:MOST_CALLS]
    cases = _found(rule, usable)
    return replace(rule, raises=tuple(case for case in cases if _holds_up(rule, case, checking, [*own, *fresh])))


def _is_usable(rule: Rule, call: Call) -> bool:
    """Whether a call was made, and with the rule's parameters: torch may name those of a trial otherwise."""
    return tuple(call.arguments) == rule.parameters and is_plain(call) and is_made(call)


def _is_inside(rule: Rule, call: Call) -> bool:
    """Whether a call is in the rule's domain: one that refuses everything refuses it."""
    try:
        Answerer(replace(rule, raises=always("Exception"))).answer(call.arguments)
    except PredictedError:
        return True
    return False


def _found(rule: Rule, calls: Sequence[Call]) -> Cases:
    """Cases that refuse calls of one error each and no call that worked; those that refuse most first."""
    errors = [call.outcome.error if isinstance(call.outcome, Failure) else None for call in calls]
    if len([error for error in errors if error]) < LEAST:
        return ()
    columns = {name: [call.arguments[name] for call in calls] for name in rule.parameters}
    sample = CallSample(columns, len(calls))
    conditions = [condition for condition in conditions_of(sample) if not ACCIDENTAL.search(condition.text)]
    everything = sample.everything
    rows = {error: bits(each == error for each in errors) for error in Counter(filter(None, errors))}
    cases: list[Case] = []
    open_rows = dict(rows)
    while len(cases) < MOST_CASES:
        found = [
            (condition, error)
            for error, failing in open_rows.items()
            for condition in _pure(conditions, everything, rows[error], failing)
        ]
        if not found:
            break
        condition, error = min(found, key=lambda pair: _rank(pair[0], open_rows[pair[1]]))
        cases.append(Case(condition.text, error))
        open_rows[error] &= ~condition.holds
    return tuple(cases)


def _pure(conditions: Sequence[Condition], everything: int, failing: int, left: int) -> list[Condition]:
    """Guards that can be asked of all, under which all fails with this error, and enough that no case refuses yet."""
    pure = (
        condition
        for condition in conditions
        if not condition.holds & ~failing and (condition.holds & left).bit_count() >= LEAST
    )
    return [condition for condition in pure if condition.defined & everything == everything]


def _rank(condition: Condition, left: int) -> tuple[float, float, str]:
    return -(condition.holds & left).bit_count(), condition.cost, condition.text


def _holds_up(rule: Rule, case: Case, checking: Sequence[Call], known: Sequence[Call]) -> bool:
    """Whether new calls are refused as the case says, no call that worked is, and no answer is lost.

    And whether it refuses more than calls that fail as often as these do would by accident.
    """
    inside = [call for call in (*checking, *known) if _is_inside(rule, call)]
    failed = sum(isinstance(call.outcome, Failure) for call in inside)
    if failed in (0, len(inside)):
        return False
    refusing, silent = Answerer(replace(rule, raises=(case,))), Answerer(replace(rule, raises=()))
    anew = frozenset(map(id, checking))
    right: list[Call] = []
    for call in inside:
        try:
            said = refusing.answer(call.arguments)
        except PredictedError:
            if not isinstance(call.outcome, Failure):
                return False
            right += [call] if call.outcome.error == case.answer else []
        else:
            if said is None and silent.answer(call.arguments) is not None:
                return False  # the guard cannot be asked of this call, and hides the answer
    by_accident = math.log(CHANCE) / math.log(failed / len(inside))
    return len(right) >= by_accident and sum(id(call) in anew for call in right) >= LEAST
