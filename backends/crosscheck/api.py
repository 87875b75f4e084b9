"""`crosscheck`: the check of one graph with its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.fx import GraphModule

from backends.crosscheck.candidates import candidate_of
from backends.crosscheck.check import check, settings_of
from backends.crosscheck.compare import CrosscheckDifference
from backends.crosscheck.report import CrosscheckFinding, CrosscheckReport, Divergence
from backends.handover import NO_OPTIONS
from backends.registry import look_up

__all__ = ["CrosscheckDifference", "CrosscheckFinding", "CrosscheckReport", "Divergence", "crosscheck"]


def crosscheck(
    graph_module: GraphModule,
    inputs: Sequence[Any],
    *,
    candidate: str | Callable[..., Any] = "eager",
    candidate_options: Mapping[str, Any] = NO_OPTIONS,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    **settings: Any,
) -> CrosscheckReport:
    """Compare `candidate` with a reference on this graph and these inputs, none of which are changed.

    `candidate` is "eager" (torch's own operators, one by one, custom ones included; on `device`, in `dtype`), or a
    backend, by name or as `backend(graph_module, example_inputs) -> callable`. The `settings` are the fields of
    check.CrosscheckSettings: `layouts`, `operators`, `gradients`, `most`, `shrink`, `verify`, `folder`, `progress`.
    Raises BadOptions for other settings; exceptions of the graph itself pass through. Differences are in the report,
    not raised.
    """
    chosen = candidate_of(candidate, candidate_options, device, dtype, look_up)
    return check(graph_module, inputs, chosen, settings_of(settings))
