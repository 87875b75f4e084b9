"""What a graph of aten operators costs, by the fake tensors on its nodes; a backward graph against its forward one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg
from torch.utils.flop_counter import flop_registry

from passes.node_meta import FAKE_VALUE, fake_value


@dataclass(frozen=True, slots=True)
class Cost:
    """What a graph of aten operators costs: multiplications and additions, bytes read and written, calls."""

    flops: int
    bytes: int
    calls: int

    def __str__(self) -> str:
        return f"{self.flops:,} flops, {self.bytes:,} bytes, {self.calls} calls"


def cost(module: GraphModule) -> Cost:
    """The cost of a graph, from the fake tensors on its nodes; views are free.

    Contractions and convolutions are counted by torch's `flop_counter`, two for a multiplication with its
    addition; for other operators one for each element made.
    """
    flops = moved = calls = 0
    for node in module.graph.nodes:
        results = [value for value in _values(fake_value(node)) if isinstance(value, torch.Tensor)]
        if node.op != "call_function" or not results or _is_view(node):
            continue
        calls += 1
        packet = getattr(node.target, "overloadpacket", None)
        if packet in flop_registry:
            args, kwargs = map_arg((node.args, node.kwargs), lambda used: used.meta[FAKE_VALUE])
            flops += flop_registry[packet](*args, **kwargs, out_val=node.meta[FAKE_VALUE])
        else:
            flops += sum(value.numel() for value in results)
        read = [value for used in node.all_input_nodes for value in _values(fake_value(used))]
        moved += sum(v.numel() * v.element_size() for v in (*read, *results) if isinstance(v, torch.Tensor))
    return Cost(flops, moved, calls)


@dataclass(frozen=True, slots=True)
class CostComparison:
    """The costs of a forward and a backward graph."""

    forward: Cost
    backward: Cost

    @property
    def flops_ratio(self) -> float:
        """Flops backwards for each one forwards."""
        return self.backward.flops / max(1, self.forward.flops)

    @property
    def bytes_ratio(self) -> float:
        """Bytes moved backwards for each one forwards."""
        return self.backward.bytes / max(1, self.forward.bytes)

    def __str__(self) -> str:
        ratios = f"backward / forward: {self.flops_ratio:.2f} flops, {self.bytes_ratio:.2f} bytes"
        return f"forward   {self.forward}\nbackward  {self.backward}\n{ratios}"


def compare(forward: GraphModule, backward: GraphModule) -> CostComparison:
    """Compare the cost of the backward graph with the forward graph."""
    return CostComparison(cost(forward), cost(backward))


def _values(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple | list) else (value,)


def _is_view(node: Node) -> bool:
    """Whether a call only looks at its argument's memory."""
    returns = node.target._schema.returns if isinstance(node.target, torch._ops.OpOverload) else ()
    return bool(returns) and all(one.alias_info is not None and not one.alias_info.is_write for one in returns)
