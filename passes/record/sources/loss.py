"""What a recorded module is differentiated from: one number, from everything that it returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch


def loss_of(result: Any) -> torch.Tensor | None:
    """The sum of all floating-point tensors of a result that require gradients."""
    parts = [tensor.sum() for tensor in _tensors(result) if tensor.requires_grad and tensor.is_floating_point()]
    return torch.stack([part.float() for part in parts]).sum() if parts else None


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
