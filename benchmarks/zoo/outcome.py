"""What becomes of a program when it is captured: how many graphs, which breaks, and whether it still does the same."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

import tracer
from benchmarks.zoo.program import Build
from tests.same import Comparison
from tracer.events import LOG, Event

CALLS: Final = 3
KINDS: Final = ("one", "several", "none", "wrong", "error")
"""One graph for each capture, several with breaks between them, none at all; another result; an error of its own."""


@dataclass(frozen=True)
class Result:
    """What one call returned, or the type and the message of the error that it raised."""

    value: Any = None
    raised: str = ""


Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Outcome:
    """How the calls of one program went: one of KINDS, the counts, and what broke or differed."""

    kind: str
    graphs: int
    breaks: int
    detail: str = ""


def run(build: Build, wrap: Wrap) -> list[Result]:
    """The results of CALLS calls of a program after `wrap`."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    program, args = build()
    wrapped = wrap(program)
    results: list[Result] = []
    for _ in range(CALLS):
        try:
            results.append(Result(_kept(wrapped(*args))))
        except Exception as error:  # noqa: BLE001  # the error of a program is its result
            message = str(error).partition("\n")[0]
            results.append(Result(raised=f"{type(error).__name__}: {message}"))
    return results


def _kept(result: Any) -> Any:
    """A result as it is now, as the next call may change it."""
    return torch.utils._pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.detach().clone(), result)


def by_bytegraph(build: Build, plain: list[Result]) -> Outcome:
    tracer.reset()
    breaks: list[str] = []

    def note(event: Event) -> None:
        if event.kind == "break":
            place = f"{Path(event.details['file']).name}:{event.details['line']}"
            breaks.append(f"{event.details['reason']} ({place})")

    unsubscribe = LOG.subscribe(note)
    try:
        results = run(build, lambda program: tracer.capture(program, backend="eager"))
    finally:
        unsubscribe()
    return _outcome(plain, results, tracer.counters().graphs, breaks)


def by_dynamo(build: Build, plain: list[Result]) -> Outcome:
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph_module: torch.fx.GraphModule, example_inputs: list[torch.Tensor]) -> Callable[..., Any]:
        graphs.append(graph_module)
        return graph_module.forward

    results = run(build, lambda program: torch.compile(program, backend=backend))
    counters = torch._dynamo.utils.counters
    # A break on data is counted where the function goes on only.
    breaks = [reason for kind in ("graph_break", "resumes") for reason in counters[kind]]
    return _outcome(plain, results, len(graphs), breaks)


def _outcome(plain: list[Result], results: list[Result], graphs: int, breaks: list[str]) -> Outcome:
    comparison = Comparison()
    comparison.compare(plain, results, "result")
    if comparison.differences:
        failed = next((one.raised for one, other in zip(results, plain, strict=True) if one.raised != other.raised), "")
        return Outcome("error" if failed else "wrong", graphs, len(breaks), failed or comparison.differences[0])
    kind = "none" if not graphs else "several" if breaks else "one"
    return Outcome(kind, graphs, len(breaks), ", ".join(sorted(set(breaks))))


def is_worse(ours: Outcome, theirs: Outcome) -> bool:
    """Whether bytegraph does worse than TorchDynamo: by its kind, or by more graphs where both have some.

    A program without a graph and without a break computes nothing with tensors.
    """
    if ours.kind == "none" and not ours.breaks:
        return False
    if KINDS.index(ours.kind) > KINDS.index(theirs.kind):
        return True
    return ours.kind == theirs.kind == "several" and ours.graphs > theirs.graphs
