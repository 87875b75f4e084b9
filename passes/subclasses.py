"""Tensors of a subclass and plain ones with the same memory. Nothing here knows how a program was captured."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

overrides_disabled: Callable[[], AbstractContextManager[None]] = torch._C.DisableTorchFunctionSubclass
"""Entered to call operators past the `__torch_function__` of a class."""


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """A plain tensor with the memory and the history of one of a subclass."""
    with overrides_disabled():
        return tensor.as_subclass(torch.Tensor)


def with_class(tensor: torch.Tensor, cls: type[torch.Tensor]) -> torch.Tensor:
    """A tensor of a subclass with the memory and the history of a plain one."""
    with overrides_disabled():
        return tensor.as_subclass(cls)
