"""Ordinary calls: those like the recorded ones; and rules that speak of no others.

For operators that no short rule describes wherever they can be called: what Python makes of a negative start of a
slice, say, is no part of what its author meant a crop to be. Knows nothing of how rules are found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from passes.infer.search.observation import answered, domain_of
from passes.infer.validity.novelty import novelties_in
from passes.record.calls import Call, Failure
from passes.rules.language import written
from passes.rules.rule import UNKNOWN, Case, Rule, identifier


def ordinary(recorded: Sequence[Call], calls: Iterable[Call]) -> list[Call]:
    """The `calls` that have no rank, type or kind of argument that the recorded ones have not, nor negative numbers."""
    parameters = {tuple(call.arguments) for call in recorded if not isinstance(call.outcome, Failure)}
    domains = {each: domain_of(each, answered(each, recorded)) for each in parameters}
    natural = {each: list(_natural(each, answered(each, recorded))) for each in parameters}
    found: list[Call] = []
    for call in calls:
        own = tuple(call.arguments)
        if own in domains and all(_are_natural(call.arguments[name]) for name in natural[own]):
            found += [] if any(novelties_in(call, own, domains[own])) else [call]
    return found


def of_ordinary(rule: Rule, recorded: Sequence[Call]) -> Rule:
    """The rule without an answer for negative numbers where none was recorded."""
    own = answered(rule.parameters, recorded)
    told: list[Case] = []
    for name in _natural(rule.parameters, own):
        values = [call.arguments[name] for call in own]
        condition = "any_negative({})" if any(isinstance(value, tuple) for value in values) else "{} < 0"
        told.append(Case(condition.format(identifier(name)), UNKNOWN))
    return replace(rule, form=(*told, *rule.form))


def where_varied(rule: Rule, calls: Iterable[Call]) -> Rule:
    """The rule without an answer for other numbers where all `calls`, the trials among them, have one only.

    What another kernel size does to a shape, say, nothing has shown then.
    """
    own = answered(rule.parameters, calls)
    told: list[Case] = []
    for name in rule.parameters:
        values = {call.arguments[name] for call in own if _is_number(call.arguments[name])}
        if len(values) == 1 and all(_is_number(call.arguments[name]) for call in own):
            told.append(Case(f"{identifier(name)} != {written(*values)}", UNKNOWN))
    return replace(rule, form=(*told, *rule.form))


def has_constant_shape(rule: Rule) -> bool:
    """Whether it tells the sizes of a tensor as numbers, whatever is given."""
    shapes = (case.answer for output in (*rule.outputs, *rule.writes.values()) for case in output.shape)
    return any(re.fullmatch(r"\((\d+, ?)+(\d+)?\)", shape) for shape in shapes)


def _is_number(value: Any) -> bool:
    return all(type(number) is int for number in _numbers(value))


def _natural(parameters: Sequence[str], calls: Sequence[Call]) -> Iterator[str]:
    """The parameters that were always given integers, or lists of them, none of them negative."""
    for name in parameters:
        kinds = {isinstance(call.arguments[name], tuple) for call in calls}
        if len(kinds) == 1 and all(_are_natural(call.arguments[name]) for call in calls):
            yield name


def _are_natural(value: Any) -> bool:
    return all(type(number) is int and number >= 0 for number in _numbers(value))


def _numbers(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
