"""Assessment: what rules say of recorded calls, compared with what came of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from passes.meta import TensorMeta
from passes.operators.difference import meta_difference
from passes.operators.outcome import New, Outcome, Same, leaves
from passes.record.calls import Call, Failure
from passes.record.values import NumberOf
from passes.rules.answer import Answerer
from passes.rules.generate import PredictedError
from passes.rules.rule import UNKNOWN, Rule

# In the order in which differences count: gradients are compared apart.
FACTS_RECORDED: Final = ("shape", "stride", "dtype", "storage_offset", "device", "layout", "is_conj", "is_neg")


@dataclass(slots=True)
class PredictionTally:
    """Calls of one operator by what a rule said: exactly what happened, something else, or nothing."""

    op: str
    exact: int = 0
    wrong: int = 0
    unknown: int = 0
    data_dependent: int = 0
    differences: Counter[str] = field(default_factory=Counter[str])
    examples: list[tuple[Call, Any]] = field(default_factory=list[tuple[Call, Any]])

    @property
    def answered(self) -> int:
        return self.exact + self.wrong

    @property
    def calls(self) -> int:
        return self.exact + self.wrong + self.unknown


class Answers:
    """Rules by their parameters. Several for the same ones are those of synonyms: the first that answers is heard."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_parameters: dict[tuple[str, ...], list[Answerer]] = defaultdict(list)
        for rule in rules:
            self._by_parameters[rule.parameters].append(Answerer(rule))

    def depends_on_values(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a rule leaves calls alone because what they give depends on the values in tensors."""
        rules = [answerer.rule for answerer in self._by_parameters.get(tuple(arguments), ())]
        return any(rule.provenance.dependent and any(case.answer == UNKNOWN for case in rule.form) for rule in rules)

    def answer(self, arguments: Mapping[str, Any]) -> Outcome | None:
        for answerer in self._by_parameters.get(tuple(arguments), ()):
            outcome = answerer.answer(arguments)
            if outcome is not None:
                return outcome
        return None


def tally(op: str, rules: Sequence[Rule], calls: Iterable[Call], examples: int = 3) -> PredictionTally:
    """What the rules of `op` make of `calls`; those that failed are not counted."""
    found = PredictionTally(op)
    answers = Answers(rules)
    for call in calls:
        if isinstance(call.outcome, Failure):
            continue
        try:
            said = answers.answer(call.arguments)
        except PredictedError as refusal:
            found.wrong += 1
            found.differences[f"refused: {refusal.error}"] += 1
            continue
        if said is None:
            if has_numbers(call.outcome.result) or answers.depends_on_values(call.arguments):
                found.data_dependent += 1
            else:
                found.unknown += 1
                if not found.wrong and len(found.examples) < examples:
                    found.examples.append((call, None))
            continue
        difference = difference_of(said, call)
        if difference is None:
            found.exact += 1
        else:
            found.wrong += 1
            found.differences[difference] += 1
            if len(found.examples) < 2 * examples:
                found.examples.insert(0, (call, said))
    return found


def has_numbers(result: Any) -> bool:
    """Whether a result is, or holds, a number that was read from data."""
    return isinstance(result, NumberOf) or any(isinstance(leaf, NumberOf) for leaf in leaves(result))


def difference_of(said: Outcome, call: Call) -> str | None:
    """The first fact in which a prediction differs from what was recorded; None if it is exact."""
    actual = call.outcome
    assert isinstance(actual, Outcome)
    ours, theirs = leaves(said.result), leaves(actual.result)
    if len(ours) != len(theirs):
        return "form"
    for one, other in zip(ours, theirs, strict=True):
        if difference := _different(one, other, call):
            return difference
    if {call.shares[index] for index in said.mutated} != {call.shares[index] for index in actual.mutated}:
        return "written"
    for index, meta in said.mutated.items():
        if index in actual.mutated and (difference := facts_differ(meta, actual.mutated[index], call.level)):
            return f"written {difference}"
    return None


def _different(one: Any, other: Any, call: Call) -> str | None:
    if isinstance(other, NumberOf):
        return "number"
    if isinstance(other, Same):
        return None if isinstance(one, Same) and _is_one(one.index, other.index, call) else "alias"
    if isinstance(other, New):
        if not isinstance(one, New):
            return "alias"
        ours = None if one.alias_of is None else call.shares[one.alias_of]
        theirs = None if other.alias_of is None else call.shares[other.alias_of]
        return "alias" if ours != theirs else facts_differ(one.meta, other.meta, call.level)
    return None if one == other and type(one) is type(other) else "value"


def _is_one(left: int, right: int, call: Call) -> bool:
    """Whether two tensors given are one, as far as was recorded."""
    if left == right:
        return True
    metas = [leaf for leaf in leaves(tuple(call.arguments.values())) if isinstance(leaf, TensorMeta)]
    return call.shares[left] == call.shares[right] and metas[left] is metas[right]


def facts_differ(ours: TensorMeta, theirs: TensorMeta, level: str) -> str | None:
    if level == "function" and theirs.requires_grad and not ours.requires_grad:
        return "requires_grad"  # the contrary is seen under no_grad too, which is not recorded
    difference = meta_difference(theirs, ours, FACTS_RECORDED)
    return difference.kind if difference else None
