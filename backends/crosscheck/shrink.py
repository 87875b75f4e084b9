"""Shrinking: the smallest call found that still shows a difference. Sizes first, then layouts, then values.

Greedy, in the spirit of delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing
Input", IEEE TSE 28, 2002): every step is tried by running the candidate again, and kept if the difference stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.utils._pytree import tree_map

from backends.crosscheck.calls import ConcreteCall, is_plain
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
                narrowed = call.mapped(lambda tensor, size=size, new=new: _narrowed(tensor, size, new))
                yield narrowed
                yield _with_numbers(narrowed, size, new)


def _narrowed(tensor: Tensor, size: int, new: int) -> Tensor:
    """The call with every dimension of length `size` cut to `new`. Dense tensors stay dense."""
    if not is_plain(tensor):
        return tensor
    index = tuple(slice(new) if length == size else slice(None) for length in tensor.shape)
    cut = tensor.detach()[index]
    return cut.clone().requires_grad_(tensor.requires_grad)


def _with_numbers(call: ConcreteCall, size: int, new: int) -> ConcreteCall:
    """The call with `new` for every argument that equals the number `size`."""

    def other(leaf: Any) -> Any:
        return new if type(leaf) is int and leaf == size else leaf

    if not isinstance(call.target, GraphModule):
        args, kwargs = tree_map(other, (call.args, call.kwargs))
        return replace(call, args=args, kwargs=kwargs)
    graph = Graph()
    places: dict[Node, Node] = {}
    for node in call.target.graph.nodes:
        places[node] = graph.node_copy(node, lambda used: places[used])
        if node.op.startswith("call_"):
            places[node].args = tree_map(other, tuple(places[node].args))
            places[node].kwargs = tree_map(other, dict(places[node].kwargs))
    return replace(call, target=GraphModule(call.target, graph), args=tuple(map(other, call.args)))


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
