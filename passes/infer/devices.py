"""Calls on another device, such as a GPU that another machine has, as calls on the CPU: rules are learned from these.

Rules speak of one device, and the title of their book says which one that is. Nothing here runs an operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from passes.meta import CPU, TensorMeta
from passes.operators.outcome import New, Outcome, leaves, rebuilt
from passes.record.calls import Call, Failure


def as_on_cpu(call: Call, device: str) -> Call | None:
    """The call with the CPU in the place of a type of `device`; None for one with a tensor elsewhere, or with none."""
    if {meta.device.type for meta in _metas_of(call)} != {device}:
        return None
    arguments = {name: rebuilt_on_cpu(value, device) for name, value in call.arguments.items()}
    if isinstance(call.outcome, Failure):
        return replace(call, arguments=arguments)
    result = rebuilt(call.outcome.result, New, lambda new: New(_moved(new.meta), new.alias_of))
    mutated = {index: _moved(meta) for index, meta in call.outcome.mutated.items()}
    return replace(call, arguments=arguments, outcome=Outcome(result, mutated))


def rebuilt_on_cpu(argument: Any, device: str) -> Any:
    """An argument, nested ones too, with the CPU in the place of a device and of the tensors there."""

    def moved(leaf: Any) -> Any:
        if isinstance(leaf, TensorMeta):
            return _moved(leaf)
        return CPU if leaf.type == device else leaf

    return rebuilt(argument, (TensorMeta, torch.device), moved)


def _metas_of(call: Call) -> Iterator[TensorMeta]:
    yield from (leaf for leaf in leaves(tuple(call.arguments.values())) if isinstance(leaf, TensorMeta))
    if not isinstance(call.outcome, Failure):
        yield from (leaf.meta for leaf in call.outcome.tensors if isinstance(leaf, New))


def _moved(meta: TensorMeta) -> TensorMeta:
    return meta.replace(device=CPU)
