"""Preconditions: which calls an operator refuses, as cases of a condition and the exception raised.

The conditions are those of all cases. A precondition is kept only if no call that succeeded, recorded or tried, falls
under it: a rule must never refuse what the operator accepts.
"""

from __future__ import annotations

import ast
import math
import random
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
from passes.rules.language import parsed
from passes.rules.rule import Case, Cases, Rule, always

LEAST: Final = 4  # calls that a case must refuse, both among those it is found in and among those it is checked on
CHANCE: Final = 1e-4  # the highest probability that all calls under a case failed for other reasons
# Operators do not refuse layouts or single sizes; calls that have them may fail by accident.
ABOUT_LAYOUTS: Final = frozenset(
    ("is_contiguous", "is_dense", "is_channels_last", "like_channels_last", "repeats", "any_requires_grad")
)
# Nor do they refuse a type of number: those that fail with one have something else that does not go with it.
ABOUT_NUMBERS: Final = frozenset(("is_float", "is_integer", "is_complex_number"))
FACTS_OF_LAYOUTS: Final = ("stride", "storage_offset")
ABOUT_MACHINES: Final = ("pin_memory", "non_blocking")  # what they do depends on the devices beside the CPU
MOST_CASES: Final = 6
MOST_CALLS: Final = 1500  # calls that cases are found in
MOST_BASES: Final = 300  # calls that trials are derived from


def with_preconditions(
    rule: Rule, calls: Sequence[Call], laboratory: TrialRunner, trials: int = 200, seed: int = 0
) -> Rule:
    """The rule with preconditions, as far as recorded failures and trials show them.

    Cases are found in one half of the trials and checked on the other. The rule says nothing about calls outside of
    its domain, as before.
    """
    draw = random.Random(f"{seed} preconditions {rule.op}")
    usable_calls = [call for call in calls if _is_usable(rule, call)]
    bases = usable_calls if len(usable_calls) <= MOST_BASES else draw.sample(usable_calls, MOST_BASES)
    drawn = list(variants(bases, draw, trials))
    seen = laboratory.observe_all(rule.op, rule.level, drawn) if drawn else []
    results = [call for call in seen if isinstance(call, Call) and _is_usable(rule, call)]
    fresh, checking = results[::2], results[1::2]
    distinct = list(
        {identity(CallVariant(call.arguments, call.shares)): call for call in [*fresh, *usable_calls]}.values()
    )
    usable = _inside(rule, distinct)[:MOST_CALLS]
    cases = _cases(rule, usable)
    return replace(
        rule, raises=tuple(case for case in cases if _holds_up(rule, case, checking, [*usable_calls, *fresh]))
    )


def with_refusals(rule: Rule, asked: Sequence[Call], checking: Sequence[Call]) -> Rule:
    """The rule with preconditions for calls that it answers and the operator refuses, beside those that it has.

    Cases are found in the calls of `asked` that no precondition refuses yet, and checked on `checking` too. The rule
    stays as it is unless it answers enough calls that fail.
    """
    answerer = Answerer(rule)
    first, second = (
        [call for call in calls if _is_usable(rule, call) and not _is_refused(answerer, call)]
        for calls in (asked, checking)
    )
    failed = [call for call in (*first, *second) if isinstance(call.outcome, Failure)]
    if sum(answerer.answer(call.arguments) is not None for call in failed) < LEAST:
        return rule
    inside = _inside(rule, first)[:MOST_CALLS]
    bare = replace(rule, raises=())
    new = (case for case in _cases(bare, inside) if _holds_up(bare, case, second, first))
    return replace(rule, raises=(*rule.raises, *new))


def _is_refused(answerer: Answerer, call: Call) -> bool:
    try:
        answerer.answer(call.arguments)
    except PredictedError:
        return True
    return False


def _is_usable(rule: Rule, call: Call) -> bool:
    """Whether a call was made, with the rule's parameters: torch may give those of a trial other names."""
    return tuple(call.arguments) == rule.parameters and is_plain(call) and is_made(call)


def _inside(rule: Rule, calls: Sequence[Call]) -> list[Call]:
    """The calls in the rule's domain: those that the same rule refuses when it refuses everything."""
    refusing = Answerer(replace(rule, raises=always("Exception")))
    return [call for call in calls if _is_refused(refusing, call)]


def _cases(rule: Rule, calls: Sequence[Call]) -> Cases:
    """Cases that each refuse calls with one error, and no call that succeeded; those that refuse most first."""
    errors = [call.outcome.error if isinstance(call.outcome, Failure) else None for call in calls]
    if len([error for error in errors if error]) < LEAST:
        return ()
    columns = {name: [call.arguments[name] for call in calls] for name in rule.parameters}
    sample = CallSample(columns, len(calls))
    conditions = [condition for condition in conditions_of(sample) if not is_accidental(condition.text)]
    everything = sample.everything
    rows = {error: bits(each == error for each in errors) for error in Counter(filter(None, errors))}
    cases: list[Case] = []
    open_rows = dict(rows)
    while len(cases) < MOST_CASES:
        choices = [
            (condition, error)
            for error, failing in open_rows.items()
            for condition in _pure(conditions, everything, rows[error], failing)
        ]
        if not choices:
            break
        condition, error = min(choices, key=lambda pair: _rank(pair[0], open_rows[pair[1]]))
        cases.append(Case(condition.text, error))
        open_rows[error] &= ~condition.holds
    return tuple(cases)


def is_accidental(condition: str) -> bool:
    """Whether a condition asks for what no operator refuses by itself, but calls that fail may have by accident.

    That is a layout, a gradient, a type of number, a single size, or more elements than another tensor has; one number
    in particular, as the limit is elsewhere (`p == -1`, where p must be positive); and what depends on the machine.
    """
    expression = parsed(condition)
    return not expression.primitives.isdisjoint(ABOUT_LAYOUTS | ABOUT_NUMBERS) or any(
        map(_is_accidental_part, ast.walk(expression.tree))
    )


def _is_accidental_part(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr=fact):
            return fact in FACTS_OF_LAYOUTS
        case ast.Subscript(value=ast.Attribute()):
            return True
        case ast.Name(id=name):
            return name in ABOUT_MACHINES
        case ast.Compare(left=ast.Call(func=ast.Name(id="count")), ops=[sign], comparators=[other]):
            # Operators ask for as many elements, not for more: an empty tensor has fewer than one that it is added to.
            return not (isinstance(sign, ast.Eq | ast.NotEq) and isinstance(other, ast.Call))
        case ast.Compare(left=ast.Name() | ast.BinOp(), ops=[ast.Eq() | ast.NotEq()], comparators=[other]):
            return isinstance(other, ast.UnaryOp) or (isinstance(other, ast.Constant) and type(other.value) is int)
        case _:
            return False


def _pure(conditions: Sequence[Condition], everything: int, failing: int, left: int) -> list[Condition]:
    """Conditions defined for all rows that select failures with this error only, enough of which no case refuses yet.

    `failing` are all rows with the error, `left` those that no case refuses yet.
    """
    pure = (
        condition
        for condition in conditions
        if not condition.holds & ~failing and (condition.holds & left).bit_count() >= LEAST
    )
    return [condition for condition in pure if condition.defined & everything == everything]


def _rank(condition: Condition, left: int) -> tuple[float, float, str]:
    return -(condition.holds & left).bit_count(), condition.cost, condition.text


def _holds_up(rule: Rule, case: Case, checking: Sequence[Call], distinct: Sequence[Call]) -> bool:
    """Whether a case is right about new calls too: it refuses no call that succeeded, and hides no answer.

    It must refuse enough calls that their failing together is no accident, given how often calls fail at all.
    """
    inside = _inside(rule, [*checking, *distinct])
    failed = sum(isinstance(call.outcome, Failure) for call in inside)
    if failed in (0, len(inside)):
        return False
    refusing, silent = Answerer(replace(rule, raises=(case,))), Answerer(replace(rule, raises=()))
    fresh_ids = frozenset(map(id, checking))
    right: list[Call] = []
    for call in inside:
        try:
            prediction = refusing.answer(call.arguments)
        except PredictedError:
            if not isinstance(call.outcome, Failure):
                return False
            right += [call] if call.outcome.error == case.answer else []
        else:
            if prediction is None and silent.answer(call.arguments) is not None:
                return False  # the condition is not defined for this call, and so hides the answer
    by_accident = math.log(CHANCE) / math.log(failed / len(inside))
    return len(right) >= by_accident and sum(id(call) in fresh_ids for call in right) >= LEAST
