"""`diagnose`: captures a training step with a backend that measures, runs it on batches, and looks for faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from passes.diagnose.diagnosis import Diagnosis
from passes.diagnose.findings import Bounds, find
from passes.diagnose.measure import Measurement
from passes.results import differentiable_tensors
from tracer.captured import captured_form
from tracer.dispatch.engine import Engine
from tracer.options import Options


def diagnose(step: Callable[..., Any], *batches: Any, bounds: Bounds | None = None) -> Diagnosis:
    """Run `step` on each batch and look for what keeps it from learning.

    `step` is a function or module that returns a loss, an output with a `loss`, or plain outputs, or it calls
    backward() itself; a batch is a tuple of arguments, a dict of keyword arguments, or the one argument. The
    step's own effects happen; where it does not call backward(), gradients are computed and `grad` stays as
    it is. Raises ValueError without batches, and when no gradient came.
    """
    if not batches:
        raise ValueError("diagnose needs at least one batch to run the step on")
    chosen = bounds or Bounds()
    measurement = Measurement(chosen.derivative)
    captured = captured_form(Engine(Options(backend=measurement.compile, dynamic=False)), step)
    reached = False
    for batch in batches:
        args, kwargs = _arguments(batch)
        try:
            result = captured(*args, **kwargs)
            if not measurement.saw_gradients:
                _differentiate(result, measurement)
            reached = reached or measurement.saw_gradients
        finally:
            measurement.end_batch()
    if not reached:
        raise ValueError("no gradient came: the step returned nothing that requires grad, or used no parameter")
    records = tuple(measurement.records.values())
    return Diagnosis(tuple(find(records, chosen)), records, len(batches))


def _arguments(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(batch, Mapping):
        return (), dict(batch)
    return (batch if isinstance(batch, tuple) else (batch,)), {}


def _differentiate(result: Any, measurement: Measurement) -> None:
    """Compute gradients of what the step returned, without adding to any `grad`."""
    loss = _loss(result)
    parameters = [tensor for tensor in measurement.parameters.values() if tensor.requires_grad]
    if loss is not None and parameters:
        torch.autograd.grad(loss, parameters, allow_unused=True)


def _loss(result: Any) -> torch.Tensor | None:
    """The loss that a step returned; for plain outputs, their sum with random weights."""
    named = result.get("loss") if isinstance(result, Mapping) else getattr(result, "loss", None)
    if isinstance(named, torch.Tensor):
        return named
    outputs = differentiable_tensors(result)
    if len(outputs) == 1 and outputs[0].numel() == 1:
        return outputs[0].sum()
    generator = torch.Generator().manual_seed(0)
    terms = []
    for tensor in outputs:
        weights = torch.randn(tensor.shape, generator=generator).to(tensor.device, tensor.dtype)
        terms.append((tensor * weights).sum() / tensor.numel() ** 0.5)
    return torch.stack(terms).sum() if terms else None
