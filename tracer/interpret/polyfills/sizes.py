"""Methods of torch.Size, for sizes with symbols in them: C would make numbers of those."""

from __future__ import annotations

from typing import Any

import torch

from tracer.interpret.polyfills.registry import replaces


@replaces(torch.Size.__add__)
def size_add(self: torch.Size, other: Any, /) -> Any:
    if not isinstance(other, tuple):
        return NotImplemented
    return torch.Size([*self, *other])


@replaces(torch.Size.__radd__)
def size_add_reflected(self: torch.Size, other: Any, /) -> Any:
    if not isinstance(other, tuple):
        return NotImplemented
    return torch.Size([*other, *self])


@replaces(torch.Size.numel)
def size_numel(self: torch.Size, /) -> int:
    count = 1
    for size in self:
        count *= size
    return count
