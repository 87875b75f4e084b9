"""What nodes of the graph that is being made give, computed while tracing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from torch.fx import Node
from torch.fx.node import map_arg

from tracer.interpret.trace import Trace


def nodes_before(node: Node, most: float = math.inf) -> set[Node]:
    """A node, and those that it is computed from: all, or one more than `most`."""
    needed: set[Node] = set()
    waiting = [node]
    while waiting and len(needed) <= most:
        one = waiting.pop()
        if one not in needed:
            needed.add(one)
            waiting += one.all_input_nodes
    return needed


def result_of(trace: Trace, node: Node, needed: Iterable[Node], inputs: Mapping[Node, Any]) -> Any:
    """What a node gives, of `needed` nodes computed in the order of the graph; `inputs` are what some of them give."""
    wanted = frozenset(needed)
    results: dict[Node, Any] = {}
    for each in trace.graph.graph.nodes:
        if each in wanted:
            results[each] = inputs[each] if each in inputs else _run(trace, each, results)
    return results[node]


def _run(trace: Trace, node: Node, results: Mapping[Node, Any]) -> Any:
    """What one node gives for the results of those before it."""
    if node.op == "get_attr":
        return trace.graph.attributes[node.name]
    args, kwargs = map_arg((node.args, node.kwargs), results.__getitem__)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    target: Any = node.target
    return target(*args, **kwargs)
