"""What the calls of a graph cost: counted from metas alone, or measured in runs on real inputs.

Floating point operations are counted by torch's own formulas (torch.utils.flop_counter), in a run on
tensors without data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import torch
from torch.fx import Graph, Node
from torch.utils.flop_counter import FlopCounterMode

from passes.meta import TensorMeta
from passes.network.build import bytes_of, metas_of
from passes.node_meta import result_meta
from passes.operators.catalogue import FAMILIES, family_of
from passes.operators.modes import modes_kept
from passes.operators.outcome import OPERATOR_ERRORS
from passes.operators.stand_ins import BARE
from passes.operators.trial import materialise
from passes.reuse.calls import call_of, concrete

Cost = Callable[[Node], float]
"""Seconds that a call takes."""

CONTRACTIONS: Final = (FAMILIES["contraction"], FAMILIES["kernel"], None)


@dataclass(frozen=True, slots=True)
class CostModel:
    """A machine in three numbers: what it computes and moves in a second, and what each call costs besides."""

    flops_per_second: float = 5e10
    bytes_per_second: float = 1e10
    seconds_per_call: float = 1e-6

    def seconds(self, node: Node) -> float:
        """The longer of computing and moving, and the overhead; nothing for what is no call."""
        if not node.op.startswith("call_"):
            return 0.0
        moved = traffic(node)
        return self.seconds_per_call + max(flops(node) / self.flops_per_second, moved / self.bytes_per_second)


def flops(node: Node) -> int:
    """Floating point operations of a call; of an elementwise one, the elements of its result; of a view, none."""
    if not node.op.startswith("call_"):
        return 0
    family = _family(node)
    if family is FAMILIES["view"]:
        return 0
    counted_flops = _contraction_flops(node) if family in CONTRACTIONS else 0
    return counted_flops or sum(int(concrete(meta).element_count) for meta in metas_of(node))


def traffic(node: Node) -> int:
    """Bytes that a call reads and writes; none for a view."""
    if _family(node) is FAMILIES["view"]:
        return 0
    return bytes_of(node) + sum(map(bytes_of, node.all_input_nodes))


def _family(node: Node) -> Any:
    target = ("method", node.target) if node.op == "call_method" else node.target
    return family_of(target, node.args)


def _contraction_flops(node: Node) -> int:
    call = call_of(node, lambda used: result_meta(used))
    if any(leaf.stride is None for leaf in call.metas):
        return 0
    try:
        args = materialise(concrete(call.args), _stand_in)
        kwargs = {name: materialise(concrete(value), _stand_in) for name, value in call.kwargs}
        with modes_kept(), torch.no_grad(), FlopCounterMode(display=False) as counter:
            if node.op == "call_method":
                getattr(args[0], str(node.target))(*args[1:], **kwargs)
            else:
                node.target(*args, **kwargs)  # type: ignore[operator]
    except (*OPERATOR_ERRORS, NotImplementedError):  # without data it cannot run: then its result's size must do
        return 0
    return counter.get_total_flops()


def _stand_in(meta: TensorMeta) -> torch.Tensor:
    return BARE.make(meta.replace(requires_grad=False, is_leaf=True, is_inference=False))


def counted(graph: Graph, model: CostModel = CostModel()) -> dict[str, float]:
    """Seconds of each call by the name of its node, as a model of the machine has it."""
    return {node.name: model.seconds(node) for node in graph.nodes}


def measured(
    graph: Graph, inputs: Sequence[Any], attributes: Mapping[str, Any] | None = None, rounds: int = 5
) -> dict[str, float]:
    """Seconds of each call by the name of its node: medians of `rounds` runs of the graph, call by call.

    Raises ValueError for another number of inputs than the graph has. In-place calls change the inputs.
    """
    placeholders = list(graph.find_nodes(op="placeholder"))
    if len(placeholders) != len(inputs):
        raise ValueError(f"the graph has {len(placeholders)} inputs, given are {len(inputs)}")
    samples: dict[str, list[float]] = {node.name: [] for node in graph.nodes}
    for _ in range(rounds):
        with modes_kept():
            _run_once(graph, dict[Node, Any](zip(placeholders, inputs, strict=True)), attributes or {}, samples)
    return {name: median(times) for name, times in samples.items()}


def _run_once(
    graph: Graph, values: dict[Node, Any], attributes: Mapping[str, Any], samples: dict[str, list[float]]
) -> None:
    """Run the calls on `values`, those of the inputs, and note the seconds of each."""
    last = {used: node for node in graph.nodes for used in node.all_input_nodes}
    for node in graph.nodes:
        if node.op == "get_attr":
            values[node] = attributes[str(node.target)]
        if not node.op.startswith("call_"):
            samples[node.name].append(0.0)
            continue
        args, kwargs = torch.fx.map_arg((node.args, dict(node.kwargs)), values.__getitem__)  # type: ignore[misc]
        began = time.perf_counter()
        if node.op == "call_method":
            values[node] = getattr(args[0], str(node.target))(*args[1:], **kwargs)  # type: ignore[index]
        else:
            values[node] = node.target(*args, **kwargs)  # type: ignore[operator]
        samples[node.name].append(time.perf_counter() - began)
        for used in node.all_input_nodes:
            if last[used] is node:
                del values[used]
        del args, kwargs
