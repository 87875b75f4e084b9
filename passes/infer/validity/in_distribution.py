"""Calls in distribution: those like the recorded ones, and rules that answer for no others.

For operators that no short rule describes wherever they can be called. What Python makes of the negative start of a
slice, say, is no part of what the author of a crop meant. Knows nothing of how rules are found.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from passes.infer.search.observation import answered, domain_of
from passes.infer.trials.variant import key_of
from passes.infer.validity.novelty import novelties_in
from passes.record.calls import Call, Failure
from passes.rules.language import parsed, written
from passes.rules.rule import UNKNOWN, Case, Rule, identifier


def ordinary(recorded: Sequence[Call], calls: Iterable[Call]) -> list[Call]:
    """Those of `calls` whose ranks, dtypes and kinds of arguments were recorded, and whose numbers are not negative.

    A parameter that was recorded with a negative number may have one.
    """
    parameters = {tuple(call.arguments) for call in recorded if not isinstance(call.outcome, Failure)}
    domains = {each: domain_of(each, answered(each, recorded)) for each in parameters}
    natural = {each: list(_natural(each, answered(each, recorded))) for each in parameters}
    similar: list[Call] = []
    for call in calls:
        same = tuple(call.arguments)
        if same in domains and all(_are_natural(call.arguments[name]) for name in natural[same]):
            similar += [] if any(novelties_in(call, same, domains[same])) else [call]
    return similar


def limited_to_ordinary(rule: Rule, recorded: Sequence[Call]) -> Rule:
    """The rule, without an answer for negative numbers of parameters that were never recorded with one."""
    same = answered(rule.parameters, recorded)
    silent: list[Case] = []
    for name in _natural(rule.parameters, same):
        values = [call.arguments[name] for call in same]
        condition = "any_negative({})" if any(isinstance(value, tuple) for value in values) else "{} < 0"
        silent.append(Case(condition.format(identifier(name)), UNKNOWN))
    return replace(rule, form=(*silent, *rule.form))


def limited_to_variation(rule: Rule, calls: Iterable[Call]) -> Rule:
    """The rule, without an answer for other numbers and flags where all `calls` (trials among them) have the same.

    If every call had the same kernel size, nothing shows what another one does to the shape; if every `output_mask`
    asked for all gradients, nothing shows that there may be None in the place of one.
    """
    same = answered(rule.parameters, calls)
    silent: list[Case] = []
    for name in rule.parameters:
        values = {key_of(call.arguments[name]): call.arguments[name] for call in same}
        if len(values) == 1 and all(map(_is_literal, values.values())):
            silent.append(Case(f"{identifier(name)} != {written(*values.values())}", UNKNOWN))
    return replace(rule, form=(*silent, *rule.form))


def has_constant_shape(rule: Rule) -> bool:
    """Whether the rule gives some tensor a shape of constants, whatever the arguments."""
    shapes = (case.answer for output in (*rule.outputs, *rule.writes.values()) for case in output.shape)
    return any(_is_constant(parsed(shape).tree) for shape in shapes)


def _is_constant(shape: ast.expr) -> bool:
    """Whether a shape is written as numbers, one or more: `(2, 3)`."""
    return isinstance(shape, ast.Tuple) and bool(shape.elts) and all(isinstance(e, ast.Constant) for e in shape.elts)


def _is_literal(value: Any) -> bool:
    """Whether a value is an integer, a flag, or a list of them."""
    return all(type(number) in (int, bool) for number in _numbers(value))


def _natural(parameters: Sequence[str], calls: Sequence[Call]) -> Iterator[str]:
    """The parameters that always were integers, or always lists of integers, none of them negative."""
    for name in parameters:
        kinds = {isinstance(call.arguments[name], tuple) for call in calls}
        if len(kinds) == 1 and all(_are_natural(call.arguments[name]) for call in calls):
            yield name


def _are_natural(value: Any) -> bool:
    return all(type(number) is int and number >= 0 for number in _numbers(value))


def _numbers(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
