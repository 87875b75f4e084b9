"""Shrinking: the smallest call found that still shows a difference. Sizes first, then layouts, then values.

Greedy, in the spirit of delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing
Input", IEEE TSE 28, 2002): every step is tried by running the candidate again, and kept if the difference stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import torch
from torch import Tensor

from backends.crosscheck.calls import ConcreteCall, is_plain
from backends.crosscheck.sizes import narrowed, with_numbers
from backends.crosscheck.sweep import Variation

# Simplest first: a difference is reported in the simplest layout that shows it.
SIMPLICITY: Final = ("offset", "sliced", "transposed", "rows", "channels-last", "expanded", "contiguous")
Shows = Callable[[ConcreteCall, Variation], bool]


def shrunk(
    call: ConcreteCall, variation: Variation, shows: Shows, seconds: float = 30.0
) -> tuple[ConcreteCall, Variation]:
    """The smallest call found in this time, and the simplest variation, that still show the difference."""
    end = time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for smaller in _smaller(call):
            if time.monotonic() > end:
                break
            if shows(smaller, variation):
                call, progress = smaller, True
                break
    for simpler in _simpler(variation):
        if time.monotonic() < end and shows(call, simpler):
            variation = simpler
            break
    for index in range(len(call.tensors)):
        for change in (_contiguous, _ramp, _ones):
            candidate = _with(call, index, change)
            if candidate is not None and time.monotonic() < end and shows(candidate, variation):
                call = candidate
    return call, variation


def _smaller(call: ConcreteCall) -> Iterator[ConcreteCall]:
    """Calls with every dimension of one size made smaller, everywhere at once, because equal sizes belong together."""
    sizes = sorted({size for tensor in call.tensors for size in tensor.shape if size > 1}, reverse=True)
    for size in sizes:
        for new in sorted({1, 2, 3, size // 2}):
            if 0 < new < size:
                smaller = call.mapped(lambda tensor, size=size, new=new: narrowed(tensor, size, new))
                yield smaller
                yield with_numbers(smaller, size, new)


def _simpler(variation: Variation) -> Iterator[Variation]:
    if variation.kind == "layout":
        yield Variation("values")
    if variation.layout in SIMPLICITY:
        for layout in SIMPLICITY[: SIMPLICITY.index(variation.layout)]:
            yield Variation(variation.kind, layout)


def _with(call: ConcreteCall, index: int, change: Callable[[Tensor], Tensor | None]) -> ConcreteCall | None:
    """The call with one of its tensors changed."""
    old = call.tensors[index]
    new = change(old) if is_plain(old) else None
    if new is None:
        return None
    new = new.requires_grad_(old.requires_grad) if new.is_floating_point() else new
    return call.mapped(lambda tensor: new if tensor is old else tensor)


def _contiguous(tensor: Tensor) -> Tensor | None:
    return None if tensor.is_contiguous() else tensor.detach().contiguous().clone()


def _ramp(tensor: Tensor) -> Tensor | None:
    """1, 2, 3 ...: exact in every dtype as long as it is short."""
    if not tensor.is_floating_point() or tensor.numel() > 64:
        return None
    ramp = torch.arange(1, tensor.numel() + 1, dtype=tensor.dtype, device=tensor.device)
    return torch.empty_like(tensor.detach()).copy_(ramp.reshape(tensor.shape))


def _ones(tensor: Tensor) -> Tensor | None:
    return torch.ones_like(tensor.detach()) if tensor.is_floating_point() and tensor.numel() > 64 else None
