"""Gradients that a compiled backward cannot give, computed natively: the graph is replayed from its inputs.

AOTAutograd compiles one backward for a graph. It cannot be differentiated again, as `create_graph=True` asks, and it is
what the `backward` of a torch.autograd.Function was when the graph was compiled, though autograd looks that up when it
runs. In both cases autograd itself differentiates a replay of the graph. Where a replay would not be what ran (an input
is gone or was written to, numbers were drawn, outputs are views) an error says so. Knows nothing of captures.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

import torch

from backends.eager import compile_graph
from backends.handover import Handover
from passes.node_meta import UNCHANGED
from passes.operators.modes import current_modes, restore

NAME: Final = "CompiledFunction"
"""The class that AOTAutograd makes for each graph, a torch.autograd.Function."""

Program = Callable[..., Any]


def with_native_gradients(program: Program, handover: Handover) -> Program:
    """`program`, a compiled graph, with native gradients where its own backward cannot give them."""
    if not torch.is_grad_enabled() or not any(getattr(meta, "requires_grad", False) for meta in handover.metas):
        return program
    native = _NativeGradients(handover)

    def differentiable(*inputs: Any) -> Any:
        outputs = program(*inputs)
        for output in outputs:
            if isinstance(output, torch.Tensor) and output.grad_fn is not None:
                native.stand_by(output.grad_fn, inputs)
                break
        return outputs

    return differentiable


class _NativeGradients:
    """Native gradients of one graph, for any of its runs."""

    def __init__(self, handover: Handover) -> None:
        self._graph = handover.graph, handover.attributes, handover.origin
        self._modes = current_modes()
        self._unchanged = [node.meta[UNCHANGED] for node in handover.graph.nodes if UNCHANGED in node.meta]

    @cached_property
    def _replay(self) -> Program:
        return compile_graph(*self._graph)

    def stand_by(self, node: Any, inputs: Sequence[Any]) -> None:
        """Note a run of the graph: `node` is the step of autograd that stands for it, or one behind that."""
        compiled = getattr(type(node), "_forward_cls", None)
        if compiled is None or compiled.__name__ != NAME:
            return
        if "native" not in vars(compiled):
            compiled.native = compiled.backward
            compiled.backward = staticmethod(self._backward)
        node.run = [(weakref.ref(x), _version_of(x)) if isinstance(x, torch.Tensor) else x for x in inputs]

    def _backward(self, node: Any, gradients: list[Any]) -> Any:
        """The gradients of a run: by the compiled backward where that gives them."""
        changed = not all(unchanged() for unchanged in self._unchanged)
        compiled = type(node)._forward_cls
        if not changed and not torch.is_grad_enabled():
            return compiled.native(node, gradients)
        inputs = self._inputs(node, compiled.metadata)
        results = None if inputs is None else self._differentiated(inputs, gradients)
        if results is not None:
            return results
        if changed:
            raise RuntimeError(
                "the backward of a torch.autograd.Function, or what it reads, changed after the graph that applies it"
                " was compiled and run, and the run cannot be repeated"
            )
        return compiled.native(node, gradients)  # which raises when it is differentiated again

    def _inputs(self, node: Any, metadata: Any) -> list[Any] | None:
        """The inputs of a run; None if they are gone or written to, or not what the compiled graph was given."""
        if metadata.num_mutated_inp_runtime_indices or metadata.num_outputs_aliased or metadata.tokens:
            return None
        if metadata.num_intermediate_bases or len(node.needs_input_grad) != len(node.run):
            return None
        inputs: list[Any] = []
        for noted in node.run:
            if type(noted) is tuple:
                reference, version = noted
                noted = reference()
                if noted is None or version is None or noted._version != version:
                    return None
            inputs.append(noted)
        return inputs

    def _differentiated(self, inputs: list[Any], gradients: Sequence[Any]) -> tuple[Any, ...] | None:
        """Gradients of the inputs by a replay; None if it drew numbers, so that it was not what ran before."""
        modes, drawn = current_modes(), torch.get_rng_state()
        restore(self._modes)
        try:
            copies = [x.view_as(x) if isinstance(x, torch.Tensor) and x.requires_grad else x for x in inputs]
            outputs = self._replay(*copies)
        finally:
            restore(modes)
        if not torch.equal(drawn, torch.get_rng_state()):
            torch.set_rng_state(drawn)
            return None
        wanted = [x for x, original in zip(copies, inputs, strict=True) if x is not original]
        pairs = [
            (output, gradient)
            for output, gradient in zip(outputs, gradients, strict=True)
            if isinstance(output, torch.Tensor) and output.requires_grad and gradient is not None
        ]
        results = iter(_gradients(pairs, wanted))
        return tuple(None if x is original else next(results) for x, original in zip(copies, inputs, strict=True))


def _version_of(tensor: torch.Tensor) -> int | None:
    """How often a tensor was written to; None for an inference tensor, of which nobody counts that."""
    return None if tensor.is_inference() else tensor._version


def _gradients(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], wanted: Sequence[torch.Tensor]) -> Sequence[Any]:
    """What autograd adds to the gradients of `wanted` for these outputs with their gradients."""
    if not pairs:
        return [None] * len(wanted)
    outputs, gradients = zip(*pairs, strict=True)
    again = torch.is_grad_enabled()
    return torch.autograd.grad(outputs, wanted, gradients, create_graph=again, allow_unused=True)
