"""Optimizers of torch: where torch.optim asks whether a compiler reads it, and where it reads counts of steps.

A step is captured as the plain program runs it: `torch.compiler.is_compiling` is False there, as torch.optim would
compute by other formulas, and numbers that it reads from tensors vary with each call.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch.optim.optimizer import Optimizer

from tracer.interpret.call import call
from tracer.interpret.library.torch.settings import says_compiling
from tracer.interpret.policy import helper, lookaside, polyfill, pure
from tracer.interpret.tensor_ops import in_optimizer
from tracer.interpret.trace import Trace
from tracer.values.item import Item

pure(torch._C._accelerator_getAccelerator, torch.get_device_module)
if hasattr(torch._C, "_cuda_getDeviceCount"):  # in a build for CUDA, which counts the devices of a process once
    pure(torch._C._cuda_getDeviceCount)

Kinds = tuple[tuple[tuple[torch.device, torch.dtype] | None, ...], ...]


def _is_compiling(trace: Trace) -> bool:
    return not in_optimizer(trace) and says_compiling(trace)


for _function in (torch.compiler.is_compiling, torch.compiler.is_dynamo_compiling):
    lookaside(_function)(_is_compiling)


@lookaside(Optimizer.zero_grad)
def _zero_grad(trace: Trace, *args: Item, **kwargs: Item) -> Item:
    """What torch hides from TorchDynamo is read: setting gradients to None is part of a graph here."""
    return call(trace, inspect.unwrap(Optimizer.zero_grad), args, kwargs)


@polyfill(torch._C._group_tensors_by_device_and_dtype)
def _group_tensors(tensorlistlist: Any, with_indices: bool) -> dict[Any, Any]:
    kinds = tuple(
        tuple(None if tensor is None else (tensor.device, tensor.dtype) for tensor in tensors)
        for tensors in tensorlistlist
    )
    groups = {}
    for kind, places in _groups(kinds):
        lists = [[tensors[place] for place in places] if tensors else [] for tensors in tensorlistlist]
        groups[kind] = (lists, list(places) if with_indices else [])
    return groups


@helper
def _groups(kinds: Kinds) -> Sequence[tuple[tuple[torch.device, torch.dtype], tuple[int, ...]]]:
    """The groups of tensors of these kinds, in torch's own order, each with the places of its tensors."""
    tensors: Any = [
        [None if kind is None else torch.empty(0, device="meta", dtype=kind[1]) for kind in row] for row in kinds
    ]
    groups = torch._C._group_tensors_by_device_and_dtype(tensors, True)
    return tuple((kinds[0][places[0]], tuple(places)) for _, places in groups.values())  # type: ignore[misc]
