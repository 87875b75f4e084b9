"""What a recorded module is differentiated from: one number, from everything that it returns."""

from __future__ import annotations

from typing import Any

import torch

from passes.results import differentiable_tensors


def loss_of(result: Any) -> torch.Tensor | None:
    """The sum of all floating-point tensors of a result that require gradients."""
    parts = [tensor.sum() for tensor in differentiable_tensors(result)]
    return torch.stack([part.float() for part in parts]).sum() if parts else None
