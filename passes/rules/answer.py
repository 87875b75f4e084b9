"""Answers: one rule asked about one call, inside the domain in which the rule was verified.

Knows nothing of books, targets or files: arguments come by name.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.operators.outcome import Outcome, leaves
from passes.rules.domain_check import check_of, inside_of
from passes.rules.generate import NO_VALUE, Compiled, Evaluation, PredictedError, compiled
from passes.rules.language import CONSTANTS, parsed
from passes.rules.rule import WORDS, Rule

DEFAULTS: Final = (torch.float32, torch.float64, torch.complex64, torch.complex128)
NAMES_OF_DEFAULTS: Final = frozenset(name for name, value in CONSTANTS.items() if value in DEFAULTS)


class Answerer:
    """A rule, compiled at the first question.

    `evaluate` is its function: of its arguments, where in the call each one's first tensor is, and the grad mode.
    """

    __slots__ = ("_any_default", "_compiled", "_inside", "evaluate", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._compiled: Compiled | None = None
        self._inside: Callable[..., bool] | None = None
        self._any_default: bool | None = None
        self.evaluate: Evaluation = self._compile_first

    @property
    def source(self) -> str:
        """The source of the function that is run for the rule."""
        return self._code().source

    @property
    def holds_for_any_default(self) -> bool:
        """Whether the rule may be asked under a default dtype that no call it was learned from had.

        It may be if it names no dtype that could have been the default: its primitives ask torch for that.
        """
        if self._any_default is None:
            texts = (
                text
                for question, cases in self.rule.decisions()
                for case in cases
                for text in (case.condition, "" if question.rpartition(" ")[2] in WORDS else case.answer)
                if text
            )
            named = {node.id for text in texts for node in ast.walk(parsed(text).tree) if isinstance(node, ast.Name)}
            self._any_default = named.isdisjoint(NAMES_OF_DEFAULTS)
        return self._any_default

    def _code(self) -> Compiled:
        if self._compiled is None:
            self._compiled = compiled(self.rule)
            self.evaluate = self._compiled.evaluate
        return self._compiled

    def _compile_first(self, *arguments: Any, **how: Any) -> Outcome | None:
        return self._code().evaluate(*arguments, **how)

    def answer(
        self, arguments: Mapping[str, Any], grad_mode: bool = True, places: Mapping[str, int] | None = None
    ) -> Outcome | None:
        """The outcome of the call; None where the rule does not know. Raises PredictedError where it says so.

        `arguments` are those of the rule's parameters, in their order, with TensorMeta for tensors. `places` tell
        where in the call each one's first tensor is, if not in this order.
        """
        if len(arguments) != len(self.rule.parameters):
            raise ValueError(f"the rule of {self.rule.op} takes {self.rule.parameters}, not {tuple(arguments)}")
        try:
            return self.evaluate(*arguments.values(), places or places_of(arguments), grad_mode)
        except NO_VALUE:
            return None

    def is_inside(self, values: Sequence[Any]) -> bool:
        """Whether the arguments are of the domain in which the rule was verified."""
        if self._inside is None:
            self._inside = inside_of(self.rule)
        return self._inside(*values)

    def said_of(self, values: Sequence[Any], places: Mapping[str, int], grad_mode: bool) -> Outcome | None:
        """What the rule says of arguments without their names, wherever they are."""
        try:
            return self.evaluate(*values, places, grad_mode, _anywhere=True)
        except NO_VALUE:
            return None

    def why_not(self, values: Sequence[Any], places: Mapping[str, int], grad_mode: bool) -> str:
        """Why a call is not answered, in a few words."""
        for name, value in zip(self.rule.parameters, values, strict=True):
            if not check_of(self.rule, name)(value):
                return f"{name} is outside the domain"
        try:
            self.evaluate(*values, places, grad_mode)
        except PredictedError as refused:
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
