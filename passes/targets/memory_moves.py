"""What a graph calls to give a tensor the memory of another: the tensor stays the object that it is.

Writes to one of the two are seen in the other from then on, and the memory that the first had before is left alone.
"""

from __future__ import annotations

import torch


def move_data(tensor: torch.Tensor, other: torch.Tensor) -> None:
    """`tensor.data = other`, which autograd does not notice, and which the version of the tensor does not count."""
    tensor.data = other


def move_memory(tensor: torch.Tensor, other: torch.Tensor) -> None:
    """`tensor.set_(other)`, which autograd and the version of the tensor count as a write."""
    tensor.set_(other)  # type: ignore[arg-type]
