"""Answers: one rule asked about one call, inside the domain in which the rule was verified.

Knows nothing of books, targets or files: arguments come by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

from passes.meta import CPU, DTYPE_NAMES, TensorMeta
from passes.outcome import Outcome, leaves
from passes.record.values import DTYPE_BY_NAME, Wrapped
from passes.rules.generate import NO_VALUE, Compiled, compiled
from passes.rules.rule import Rule

EXACT_KINDS: Final[dict[type, str]] = {type(None): "none", bool: "bool", int: "int", torch.dtype: "dtype"}
NUMBERS: Final = (bool, int, float, complex)


class Answerer:
    """A rule, compiled at the first question."""

    __slots__ = ("_checks", "_compiled", "_lists", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._compiled: Compiled | None = None
        self._checks = [(name, _check(rule, name)) for name in rule.parameters]
        self._lists = any("list" in kinds for kinds in rule.domain.kinds.values())

    @property
    def source(self) -> str:
        return self._code().source

    def _code(self) -> Compiled:
        if self._compiled is None:
            self._compiled = compiled(self.rule)
        return self._compiled

    def answer(
        self, arguments: Mapping[str, Any], grad_mode: bool = True, places: Mapping[str, int] | None = None
    ) -> Outcome | None:
        """What the call gives, or None where the rule does not know. Raises Refused where it says that it raises.

        `arguments` are those of the rule's parameters, in their order, with TensorMeta for tensors. `places` tell
        where in the call each one's first tensor is, if not in this order.
        """
        at: dict[str, int] = {}
        count = 0
        for (name, check), value in zip(self._checks, arguments.values(), strict=True):
            if not check(value):
                return None
            at[name] = count
            if type(value) is TensorMeta:
                count += 1
            elif isinstance(value, tuple):
                count += sum(type(leaf) is TensorMeta for leaf in leaves((value,)))
        try:
            return self._code().evaluate(*arguments.values(), places or at, grad_mode)
        except NO_VALUE:
            return None


def kind_in_domain(value: Any) -> str:
    """The kind of an argument that is no tensor, as a domain names it."""
    name = EXACT_KINDS.get(type(value))
    if name is not None:
        return name
    if isinstance(value, Wrapped):
        return type(value.number).__name__
    if isinstance(value, torch.SymInt):
        return "int"
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

    def tensor(meta: TensorMeta) -> bool:
        return (
            meta.dtype in dtypes
            and least <= len(meta.shape) <= most
            and meta.stride is not None
            and meta.device == CPU
            and not meta.is_inference
            and (not meta.is_conj or "conj" in kinds)
            and (not meta.is_neg or "neg" in kinds)
        )

    def check(value: Any) -> bool:
        if type(value) is TensorMeta:
            return "tensor" in kinds and tensor(value)
        kind = kind_in_domain(value)
        if kind not in kinds:
            return kind == "ints" and value == () and "list" in kinds
        if kind == "list":
            return all(part is None or tensor(part) for part in value)
        return not choices or not isinstance(value, str | torch.dtype | torch.memory_format | torch.layout) or (
            value if isinstance(value, str) else str(value)
        ) in choices

    return check



