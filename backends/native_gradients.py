"""Gradients that a compiled backward cannot give, computed natively: the graph is replayed from its inputs.

AOTAutograd compiles one backward for a graph. It cannot be differentiated again, as `create_graph=True` asks, and it is
what the `backward` of a torch.autograd.Function was when the graph was compiled, though autograd looks that up when it
runs. In both cases autograd itself differentiates a replay of the graph. Where a replay would not be what ran (an input
is gone or was written to, numbers were drawn, outputs are views) an error says so.

And a compiled backward gives zeros where autograd gives nothing: to inputs whose outputs have no gradient. Those are
left out. Knows nothing of captures.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

import torch
from torch.fx import Graph, Node

from backends.eager import compile_graph
from backends.handover import Handover
from passes.accelerator import random_states, same_states, set_random_states
from passes.meta import TensorMeta
from passes.node_meta import UNCHANGED, is_write, modes_of
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
        self._meta_of = handover.meta_of
        self._unchanged = [node.meta[UNCHANGED] for node in handover.graph.nodes if UNCHANGED in node.meta]

    @cached_property
    def _reached(self) -> list[frozenset[int]] | None:
        """For each input the outputs that a gradient for it may come from; None if the graph does not tell."""
        return outputs_reached(self._graph[0], self._meta_of)

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
        node.set_materialize_grads(False)
        node.run = [(weakref.ref(x), _version_of(x)) if isinstance(x, torch.Tensor) else x for x in inputs]
        node.origins = [
            _Origin.apply(x) for x in inputs if isinstance(x, torch.Tensor) and x.requires_grad and not x.is_leaf
        ]

    def _backward(self, node: Any, gradients: list[Any]) -> Any:
        """The gradients of a run: by the compiled backward where that gives them."""
        changed = not all(unchanged() for unchanged in self._unchanged)
        compiled = type(node)._forward_cls
        if not changed and not torch.is_grad_enabled():
            return self._compiled(node, gradients)
        inputs = self._inputs(node, compiled.metadata)
        results = None if inputs is None else self._differentiated(inputs, gradients)
        if results is not None:
            return results
        if changed:
            raise RuntimeError(
                "the backward of a torch.autograd.Function, or what it reads, changed after the graph that applies it"
                " was compiled and run, and the run cannot be repeated"
            )
        return _differentiated_once(self._compiled(node, gradients), node)

    def _compiled(self, node: Any, gradients: Sequence[Any]) -> Any:
        """The gradients that the compiled backward gives, without those for inputs that no gradient reaches."""
        compiled, metadata = type(node)._forward_cls, node._input_metadata
        filled = [
            torch.zeros(place.shape, dtype=place.dtype, device=place.device)
            if gradient is None and place is not None and (place.dtype.is_floating_point or place.dtype.is_complex)
            else gradient
            for gradient, place in zip(gradients, metadata, strict=True)
        ]
        results = compiled.native(node, filled)
        if all(gradient is not None for gradient in gradients) or not self._is_plain(node, compiled.metadata):
            return results
        if self._reached is None or not len(results) == len(self._reached) == len(node.run):
            return results
        wanted = {position for position, gradient in enumerate(gradients) if gradient is not None}
        return tuple(
            result if outputs & wanted else None for result, outputs in zip(results, self._reached, strict=True)
        )

    def _inputs(self, node: Any, metadata: Any) -> list[Any] | None:
        """The inputs of a run; None if they are gone or written to, or not what the compiled graph was given."""
        if not self._is_plain(node, metadata):
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

    def _is_plain(self, node: Any, metadata: Any) -> bool:
        """Whether the step of autograd takes the inputs of the graph and gives its outputs, each as it is."""
        if metadata.num_mutated_inp_runtime_indices or metadata.num_outputs_aliased or metadata.tokens:
            return False
        return not metadata.num_intermediate_bases and len(node.needs_input_grad) == len(node.run)

    def _differentiated(self, inputs: list[Any], gradients: Sequence[Any]) -> tuple[Any, ...] | None:
        """Gradients of the inputs by a replay; None if it drew numbers, so that it was not what ran before."""
        modes, drawn = current_modes(), random_states()
        restore(self._modes)
        try:
            copies = [x.view_as(x) if isinstance(x, torch.Tensor) and x.requires_grad else x for x in inputs]
            outputs = self._replay(*copies)
        finally:
            restore(modes)
        if not same_states(drawn, random_states()):
            set_random_states(drawn)
            return None
        wanted = [x for x, original in zip(copies, inputs, strict=True) if x is not original]
        pairs = [
            (output, gradient)
            for output, gradient in zip(outputs, gradients, strict=True)
            if isinstance(output, torch.Tensor) and output.requires_grad and gradient is not None
        ]
        results = iter(_gradients(pairs, wanted))
        return tuple(None if x is original else next(results) for x, original in zip(copies, inputs, strict=True))


def outputs_reached(graph: Graph, meta_of: Callable[[Node], Any]) -> list[frozenset[int]] | None:
    """For each input of a graph the positions of the outputs that are computed from it with gradients.

    None for a graph that writes to tensors, in which that is no matter of arguments.
    """
    inputs: dict[Node, frozenset[Node]] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            inputs[node] = frozenset([node])
        elif node.op != "output":
            if is_write(node) and modes_of(node) is not None:
                return None
            meta = meta_of(node)
            wanted = not isinstance(meta, TensorMeta) or meta.requires_grad
            inputs[node] = (
                frozenset().union(*(inputs[source] for source in node.all_input_nodes)) if wanted else frozenset()
            )
    outputs: Any = graph.output_node().args[0]
    reached = [inputs[output] if isinstance(output, Node) else frozenset[Node]() for output in outputs]
    places = graph.find_nodes(op="placeholder")
    return [frozenset(position for position, nodes in enumerate(reached) if place in nodes) for place in places]


def _version_of(tensor: torch.Tensor) -> int | None:
    """How often a tensor was written to; None for an inference tensor, of which nobody counts that."""
    return None if tensor.is_inference() else tensor._version


class _Origin(torch.autograd.Function):
    """What has the history of a tensor, and none of its memory."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.new_empty(0)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return None


class _Once(torch.autograd.Function):
    """Gradients that cannot be differentiated again. Says so wherever that is asked for.

    Without it, autograd would take them for constants: nothing leads from a compiled backward to an input whose values
    it does not use.
    """

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Any) -> Any:
        return tuple(None if x is None else x.view_as(x) for x in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise RuntimeError(
            "double backward of a compiled graph whose run cannot be repeated: an input is gone or was written to,"
            " random numbers were drawn, or outputs are views"
        )


def _differentiated_once(results: Any, node: Any) -> Any:
    """The gradients that a compiled backward gave, connected to all that they may be differentiated by."""
    noted = [entry[0]() for entry in node.run if type(entry) is tuple]
    leaves = [x for x in noted if x is not None and x.requires_grad and x.is_leaf]
    results = tuple(results)
    return _Once.apply(len(results), *results, *node.origins, *leaves)


def _gradients(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], wanted: Sequence[torch.Tensor]) -> Sequence[Any]:
    """What autograd adds to the gradients of `wanted` for these outputs with their gradients."""
    if not pairs:
        return [None] * len(wanted)
    outputs, gradients = zip(*pairs, strict=True)
    again = torch.is_grad_enabled()
    return torch.autograd.grad(outputs, wanted, gradients, create_graph=again, allow_unused=True)
