"""Answers: one rule asked about one call, inside the domain in which the rule was verified.

Knows nothing of books, targets or files: arguments come by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from passes.meta import TensorMeta
from passes.outcome import Outcome, leaves
from passes.rules.generate import NO_VALUE, Compiled, Refused, compiled
from passes.rules.inside import check_of, inside_of
from passes.rules.rule import Rule


class Answerer:
    """A rule, compiled at the first question."""

    __slots__ = ("_compiled", "_evaluate", "_inside", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._compiled: Compiled | None = None
        self._evaluate = self._compile_first
        self._inside = inside_of(rule)

    @property
    def source(self) -> str:
        return self._code().source

    def _code(self) -> Compiled:
        if self._compiled is None:
            self._compiled = compiled(self.rule)
            self._evaluate = self._compiled.evaluate
        return self._compiled

    def _compile_first(self, *arguments: Any) -> Outcome | None:
        return self._code().evaluate(*arguments)

    def answer(
        self, arguments: Mapping[str, Any], grad_mode: bool = True, places: Mapping[str, int] | None = None
    ) -> Outcome | None:
        """What the call gives, or None where the rule does not know. Raises Refused where it says that it raises.

        `arguments` are those of the rule's parameters, in their order, with TensorMeta for tensors. `places` tell
        where in the call each one's first tensor is, if not in this order.
        """
        if len(arguments) != len(self.rule.parameters):
            raise ValueError(f"the rule of {self.rule.op} takes {self.rule.parameters}, not {tuple(arguments)}")
        return self.answer_values(tuple(arguments.values()), places or places_of(arguments), grad_mode)

    def answer_values(self, values: Sequence[Any], places: Mapping[str, int], grad_mode: bool) -> Outcome | None:
        """As `answer`, for the arguments without their names."""
        if not self._inside(*values):
            return None
        try:
            return self._evaluate(*values, places, grad_mode)
        except NO_VALUE:
            return None

    def is_inside(self, values: Sequence[Any]) -> bool:
        """Whether the arguments are of the domain in which the rule was verified."""
        return self._inside(*values)

    def said_of(self, values: Sequence[Any], places: Mapping[str, int], grad_mode: bool) -> Outcome | None:
        """As `answer_values`, wherever the arguments are."""
        try:
            return self._evaluate(*values, places, grad_mode)
        except NO_VALUE:
            return None

    def why_not(self, values: Sequence[Any], places: Mapping[str, int], grad_mode: bool) -> str:
        """Why a call is not answered, in a few words."""
        for name, value in zip(self.rule.parameters, values, strict=True):
            if not check_of(self.rule, name)(value):
                return f"{name} is outside the domain"
        try:
            self._evaluate(*values, places, grad_mode)
        except Refused as refused:
            return f"it raises {refused.error}, says the rule"
        except NO_VALUE as error:
            return f"the rule has no answer{f': {error}' if str(error) else ''}"
        return "the rule has no answer"


def places_of(arguments: Mapping[str, Any]) -> dict[str, int]:
    """The number of each argument's first tensor, for arguments that come in their order."""
    at: dict[str, int] = {}
    count = 0
    for name, value in arguments.items():
        at[name] = count
        if type(value) is TensorMeta:
            count += 1
        elif isinstance(value, tuple):
            count += [type(leaf) for leaf in leaves(value)].count(TensorMeta)
    return at
