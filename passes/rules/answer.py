"""Answers: one rule asked about one call, inside the domain in which the rule was verified.

Knows nothing of books, targets or files: arguments come by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch

from passes.meta import CPU, TensorMeta
from passes.outcome import Outcome, leaves
from passes.record.values import DTYPE_BY_NAME, Wrapped
from passes.rules.generate import NO_VALUE, Compiled, Refused, compiled
from passes.rules.rule import Rule

EXACT_KINDS: Final[dict[type, str]] = {
    type(None): "none",
    bool: "bool",
    int: "int",
    torch.SymInt: "int",
    torch.dtype: "dtype",
    float: "float",
    str: "str",
}
NUMBERS: Final = (bool, int, float, complex)
CHOSEN: Final = (str, torch.dtype, torch.memory_format, torch.layout)


class Answerer:
    """A rule, compiled at the first question."""

    __slots__ = ("_checks", "_compiled", "_evaluate", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._compiled: Compiled | None = None
        self._evaluate = self._compile_first
        self._checks = [_check(rule, name) for name in rule.parameters]

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
        if len(arguments) != len(self._checks):
            raise ValueError(f"the rule of {self.rule.op} takes {self.rule.parameters}, not {tuple(arguments)}")
        return self.answer_values(tuple(arguments.values()), places or places_of(arguments), grad_mode)

    def answer_values(self, values: Sequence[Any], places: Mapping[str, int], grad_mode: bool) -> Outcome | None:
        """As `answer`, for the arguments without their names."""
        return self.said_of(values, places, grad_mode) if self.is_inside(values) else None

    def is_inside(self, values: Sequence[Any]) -> bool:
        """Whether the arguments are of the domain in which the rule was verified."""
        return all(check(value) for check, value in zip(self._checks, values, strict=True))

    def said_of(self, values: Sequence[Any], places: Mapping[str, int], grad_mode: bool) -> Outcome | None:
        """As `answer_values`, wherever the arguments are."""
        try:
            return self._evaluate(*values, places, grad_mode)
        except NO_VALUE:
            return None

    def why_not(self, values: Sequence[Any], places: Mapping[str, int], grad_mode: bool) -> str:
        """Why a call is not answered, in a few words."""
        for name, check, value in zip(self.rule.parameters, self._checks, values, strict=True):
            if not check(value):
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


def kind_in_domain(value: Any) -> str:
    """The kind of an argument that is no tensor, as a domain names it."""
    name = EXACT_KINDS.get(type(value))
    if name is not None:
        return name
    if isinstance(value, Wrapped):
        return type(value.number).__name__
    if isinstance(value, tuple):
        if all(isinstance(part, int | torch.SymInt) for part in value):
            return "ints"
        if all(part is None or isinstance(part, TensorMeta) for part in value):
            return "list"
        return "ints" if all(part is None or isinstance(part, NUMBERS) for part in value) else type(value).__name__
    return type(value).__name__


def _check(rule: Rule, name: str) -> Callable[[Any], bool]:
    """Whether an argument is one for which the rule was verified."""
    domain = rule.domain
    kinds = frozenset(domain.kinds.get(name, ()))
    ranks = domain.ranks.get(name, ())
    most = max(ranks, default=-1)
    least = min(ranks, default=0)
    dtypes = frozenset(DTYPE_BY_NAME[text] for text in domain.dtypes.get(name, ()) if text in DTYPE_BY_NAME)
    choices = frozenset(domain.choices.get(name, ()))
    devices = not kinds.isdisjoint(("none", "device", "str"))  # all are the CPU then, however it was said
    tensors, conjugates, negatives = "tensor" in kinds, "conj" in kinds, "neg" in kinds

    def tensor(meta: TensorMeta) -> bool:
        return (
            meta.dtype in dtypes
            and least <= len(meta.shape) <= most
            and meta.stride is not None
            and meta.device == CPU
            and not meta.is_inference
            and (conjugates or not meta.is_conj)
            and (negatives or not meta.is_neg)
        )

    def check(value: Any) -> bool:
        if type(value) is TensorMeta:
            return tensors and tensor(value)
        if type(value) is torch.device:
            return value.type == "cpu" and devices
        kind = kind_in_domain(value)
        if kind not in kinds:
            return kind == "ints" and value == () and "list" in kinds
        if kind == "list":
            return all(part is None or tensor(part) for part in value)
        if choices and isinstance(value, CHOSEN):
            return (value if type(value) is str else str(value)) in choices
        return True

    return check
