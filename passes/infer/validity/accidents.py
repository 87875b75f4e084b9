"""Accidents: answers about a shape that fit the calls that were seen and can be no law of any operator.

A shape does not follow from a gradient or from where a tensor begins in its memory, and no operator that takes tensors
of any size gives one of a size of its own, such as (5, 5). Knows nothing of trials.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Final

from passes.infer.validity.withdraw import withdrawn
from passes.rules.language import parsed
from passes.rules.rule import UNKNOWN, Case, Cases, Output, Rule

LARGEST: Final = 2  # a size that operators give by themselves: pairs, complex numbers as two real ones
NO_REASONS: Final = "any_requires_grad"
NO_FACTS: Final = "storage_offset"


def without_accidents(rule: Rule) -> Rule:
    """The rule without answers that are shapes of their own; without any if a shape hangs on what cannot decide it."""
    if not rule.domain.ranks:
        return rule
    outputs = (*rule.outputs, *rule.writes.values())
    if any(_is_no_reason(case.condition) for output in outputs for case in output.shape if case.condition):
        return withdrawn(rule)
    return replace(
        rule,
        outputs=tuple(map(_without_own_sizes, rule.outputs)),
        writes={name: _without_own_sizes(output) for name, output in rule.writes.items()},
    )


def _is_no_reason(condition: str) -> bool:
    """Whether a condition asks for a gradient, or for where a tensor begins."""
    expression = parsed(condition)
    return NO_REASONS in expression.primitives or any(
        isinstance(node, ast.Attribute) and node.attr == NO_FACTS for node in ast.walk(expression.tree)
    )


def _without_own_sizes(output: Output) -> Output:
    cases: Cases = tuple(Case(case.condition, UNKNOWN) if _is_own_size(case.answer) else case for case in output.shape)
    return replace(output, shape=cases)


def _is_own_size(answer: str) -> bool:
    """Whether an answer is a shape in numbers, with one that is larger than operators give by themselves."""
    if answer == UNKNOWN:
        return False
    match parsed(answer).tree:
        case ast.Tuple(elts=sizes):
            numbers = [size.value if isinstance(size, ast.Constant) else None for size in sizes]
            return all(type(number) is int for number in numbers) and any(
                isinstance(number, int) and number > LARGEST for number in numbers
            )
        case _:
            return False
