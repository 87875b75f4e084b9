"""Assessment: the outcomes that rules predict for recorded calls, compared with the recorded ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from passes.meta import TensorMeta
from passes.operators.difference import outcome_difference
from passes.operators.outcome import New, Outcome, Same, leaves, rebuilt
from passes.record.calls import Call, Failure
from passes.record.values import NumberOf
from passes.rules.answer import Answerer
from passes.rules.generate import PredictedError
from passes.rules.rule import UNKNOWN, Rule

# In the order in which differences count: gradients are compared apart.
FACTS_RECORDED: Final = ("shape", "stride", "dtype", "storage_offset", "device", "layout", "is_conj", "is_neg")


@dataclass(slots=True)
class PredictionTally:
    """How rules predicted calls of one operator: exactly, wrongly, or not at all.

    `unknown` calls got no prediction though they could have; `data_dependent` ones none could predict. `examples` are
    calls with their predictions: mispredicted ones first, then some without (None).
    """

    op: str
    exact: int = 0
    wrong: int = 0
    unknown: int = 0
    data_dependent: int = 0
    differences: Counter[str] = field(default_factory=Counter[str])
    examples: list[tuple[Call, Any]] = field(default_factory=list[tuple[Call, Any]])

    @property
    def answered(self) -> int:
        """The number of calls that the rules predict, rightly or wrongly."""
        return self.exact + self.wrong

    @property
    def calls(self) -> int:
        """The number of calls compared, those without an answer among them."""
        return self.exact + self.wrong + self.unknown


class Answers:
    """Rules by their lists of parameters. Of several for one list (rules of synonyms) the first that answers counts."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_parameters: dict[tuple[str, ...], list[Answerer]] = defaultdict(list)
        for rule in rules:
            self._by_parameters[rule.parameters].append(Answerer(rule))

    def depends_on_values(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a rule gives no answer for such arguments, as the outcome depends on the values in tensors."""
        rules = [answerer.rule for answerer in self._by_parameters.get(tuple(arguments), ())]
        return any(rule.provenance.dependent and any(case.answer == UNKNOWN for case in rule.form) for rule in rules)

    def answer(self, arguments: Mapping[str, Any]) -> Outcome | None:
        """The predicted outcome, or None if no rule answers. Raises PredictedError where a rule predicts one."""
        for answerer in self._by_parameters.get(tuple(arguments), ()):
            outcome = answerer.answer(arguments)
            if outcome is not None:
                return outcome
        return None


def tally(op: str, rules: Sequence[Rule], calls: Iterable[Call], examples: int = 3) -> PredictionTally:
    """How the rules of `op` predict `calls`, with up to `examples` examples. Calls that failed are not counted."""
    result = PredictionTally(op)
    answers = Answers(rules)
    for call in calls:
        if isinstance(call.outcome, Failure):
            continue
        try:
            prediction = answers.answer(call.arguments)
        except PredictedError as refusal:
            result.wrong += 1
            result.differences[f"refused: {refusal.error}"] += 1
            continue
        if prediction is None:
            if has_numbers(call.outcome.result) or answers.depends_on_values(call.arguments):
                result.data_dependent += 1
            else:
                result.unknown += 1
                if not result.wrong and len(result.examples) < examples:
                    result.examples.append((call, None))
            continue
        difference = difference_of(prediction, call)
        if difference is None:
            result.exact += 1
        else:
            result.wrong += 1
            result.differences[difference] += 1
            if len(result.examples) < 2 * examples:
                result.examples.insert(0, (call, prediction))
    return result


def has_numbers(result: Any) -> bool:
    """Whether a result is, or holds, a number that was read from data."""
    return isinstance(result, NumberOf) or any(isinstance(leaf, NumberOf) for leaf in leaves(result))


def difference_of(prediction: Outcome, call: Call) -> str | None:
    """The first fact in which a prediction differs from the recorded outcome; None if it is exact.

    Both must have the same writes. Lists, tuples and named tuples are not told apart.
    """
    actual = call.outcome
    assert isinstance(actual, Outcome)
    if call.level == "function" and _loses_gradient(prediction, actual):
        return "requires_grad"
    predicted, recorded = _normal(prediction, call), _normal(actual, call)
    difference = outcome_difference(predicted, recorded, FACTS_RECORDED, call.shares.__getitem__, every_write=True)
    if difference is None:
        return None
    is_after_call = difference.kind in FACTS_RECORDED and difference.where
    return f"written {difference.kind}" if is_after_call else difference.kind


def _normal(outcome: Outcome, call: Call) -> Outcome:
    """An outcome with a flat result, and with one number for arguments that are one tensor, as far as was recorded."""
    metas = [leaf for leaf in leaves(tuple(call.arguments.values())) if isinstance(leaf, TensorMeta)]
    places = list(zip(call.shares, map(id, metas), strict=True))
    flat = tuple(leaves(outcome.result))
    return Outcome(rebuilt(flat, Same, lambda same: Same(places.index(places[same.index]))), outcome.mutated)


def _loses_gradient(predicted: Outcome, recorded: Outcome) -> bool:
    """Whether a tensor that comes out requires a gradient and was not predicted to.

    The contrary is seen under no_grad too, which is not recorded.
    """
    pairs = [*zip(leaves(predicted.result), leaves(recorded.result), strict=False)]
    metas = [(one.meta, other.meta) for one, other in pairs if isinstance(one, New) and isinstance(other, New)]
    metas += [(meta, recorded.mutated[index]) for index, meta in predicted.mutated.items() if index in recorded.mutated]
    return any(other.requires_grad and not one.requires_grad for one, other in metas)
