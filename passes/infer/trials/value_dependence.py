"""Which calls depend on the values in their tensors: their outcome changes when nothing but the values does.

No rule can predict such a call from metas, so that it must not be learned from as if one could.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from passes.infer.trials.inputs import EXTREMES
from passes.infer.trials.runner import TrialRunner, trials_made
from passes.infer.trials.variant import CallVariant, identity
from passes.infer.worker import Crash
from passes.operators.outcome import New, Outcome, rebuilt
from passes.record.calls import Call, Failure
from passes.record.values import NumberOf

FIRST: Final = 8  # trials with other values that are made first: kernels that do not check indices crash in these
DEPENDENT: Final = Outcome(NumberOf("values"), {})  # the outcome given to calls that depend on values


class ValueDependence:
    """Finds the calls of one operator whose outcome changes with the values in their tensors, and counts them."""

    def __init__(self, op: str, level: str, laboratory: TrialRunner | None) -> None:
        self._op, self._level, self._laboratory = op, level, laboratory
        self.count = 0

    def dependent(self, calls: Sequence[Call]) -> list[Call]:
        """Those of `calls` whose outcome depends on values, with DEPENDENT as their outcome."""
        if self._laboratory is None:
            return []
        outcomes = {identity_of(call): {repr(call.outcome)} for call in calls}
        chosen = [CallVariant(call.arguments, call.shares) for call in calls]
        for fill in EXTREMES:
            for call in trials_made(self._filled(chosen, fill)):
                if not isinstance(call.outcome, Failure) and identity_of(call) in outcomes:
                    outcomes[identity_of(call)].add(_without_flags(call))
        for call in calls:
            outcomes[identity_of(call)].discard(repr(call.outcome))
            outcomes[identity_of(call)].add(_without_flags(call))
        marked = [replace(call, outcome=DEPENDENT) for call in calls if len(outcomes[identity_of(call)]) > 1]
        self.count += len(marked)
        return marked

    def _filled(self, chosen: Sequence[CallVariant], fill: str) -> list[Call | Crash]:
        """The trials with these values; only the first few if one of those crashes."""
        assert self._laboratory is not None
        results = self._laboratory.observe_all(self._op, self._level, chosen[:FIRST], fill=fill)
        if any(isinstance(each, Crash) for each in results):
            return results
        return results + self._laboratory.observe_all(self._op, self._level, chosen[FIRST:], fill=fill)

    def marked(self, calls: list[Call]) -> list[Call]:
        """`calls`, where those that depend on values have DEPENDENT as their outcome.

        They are looked for only if a call of the operator depended on values before.
        """
        if not self.count:
            return calls
        good = [call for call in calls if not isinstance(call.outcome, Failure)]
        other = {identity_of(call): call for call in self.dependent(good)}
        return [other.get(identity_of(call), call) for call in calls]


def identity_of(call: Call) -> object:
    """What makes two calls the same for this study: arguments and shared memory, without the outcome."""
    return identity(CallVariant(call.arguments, call.shares))


def _without_flags(call: Call) -> str:
    """An outcome as text, without the flags of autograd, which are not recorded at every level."""
    outcome = call.outcome
    if isinstance(outcome, Failure):
        return repr(outcome)

    def plain(leaf: New) -> New:
        return New(leaf.meta.replace(requires_grad=False, is_leaf=True), leaf.alias_of)

    return repr(rebuilt(outcome.result, New, plain))
