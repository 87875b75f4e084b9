"""Sweeps: every rule of a book asked about calls in many layouts, ranks and dtypes, beside the real operator.

The calls are made from the domains of the rules, so no corpus is needed, and no rule was fitted to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from passes.infer.assessment.assess import tally
from passes.infer.trials.from_domain import tensors_of
from passes.infer.trials.runner import TrialRunner
from passes.infer.validity.accidents import without_accidents
from passes.infer.validity.trials_together import trials_of, tried_together, with_provoked_refusals
from passes.operators.resolve import UnknownOperator
from passes.record.calls import Call, call_text
from passes.rules.book import Rulebook
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
    differences: dict[str, int] = field(default_factory=dict[str, int])
    examples: list[str] = field(default_factory=list[str])


def swept(rules: Iterable[Rule], laboratory: TrialRunner, seed: int = 0) -> Iterator[SweptRule]:
    """Ask each rule that takes tensors; those of several tensors also about tensors in relation to each other."""
    for rule in rules:
        if rule.is_unknown or not tensors_of(rule):
            continue
        try:
            calls = trials_of(rule, laboratory, seed)
        except UnknownOperator:
            continue
        result = tally(rule.op, [rule], calls, examples=20)
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
            dict(result.differences),
            examples,
        )


def narrowed(
    book: Rulebook, op: str, level: str, laboratory: TrialRunner, seed: int = 0, recorded: Sequence[Call] = ()
) -> list[Rule]:
    """The rules of one operator without accidents and what trials contradict, or its twin's where these answer more.

    What calls that were `recorded` contradict goes too, and what the operator refuses becomes a precondition. They are
    as they are in the book where the laboratory does not know the operator.
    """
    rules = list(map(without_accidents, book.rules(op, level)))
    twins = [rule for twin in twins_of(op, level) for rule in book.rules(twin, level)]
    try:
        narrower = tried_together(rules, laboratory, seed, twins, recorded)
        return [with_provoked_refusals(rule, laboratory, seed, recorded) for rule in narrower]
    except UnknownOperator:
        return rules


def twins_of(op: str, level: str) -> list[str]:
    """Other names by which Python calls the same operator: `torch.exp` and `torch.Tensor.exp`, `__eq__` and `eq`."""
    if level != "function":
        return []
    method, function = "torch.Tensor.", "torch."
    if op.startswith(method):
        name = op.removeprefix(method)
        plain = name.removeprefix("__").removesuffix("__")
        return [function + name] if name == plain else [method + plain, function + plain]
    name = op.removeprefix(function)
    return [] if name == op or "." in name else [method + name]
