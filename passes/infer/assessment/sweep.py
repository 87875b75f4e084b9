"""Sweeps: every rule of a book asked about calls in many layouts, ranks and dtypes, beside the real operator.

The calls are made from the domains of the rules, so no corpus is needed, and no rule was fitted to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from passes.infer.assessment.assess import tally
from passes.infer.trials.from_domain import inputs_from, tensors_of
from passes.infer.trials.runner import TrialRunner, trials_made
from passes.operators.resolve import UnknownOperator
from passes.record.calls import Failure, call_text
from passes.rules.rule import Rule


@dataclass(slots=True)
class SweptRule:
    """How one rule answered the calls of a sweep: `unanswered` ones it gives to somebody else."""

    op: str
    level: str
    parameters: tuple[str, ...]
    exact: int = 0
    wrong: int = 0
    unanswered: int = 0
    differences: Counter[str] = field(default_factory=Counter[str])
    examples: list[str] = field(default_factory=list[str])


def swept(rules: Iterable[Rule], laboratory: TrialRunner, most_tensors: int = 1, seed: int = 0) -> Iterator[SweptRule]:
    """Ask each rule that takes at most so many tensors, and at least one."""
    for rule in rules:
        if rule.is_unknown or not 1 <= len(tensors_of(rule)) <= most_tensors:
            continue
        inputs = list(inputs_from(rule, seed))
        try:
            calls = trials_made(laboratory.observe_all(rule.op, rule.level, inputs)) if inputs else []
        except UnknownOperator:
            continue
        same = [call for call in calls if not isinstance(call.outcome, Failure)]
        result = tally(rule.op, [rule], same, examples=20)
        examples = [
            f"{call_text(call)}; the rule predicts {prediction.result}"
            for call, prediction in result.examples
            if prediction is not None
        ]
        yield SweptRule(
            rule.op,
            rule.level,
            rule.parameters,
            result.exact,
            result.wrong,
            result.unknown + result.data_dependent,
            result.differences,
            examples,
        )
