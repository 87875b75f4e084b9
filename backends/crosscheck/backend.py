"""The backend `crosscheck`: eager replay of each graph, which is checked before its first call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.fx import GraphModule

from backends.crosscheck.candidates import LookUp, candidate_of
from backends.crosscheck.check import OWN, check, settings_of
from backends.crosscheck.report import Divergence
from backends.eager import compile_graph_module, compile_handover
from backends.gradients import GradientError, check_gradients
from backends.handover import NO_OPTIONS, Backend, Handover, Writes


def crosscheck_backend(options: Mapping[str, Any], look_up: LookUp) -> Backend:
    """Eager replay of each graph; before the first call, the graph is checked on copies of the real inputs.

    Options are the arguments of `crosscheck`, and `check_gradients`: True makes the directional check of gradients too,
    False makes none; None, the default, makes it if inputs require gradients, and reports only operators whose
    gradients are not their slopes, because a program may intend its own to differ (`x + (y - x).detach()`). `report` is
    a callable that receives each CrosscheckReport (and GradientReport) instead of Divergence (GradientError) being
    raised. Raises BadOptions.
    """
    others = dict(options)
    own_options = {name: others.pop(name) for name in OWN if name in others}
    settings = settings_of(others)
    candidate = candidate_of(
        own_options.get("candidate", "eager"),
        own_options.get("candidate_options", NO_OPTIONS),
        own_options.get("device"),
        own_options.get("dtype"),
        look_up,
    )
    tell, asked = own_options.get("report"), own_options.get("check_gradients")

    def checked(program: Callable[..., Any], module: Callable[[], GraphModule]) -> Callable[..., Any]:
        waiting = [module]

        def run(*inputs: Any) -> Any:
            if waiting:
                graph_module = waiting.pop()()
                _judge(check(graph_module, inputs, candidate, settings), tell, Divergence)
                if asked or (asked is None and _are_differentiated(inputs)):
                    slopes = check_gradients(
                        graph_module, inputs, shrink=settings.shrink, verify=settings.verify, folder=settings.folder
                    )
                    if asked or slopes.findings:
                        _judge(slopes, tell, GradientError)
            return program(*inputs)

        return run

    def compile(module: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        return checked(compile_graph_module(module, inputs), lambda: module)

    def start(handover: Handover) -> Callable[..., Any]:
        return checked(compile_handover(handover), handover.module)

    writes = Writes.UNSEEN if candidate.compiles else Writes.COUNTED
    return Backend("crosscheck", compile, start, probes=not candidate.compiles, writes=writes, options=options)


def _are_differentiated(inputs: Sequence[Any]) -> bool:
    return torch.is_grad_enabled() and any(isinstance(value, torch.Tensor) and value.requires_grad for value in inputs)


def _judge(report: Any, tell: Callable[[Any], object] | None, error: Callable[[Any], Exception]) -> None:
    """Pass a report to the callable, or raise it if it contains a difference."""
    if tell is not None:
        tell(report)
    elif not report.ok:
        raise error(report)
