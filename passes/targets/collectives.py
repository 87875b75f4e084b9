"""What a graph calls for the collectives of torch.distributed: each gives a new tensor, which has arrived.

Process groups go by their names. Nothing here knows which function of the program asked for a collective.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch


def wait(tensor: torch.Tensor) -> torch.Tensor:
    """What a functional collective gave, once it has arrived. A view, so that a graph has a tensor to go on with."""
    arrived: torch.Tensor = _functional().wait_tensor(tensor)
    return arrived.view_as(arrived)


def all_reduce(tensor: torch.Tensor, operation: str, group: str) -> torch.Tensor:
    """The reduction of the `tensor` of each rank."""
    return _arrived(_functional().all_reduce(tensor, operation, group))


def broadcast(tensor: torch.Tensor, rank: int, group: str) -> torch.Tensor:
    """The `tensor` of one rank, which is counted in the group."""
    return _arrived(_functional().broadcast(tensor, rank, group))


def all_gather(tensor: torch.Tensor, size: int, group: str) -> torch.Tensor:
    """The `tensor` of each rank of a group of `size`, one after the other along the first dimension."""
    return _arrived(_functional().all_gather_into_tensor(tensor, size, group))


def reduce_scatter(tensor: torch.Tensor, operation: str, size: int, group: str) -> torch.Tensor:
    """This rank's part of the reduction of all: of `size` parts along the first dimension."""
    return _arrived(_functional().reduce_scatter_tensor(tensor, operation, size, group))


def all_to_all(tensor: torch.Tensor, received: Sequence[int], sent: Sequence[int], group: str) -> torch.Tensor:
    """What each rank sent to this one: `received` rows by rank, for the `sent` rows that it is given."""
    return _arrived(_functional().all_to_all_single(tensor, received, sent, group))


def _functional() -> Any:
    return torch.ops._c10d_functional


def _arrived(tensor: torch.Tensor) -> torch.Tensor:
    arrived: torch.Tensor = _functional().wait_tensor(tensor)
    return arrived


ALL: Final = (wait, all_reduce, broadcast, all_gather, reduce_scatter, all_to_all)
