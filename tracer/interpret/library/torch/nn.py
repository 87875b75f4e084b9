"""Calls of nn.Module: `forward` is called directly when no hooks are set."""

from __future__ import annotations

from inspect import getclosurevars

import torch

from tracer.interpret.call import call
from tracer.interpret.policy import lookaside, named_lookaside
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING
from tracer.values.item import Item
from tracer.values.objects import ObjectValue
from tracer.values.protocols.attributes import get_attribute

Module = torch.nn.Module
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
COMPILED = "_compiled_call_impl"
"""Where `Module.compile` puts what is called from then on."""
GLOBAL_HOOKS = tuple(f"_global{name}" for name in HOOKS)


@lookaside(Module._wrapped_call_impl)
def _call(trace: Trace, module: Item, /, *args: Item, **kwargs: Item) -> Item:
    """Module.__call__: the hook machinery is interpreted only where hooks are set.

    What a module has been compiled to by torch.compile does what its own call does, and is left aside.
    """
    if not _has_no_hooks(module):
        replacement = _replacement(trace, module)
        if replacement is not None:
            return call(trace, replacement, args, kwargs)
        return call(trace, Module._call_impl, [module, *args], kwargs)
    trace.guard(module.source, "no hooks")
    return call(trace, get_attribute(trace, module, "forward"), args, kwargs)


def _replacement(trace: Trace, module: Item) -> Item:
    """What is called in place of a module's own call, unless torch.compile has made it of that; None if nothing is."""
    stored = getattr(module, "object", MISSING)
    if stored is MISSING or COMPILED not in object.__getattribute__(stored, "__dict__"):
        return None
    replacement = get_attribute(trace, module, COMPILED)
    real = stored.__dict__[COMPILED]
    return None if real is None or hasattr(real, "_torchdynamo_orig_callable") else replacement


@named_lookaside("torch._dynamo.mutation_guard", "install_generation_tagging_init.<locals>.patched_init")
def _tagging_init(trace: Trace, module: Item, /, *args: Item, **kwargs: Item) -> Item:
    """Module.__init__ as torch.compile has replaced it, to tag modules for TorchDynamo: the original is called."""
    original = getclosurevars(Module.__init__).nonlocals["init"]
    return call(trace, original, [module, *args], kwargs)


@named_lookaside("torch._dynamo.mutation_guard", "install_generation_tagging_init.<locals>.patched_setstate")
def _tagging_setstate(trace: Trace, module: Item, state: Item) -> Item:
    """Module.__setstate__ as torch.compile has replaced it, likewise."""
    original = getclosurevars(Module.__setstate__).nonlocals["setstate"]
    return call(trace, original, [module, state])


def _has_no_hooks(module: Item) -> bool:
    if not isinstance(module, ObjectValue) or module.object is MISSING or module.source is None:
        return False
    if any(name in module.attributes for name in HOOKS):
        return False
    real = module.object.__dict__
    if COMPILED in real or any(real.get(name) for name in HOOKS):
        return False
    return not any(getattr(torch.nn.modules.module, name) for name in GLOBAL_HOOKS)


@named_lookaside("torch.fx.graph_module", "GraphModule.recompile.<locals>.call_wrapped")
def _call_graph_module(trace: Trace, module: Item, *args: Item, **kwargs: Item) -> Item:
    """The call of a GraphModule, which is any module's, but that it says more of errors."""
    return call(trace, torch.nn.Module.__call__, [module, *args], kwargs)
