"""Statistics of a training step, operator by operator: derivatives of activations, norms of gradients.

A Measurement is a backend: the graphs it compiles run as they are, node by node, and what passes is measured.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import torch
from torch.fx import GraphModule, Interpreter, Node
from torch.utils.hooks import RemovableHandle

from passes.node_meta import fake_value, source_of, stack_trace_of
from passes.places import line_name

SATURATED, DEAD, CUT = "saturated", "dead", "cut off"

Derivative = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Activation:
    """An operator whose derivative, at most 1 times `peak`, follows from its input and its output."""

    fault: str
    derivative: Derivative
    peak: float = 1.0


def _moved(before: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    """Derivative of operators that give their input back or a constant instead."""
    return (before == result).float()


SIGMOID: Final = Activation(SATURATED, lambda value, result: result * (1 - result), 0.25)
TANH: Final = Activation(SATURATED, lambda value, result: 1 - result * result)
RELU: Final = Activation(DEAD, lambda value, result: (result > 0).float())
CLAMP: Final = Activation(CUT, _moved)
ACTIVATIONS: Final = {
    **dict.fromkeys(("sigmoid", "sigmoid_", "expit", "special_expit"), SIGMOID),
    **dict.fromkeys(("tanh", "tanh_"), TANH),
    **dict.fromkeys(("relu", "relu_", "relu6", "relu6_", "threshold", "threshold_"), RELU),
    **dict.fromkeys(("clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_max", "hardtanh", "hardtanh_"), CLAMP),
}


@dataclass(slots=True)
class Record:
    """What was measured of one operator or parameter; counts and norms over all batches.

    `low` of `units` values had a derivative below the bound; `alive` says for each feature whether it was ever
    above it. `norms` are the gradient's norms, one a batch. `weights` are the parameters a layer multiplies
    by, `depth` its place in the step.
    """

    name: str
    operator: str
    line: str
    depth: int
    fault: str = ""
    units: int = 0
    low: int = 0
    alive: torch.Tensor | None = None
    norms: list[float] = field(default_factory=list)
    weights: tuple[str, ...] = ()
    is_parameter: bool = False
    kept: list[float] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The name, with the weights of a layer or the operator of an activation: `linear_2 (self.fc.weight)`."""
        names = ", ".join(self.weights) or (self.operator if self.fault else "")
        return f"{self.name} ({names})" if names and names != self.name else self.name

    @property
    def share(self) -> float:
        """Share of the values whose derivative was below the bound, or of the features that never were above it."""
        if self.fault == DEAD and self.alive is not None:
            return 1 - float(self.alive.float().mean())
        return self.low / max(1, self.units)

    @property
    def norm(self) -> float | None:
        """Root mean square of the gradient's norms; None when no gradient came."""
        if not self.norms:
            return None
        return math.sqrt(sum(norm * norm for norm in self.norms) / len(self.norms))


class Measurement:
    """Measures what its compiled graphs do. A derivative below `bound` times its peak counts as none."""

    def __init__(self, bound: float = 0.05) -> None:
        self.bound = bound
        self.records: dict[tuple[int, str], Record] = {}
        self.parameters: dict[tuple[int, str], torch.Tensor] = {}
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._handles: list[RemovableHandle] = []
        self._batch: dict[tuple[int, str], float] = {}
        self._gradients: dict[tuple[int, str], torch.Tensor] = {}
        self._before: dict[tuple[int, str], torch.Tensor | None] = {}

    def compile(self, module: GraphModule, example_inputs: list[Any]) -> Callable[..., Any]:
        """The backend contract: a callable that runs the graph and measures it."""
        calls = tuple((node.op, str(node.target), node.name) for node in module.graph.nodes)
        number = self._numbers.setdefault(calls, len(self._numbers))  # of other sizes it is the same step
        weights = _weights(module)
        return lambda *inputs: Probe(module, self, number, weights).run(*inputs)

    @property
    def saw_gradients(self) -> bool:
        """Whether a backward pass has come by since the batch began."""
        return bool(self._batch)

    def end_batch(self) -> None:
        """Take what the batch gave into the records."""
        for key, record in self.records.items():
            if key in self._batch:
                record.norms.append(math.sqrt(self._batch[key]))
            if key in self._gradients and (ratio := self._arrived(key)) is not None:
                record.kept.append(ratio)
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._batch.clear()
        self._gradients.clear()
        self._before.clear()
        self.parameters.clear()

    def _arrived(self, key: tuple[int, str]) -> float | None:
        """The part of a parameter's gradient that is in its `grad` at the end: less than 1 when it was clipped."""
        parameter, before = self.parameters[key], self._before[key]
        if parameter.grad is None:
            return None
        raw = float(self._gradients[key].norm())
        left = float((parameter.grad if before is None else parameter.grad - before).norm())
        return left / raw if raw > 0 else None

    # From the probe --------------------------------------------------------------------------------

    def value(self, number: int, node: Node, depth: int, inputs: list[torch.Tensor], result: Any) -> Record | None:
        """Note what an operator made, and listen for its gradient."""
        if not isinstance(result, torch.Tensor) or not result.is_floating_point():
            return None
        key = (number, node.name)
        record = self.records.get(key)
        if record is None:
            record = self.records[key] = Record(_title(node), _operator(node), user_line(node), depth)
        activation = ACTIVATIONS.get(record.operator)
        if activation is not None and inputs and inputs[0].shape == result.shape:
            self._activation(record, activation, node, inputs[0], result)
        if result.requires_grad:
            self._handles.append(result.register_hook(partial(self._gradient, key)))
        return record

    def parameter(self, number: int, node: Node, tensor: torch.Tensor) -> None:
        """Note a parameter, and listen for its gradient."""
        key = (number, node.name)
        if key not in self.records:
            self.records[key] = Record(_title(node), "parameter", user_line(node), -1, is_parameter=True)
        if key not in self.parameters:
            self.parameters[key] = tensor
            self._before[key] = None if tensor.grad is None else tensor.grad.clone()
        self._handles.append(tensor.register_hook(partial(self._gradient, key)))

    def _activation(
        self, record: Record, activation: Activation, node: Node, value: torch.Tensor, result: torch.Tensor
    ) -> None:
        with torch.no_grad():
            low = activation.derivative(value.detach(), result.detach()) < self.bound * activation.peak
            record.fault = activation.fault
            record.units += low.numel()
            record.low += int(low.sum())
            axis = _feature_axis(node, result.dim())
            others = [dim for dim in range(low.dim()) if dim != axis]
            alive = (~low).any(dim=others) if others else ~low
            earlier = record.alive
            record.alive = alive if earlier is None or earlier.shape != alive.shape else earlier | alive

    def _gradient(self, key: tuple[int, str], gradient: torch.Tensor) -> None:
        self._batch[key] = self._batch.get(key, 0.0) + float(gradient.detach().double().square().sum())
        if self.records[key].is_parameter:
            seen = self._gradients.get(key)
            self._gradients[key] = gradient.detach().clone() if seen is None else seen + gradient.detach()


class Probe(Interpreter):
    """Runs a graph once, showing everything to a measurement."""

    def __init__(self, module: GraphModule, to: Measurement, number: int, weights: dict[Node, tuple[str, ...]]) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.to, self.number, self.weights = to, number, weights
        self.depths = {node: depth for depth, node in enumerate(module.graph.nodes)}

    def run_node(self, n: Node) -> Any:
        """Run one node, and measure the inputs of activations, the parameters and the results."""
        activation = n.op.startswith("call_") and _operator(n) in ACTIVATIONS
        inputs = [self.env[used] for used in n.all_input_nodes] if activation else []
        copies = [value.detach().clone() for value in inputs if isinstance(value, torch.Tensor)]  # in place, maybe
        result = super().run_node(n)
        if n.op == "placeholder" and isinstance(result, torch.Tensor) and result.requires_grad and result.is_leaf:
            self.to.parameter(self.number, n, result)
        elif n.op.startswith("call_"):
            record = self.to.value(self.number, n, self.depths[n], copies, result)
            if record is not None:
                record.weights = self.weights.get(n, ())
        return result


def _weights(module: GraphModule) -> dict[Node, tuple[str, ...]]:
    """For each layer, the parameters of two dimensions and more that it multiplies an activation by.

    A layer is a call on an activation and on something made of parameters alone.
    """
    parameters: dict[Node, tuple[str, ...]] = {}
    layers: dict[Node, tuple[str, ...]] = {}
    for node in module.graph.nodes:
        value = fake_value(node)
        if node.op == "placeholder":
            if isinstance(value, torch.Tensor) and value.requires_grad:
                parameters[node] = (_title(node),)
        elif node.op.startswith("call_") and node.all_input_nodes:
            weights = [used for used in node.all_input_nodes if used in parameters]
            if len(weights) == len(node.all_input_nodes):
                parameters[node] = tuple(name for used in weights for name in parameters[used])
            elif matrices := [used for used in weights if _rank(used) > 1]:
                layers[node] = tuple(name for used in matrices for name in parameters[used])
    return layers


def _rank(node: Node) -> int:
    value = fake_value(node)
    return value.dim() if isinstance(value, torch.Tensor) else 0


def _feature_axis(node: Node, rank: int) -> int:
    """The dimension that counts features: the second behind a convolution, the last elsewhere."""
    return 1 if rank > 2 and any("conv" in _operator(each) for each in _chain(node)) else rank - 1


def _chain(node: Node, length: int = 6) -> Iterator[Node]:
    """The operators whose first results lead to `node`, up to the layer that made them."""
    for _ in range(length):
        if not node.all_input_nodes:
            return
        node = node.all_input_nodes[0]
        yield node
        if _operator(node) in ("linear", "addmm", "matmul", "mm"):
            return


def _operator(node: Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def _title(node: Node) -> str:
    return source_of(node) or node.name


def user_line(node: Node) -> str:
    """The user's line of a node: `mlp.py:12 in forward   return F.relu(self.fc(x))`."""
    match = re.search(r'File "(.*)", line (\d+), in (\S+)\n\s*(.*)', stack_trace_of(node) or "")
    if match is None:
        return ""
    file, line, function, text = match.groups()
    return f"{line_name(file, int(line))} in {function}   {text}".rstrip()
