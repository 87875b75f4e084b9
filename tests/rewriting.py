"""Runs functions captured with passes, compares them with the originals, and tells what was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import tracer
from passes.rewrite.pipeline import Pass, RewriteReport
from tracer.rewriting import rewriting


def tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    parts = result.values() if isinstance(result, dict) else result if isinstance(result, tuple | list) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def rewritten(
    passes: Sequence[Pass], function: Callable[..., Any], *args: Any, tolerance: float = 1e-5, **kwargs: Any
) -> RewriteReport:
    """The report of one captured call, after both calls were seen to give the same, written arguments included."""
    backend = rewriting("eager", passes)
    inner, others = [tuple(arg.clone() if type(arg) is Tensor else arg for arg in args) for _ in range(2)]
    expected = function(*inner, **kwargs)
    found = tracer.capture(function, backend=backend)(*others, **kwargs)
    for one, other in zip(tensors(expected), tensors(found), strict=True):
        assert (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)
        torch.testing.assert_close(other, one, rtol=tolerance, atol=tolerance, equal_nan=True)
    for one, other in zip(tensors(inner), tensors(others), strict=True):
        torch.testing.assert_close(other, one, rtol=tolerance, atol=tolerance)
    (report,) = backend.reports
    return report


def gradients(function: Callable[..., Any], *args: Tensor) -> list[Tensor]:
    """The gradients of a weighted sum of what a function gives."""
    given = [arg.clone().requires_grad_(arg.is_floating_point()) for arg in args]
    results = tensors(function(*given))
    total = sum((out * torch.linspace(0.5, 1.5, out.numel()).view(out.shape)).sum() for out in results)
    assert isinstance(total, Tensor)
    return list(torch.autograd.grad(total, [arg for arg in given if arg.requires_grad]))
