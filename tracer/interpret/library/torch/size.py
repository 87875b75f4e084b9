"""torch.Size, whose items may be symbols: C code would turn those into numbers."""

from __future__ import annotations

from typing import Any

import torch

from tracer.interpret.policy import immutable, lookaside, polyfill
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import Value, realise
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.protocols.iteration import unpack

immutable(torch.Size)


@lookaside(torch.Size)
def _size(trace: Trace, iterable: Item = ()) -> Item:
    items = [realise(trace, item) for item in unpack(trace, iterable)]
    for item in items:
        if isinstance(item, Value):
            trace.stop(UNSUPPORTED_CALL, f"torch.Size of a {item.cls.__name__}")
    return host(trace, torch.Size, items)


@polyfill(torch.Size.__add__, pure=True)
def size_add(self: torch.Size, other: Any, /) -> Any:
    if not isinstance(other, tuple):
        return NotImplemented
    return torch.Size([*self, *other])


@polyfill(torch.Size.__radd__, pure=True)
def size_add_reflected(self: torch.Size, other: Any, /) -> Any:
    if not isinstance(other, tuple):
        return NotImplemented
    return torch.Size([*other, *self])


@polyfill(torch.Size.numel, pure=True)
def size_numel(self: torch.Size, /) -> int:
    count = 1
    for size in self:
        count *= size
    return count
