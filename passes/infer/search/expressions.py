"""Evaluation of expressions of the rule language, given as text, on the rows of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from passes.infer.search.sample import MISSING, CallSample
from passes.rules.generate import NO_VALUE
from passes.rules.language import CONSTANTS, PRIMITIVES
from passes.rules.rule import UNKNOWN, Cases


class Evaluated(Sequence[Any]):
    """The values of an expression given as text, each computed when it is read."""

    def __init__(self, text: str, sample: CallSample) -> None:
        self._code = compile(text, "<formula>", "eval")
        self._columns = sample.columns()
        self._size = sample.size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> Any:
        names = {name: values[index] for name, values in self._columns}
        try:
            return eval(self._code, FUNCTIONS, names)  # the text was built from terms, not read from a file
        except NO_VALUE:
            return MISSING


FUNCTIONS: Final[dict[str, Any]] = {**CONSTANTS, **{name: each.function for name, each in PRIMITIVES.items()}}


def answers(cases: Cases, sample: CallSample) -> list[Any]:
    """The answers of cases on every row, MISSING where they give none."""
    values: list[Any] = [MISSING] * sample.size
    rest = list(range(sample.size))
    for case in cases:
        holds = Evaluated(case.condition or "True", sample)
        if case.answer != UNKNOWN:
            answer = Evaluated(case.answer, sample)
            for row in rest:
                values[row] = answer[row] if holds[row] is True else MISSING
        rest = [row for row in rest if holds[row] is False]
    return values
