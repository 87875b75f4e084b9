"""Poisoned memory: memory that torch allocates without filling it holds NaN or the largest integer.

Uses torch's own switch (torch.utils.deterministic.fill_uninitialized_memory, which acts in deterministic mode). Kernels
that need no filled memory compute the same results in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.utils.deterministic


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """A context in which `torch.empty` and similar operators return poisoned tensors."""
    enabled, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    filling = torch.utils.deterministic.fill_uninitialized_memory  # pyright: ignore[reportAttributeAccessIssue]
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True  # pyright: ignore[reportAttributeAccessIssue]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = filling  # pyright: ignore[reportAttributeAccessIssue]
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """A context in which operators run on this many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
