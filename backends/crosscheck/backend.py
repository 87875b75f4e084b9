"""The backend `crosscheck`: eager replay of each graph, which is checked when it is first called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch.fx import GraphModule

from backends.crosscheck.candidates import Candidate
from backends.crosscheck.check import Settings, check
from backends.crosscheck.report import Divergence
from backends.eager import compile_graph, compile_graph_module
from backends.gradients import GradientError, check_gradients
from backends.handover import NO_OPTIONS, BadOptions, Backend, Handover

LookUp = Callable[[Any, Mapping[str, Any]], Backend]
OWN: Final = ("candidate", "candidate_options", "device", "dtype", "report", "check_gradients")
SETTINGS: Final = tuple(Settings.__dataclass_fields__)


def settings_of(given: Mapping[str, Any]) -> Settings:
    """How much is to be checked. Raises BadOptions for names that are none of the settings."""
    unknown = [name for name in given if name not in SETTINGS]
    if unknown:
        raise BadOptions(
            f"crosscheck has no option {', '.join(map(repr, unknown))}; its options: {', '.join((*OWN, *SETTINGS))}"
        )
    return Settings(**given)


def candidate_of(
    candidate: Any,
    options: Mapping[str, Any],
    device: str | torch.device | None,
    dtype: torch.dtype | None,
    look_up: LookUp,
) -> Candidate:
    """What is to be checked. Raises BadOptions, and what looking a name up raises."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise BadOptions(f"dtype must be a floating dtype, not {dtype!r}")
    place = None if device is None else torch.device(device)
    words = [] if isinstance(candidate, str) and candidate == "eager" else [_name(candidate)]
    words += [str(part) for part in (place, dtype) if part is not None]
    name = " ".join(words) or "eager"
    if candidate == "eager":
        return Candidate(name, place, dtype)
    if candidate == "crosscheck":
        raise BadOptions("the candidate of 'crosscheck' cannot be 'crosscheck' itself")
    drawing = {"fallback_random": True} if candidate == "inductor" else {}
    return Candidate(name, place, dtype, look_up(candidate, {**drawing, **options}), candidate)


def _name(candidate: Any) -> str:
    return candidate if isinstance(candidate, str) else getattr(candidate, "__name__", type(candidate).__name__)


def crosscheck_backend(options: Mapping[str, Any], look_up: LookUp) -> Backend:
    """Eager replay of each graph; its first call is checked first, on copies of the real inputs.

    Options are the arguments of `crosscheck`, and `check_gradients` (True: the directional check too), and
    `report`, a callable that gets each Report (and GradientReport) instead of Divergence (GradientError)
    being raised. Raises BadOptions.
    """
    given = dict(options)
    own = {name: given.pop(name) for name in OWN if name in given}
    settings = settings_of(given)
    candidate = candidate_of(
        own.get("candidate", "eager"), own.get("candidate_options", NO_OPTIONS), own.get("device"), own.get("dtype"), look_up
    )
    tell = own.get("report")

    def checked(program: Callable[..., Any], module: Callable[[], GraphModule]) -> Callable[..., Any]:
        waiting = [module]

        def run(*inputs: Any) -> Any:
            if waiting:
                graph_module = waiting.pop()()
                _judge(check(graph_module, inputs, candidate, settings), tell, Divergence)
                if own.get("check_gradients"):
                    more = {"shrink": settings.shrink, "verify": settings.verify, "folder": settings.folder}
                    _judge(check_gradients(graph_module, inputs, **more), tell, GradientError)
            return program(*inputs)

        return run

    def compile(module: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        return checked(compile_graph_module(module, inputs), lambda: module)

    def start(handover: Handover) -> Callable[..., Any]:
        return checked(compile_graph(handover.graph, handover.attributes, handover.origin), handover.module)

    return Backend("crosscheck", compile, start, options=options)


def _judge(report: Any, tell: Callable[[Any], object] | None, error: Callable[[Any], Exception]) -> None:
    """Hand a report over, or raise it if something is wrong."""
    if tell is not None:
        tell(report)
    elif not report.ok:
        raise error(report)
