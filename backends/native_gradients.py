"""Gradients that a compiled backward cannot give, computed natively: the graph is replayed from its inputs.

AOTAutograd compiles one backward for a graph. It cannot be differentiated again, as `create_graph=True` asks, and it is
what the `backward` of a torch.autograd.Function was when the graph was compiled, though autograd looks that up when it
runs. In both cases autograd itself differentiates a replay of the graph. Where a replay would not be what ran (an input
is gone or was written to, numbers were drawn, outputs are views) an error says so.

And a compiled backward takes zeros where autograd has nothing: for outputs without a gradient. Inputs that only those
reach get none. Others may get gradients of other strides (a sum with zeros is no expanded tensor), which shows where
`torch.autograd.grad` hands them over; the first time a replay tells, and gives them from then on if so. And autograd
frees what it saved for each output by itself, so that a replay differentiates the outputs whose turn comes later.

Knows nothing of captures.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

import torch
from torch._C import _autograd as autograd_facts  # type: ignore[attr-defined]
from torch.autograd.graph import get_gradient_edge
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
        self._layouts_agree: dict[tuple[Any, ...], bool] = {}
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
        node.differentiated = set()
        node.run = [(weakref.ref(x), _version_of(x)) if isinstance(x, torch.Tensor) else x for x in inputs]
        node.origins = [
            _Origin.apply(x) for x in inputs if isinstance(x, torch.Tensor) and x.requires_grad and not x.is_leaf
        ]

    def _backward(self, node: Any, gradients: list[Any]) -> Any:
        """The gradients of a run: by the compiled backward where that gives them."""
        changed = not all(unchanged() for unchanged in self._unchanged)
        compiled = type(node)._forward_cls
        freed = _is_freed(node)
        if not changed and not freed and not torch.is_grad_enabled():
            return self._compiled(node, gradients)
        inputs = self._inputs(node, compiled.metadata)
        before = sorted(node.differentiated) if freed else ()
        results = None if inputs is None else self._differentiated(inputs, gradients, before)
        if results is not None:
            _note_freed(node, gradients)
            return results
        if changed and not freed:
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
        _note_freed(node, gradients)
        written = compiled.metadata.num_mutated_inp_runtime_indices  # what is written to comes before the outputs
        if all(gradient is not None for gradient in gradients) or any(one is not None for one in gradients[:written]):
            return results
        if not self._takes_its_inputs(node, compiled.metadata) or self._reached is None:
            return results
        if not len(results) == len(self._reached) == len(node.run):
            return results
        supplied = {position for position, gradient in enumerate(gradients[written:]) if gradient is not None}
        results = tuple(
            result if outputs & supplied else None for result, outputs in zip(results, self._reached, strict=True)
        )
        return results if written else self._with_layouts(node, gradients, supplied, results)

    def _with_layouts(self, node: Any, gradients: Sequence[Any], supplied: set[int], results: tuple[Any, ...]) -> Any:
        """The gradients of a compiled backward, or of a replay if those have other strides and that can be seen."""
        summed = [
            noted[0]() if type(noted) is tuple else None
            for noted, outputs, result in zip(node.run, self._reached or (), results, strict=True)
            if result is not None and outputs & supplied and outputs - supplied
        ]
        leaves = [x for x in summed if x is not None and x.is_leaf and x.requires_grad]
        hooked = any(leaf._backward_hooks for leaf in leaves)
        if not summed or (leaves and not hooked and _is_accumulated(leaves[0])):
            return results
        pattern = (*sorted(supplied), *(None if result is None else result.shape for result in results))
        if self._layouts_agree.get(pattern):
            return results
        inputs = self._inputs(node, type(node)._forward_cls.metadata)
        with torch.enable_grad():
            native = None if inputs is None else self._differentiated(inputs, gradients, again=False)
        if native is None:
            return results
        self._layouts_agree[pattern] = all(
            result is None or expected is None or result.stride() == expected.stride()
            for result, expected in zip(results, native, strict=True)
        )
        return results if self._layouts_agree[pattern] else native

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
        return not metadata.num_mutated_inp_runtime_indices and self._takes_its_inputs(node, metadata)

    def _takes_its_inputs(self, node: Any, metadata: Any) -> bool:
        """Whether the step of autograd takes the inputs of the graph; its outputs come after what it writes to."""
        if metadata.num_outputs_aliased or metadata.tokens or metadata.num_intermediate_bases:
            return False
        return len(node.needs_input_grad) == len(node.run)

    def _differentiated(
        self, inputs: list[Any], gradients: Sequence[Any], before: Sequence[int] = (), again: bool | None = None
    ) -> tuple[Any, ...] | None:
        """Gradients of the inputs by a replay; None if it drew numbers, so that it was not what ran before.

        Autograd has freed what it saved for the outputs at the positions `before`.
        """
        again = torch.is_grad_enabled() if again is None else again
        modes, drawn = current_modes(), random_states()
        restore(self._modes)
        try:
            with torch.enable_grad():
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
        freed = [outputs[position] for position in before]
        _gradients([(output, torch.zeros_like(output)) for output in freed], wanted, again=False)
        results = iter(_gradients(pairs, wanted, again))
        return tuple(None if x is original else next(results) for x, original in zip(copies, inputs, strict=True))


def outputs_reached(graph: Graph, meta_of: Callable[[Node], Any]) -> list[frozenset[int]] | None:
    """For each input of a graph the positions of the outputs that are computed from it with gradients.

    None for a graph that writes to tensors with gradients, in which that is no matter of arguments.
    """
    inputs: dict[Node, frozenset[Node]] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            inputs[node] = frozenset([node])
        elif node.op != "output":
            meta = meta_of(node)
            wanted = not isinstance(meta, TensorMeta) or meta.requires_grad
            if wanted and is_write(node) and modes_of(node) is not None:
                return None
            inputs[node] = (
                frozenset().union(*(inputs[source] for source in node.all_input_nodes)) if wanted else frozenset()
            )
    outputs: Any = graph.output_node().args[0]
    reached = [inputs[output] if isinstance(output, Node) else frozenset[Node]() for output in outputs]
    places = graph.find_nodes(op="placeholder")
    return [frozenset(position for position, nodes in enumerate(reached) if place in nodes) for place in places]


def _is_freed(node: Any) -> bool:
    """Whether autograd has freed what a step saved."""
    try:
        return node.saved_tensors is None
    except RuntimeError:
        return True


def _note_freed(node: Any, gradients: Sequence[Any]) -> None:
    """Note the outputs for which autograd frees now what it saved."""
    if not autograd_facts._get_current_graph_task_keep_graph():
        node.differentiated.update(position for position, gradient in enumerate(gradients) if gradient is not None)


def _is_accumulated(leaf: torch.Tensor) -> bool:
    """Whether the gradient of a leaf is now added to its `grad`, which has strides of its own."""
    try:
        return torch._C._will_engine_execute_node(get_gradient_edge(leaf).node)  # type: ignore[arg-type]
    except RuntimeError:  # torch.autograd.grad hands it over
        return False


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


def _gradients(
    pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], wanted: Sequence[torch.Tensor], again: bool
) -> Sequence[Any]:
    """What autograd adds to the gradients of `wanted` for these outputs with their gradients."""
    if not pairs:
        return [None] * len(wanted)
    outputs, gradients = zip(*pairs, strict=True)
    return torch.autograd.grad(outputs, wanted, gradients, create_graph=again, allow_unused=True)
