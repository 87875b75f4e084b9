"""Guards such as a capture of a whole module would leave, made by walking it instead of tracing it."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import torch

from passes.meta import meta_of
from tracer.guards.checks import tensor_facts
from tracer.guards.guard_set import GuardSet
from tracer.guards.source import Source, argument, constant
from tracer.guards.state import read_state


def guard_module(guards: GuardSet, source: Source, module: torch.nn.Module, inputs: list[Source]) -> None:
    """Rely on the structure of `module` found at `source`, appending its parameters' sources to `inputs`."""
    guards.add(source, "type", type(module))
    guards.add(source, "no hooks")
    stored = source.child("dict")
    guards.add(stored, "absent", "forward")
    guards.add(stored.child("item", "training"), "equal", module.training)
    for name in ("_parameters", "_buffers"):
        for key, tensor in module.__dict__[name].items():
            place = stored.child("item", name).child("item", key)
            if tensor is None:
                guards.add(place, "equal", None)
                continue
            guards.add(place, "tensor", tensor_facts(tensor, meta_of(tensor)))
            inputs.append(place)
    forward = type(module).forward
    if isinstance(forward, FunctionType):
        guards.add(constant(type(module)).child("class attribute", "forward"), "same object", forward)
    for key, child in module._modules.items():
        place = stored.child("item", "_modules").child("item", key)
        if child is None:
            guards.add(place, "equal", None)
        else:
            guard_module(guards, place, child, inputs)


def module_entry_parts(module: torch.nn.Module, **tensors: Any) -> tuple[GuardSet, list[Source]]:
    """Guards and inputs of a function of `self` and the named tensors."""
    guards, inputs = GuardSet(), []
    guards.add(None, "state", read_state())
    for name, tensor in tensors.items():
        guards.add(argument(name), "tensor", tensor_facts(tensor, meta_of(tensor)))
        inputs.append(argument(name))
    guard_module(guards, argument("self"), module, inputs)
    return guards, inputs
