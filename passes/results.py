"""What a result of a program is differentiated from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch


def differentiable_tensors(result: Any) -> list[torch.Tensor]:
    """The floating-point tensors that require gradients, in nested mappings, lists and tuples."""
    return [tensor for tensor in _tensors(result) if tensor.requires_grad and tensor.is_floating_point()]


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
