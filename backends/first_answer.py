"""The first answer of a program that a backend of the user's has compiled: compared with the contract, once.

A residual program unpacks what its graph returns, and a tensor unpacks into its rows: without a look at it, a backend
that returns a tensor where a tuple is asked for would give wrong results without an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from backends.verdict import Verdict

Program = Callable[..., Any]


class WrongAnswer(Verdict, TypeError):
    """A compiled program does not return one tuple with the outputs of its graph."""


class FirstAnswer:
    """A compiled program, whose first answer is looked at.

    The function given to `on_replacement` is called with the program itself after that: later calls cost nothing more.
    """

    def __init__(self, backend: str, program: Program, outputs: int) -> None:
        self.backend = backend
        self.program = program
        self.outputs = outputs
        self._install: Callable[[Program], None] | None = None
        self._is_right = False

    def __call__(self, *inputs: Any) -> Any:
        answer = self.program(*inputs)
        if not self._is_right:
            problem = problem_of(answer, self.outputs)
            if problem:
                raise WrongAnswer(f"what the backend {self.backend!r} has compiled returned {problem}")
            self._is_right = True
            if self._install is not None:
                self._install(self.program)
        return answer

    def on_replacement(self, install: Callable[[Program], None]) -> None:
        """Have `install` called with the program that stays."""
        self._install = install


def problem_of(answer: Any, outputs: int) -> str:
    """What is wrong with the answer of a compiled graph that has so many outputs; "" if nothing is."""
    expected = "a tuple with one item for each output of the graph"
    if not isinstance(answer, (tuple, list)):
        shape = f" of shape {tuple(answer.shape)}" if isinstance(answer, torch.Tensor) else ""
        hint = ", such as (result,)" if outputs == 1 and shape else ""
        return f"{_with_article(type(answer).__name__)}{shape}, and not {expected}{hint}"
    if len(answer) != outputs:
        return f"{_counted(len(answer), 'item')}, and the graph has {_counted(outputs, 'output')}"
    return ""


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}" if noun != "NoneType" else "None"
