"""A captured graph as plain data for the page: operators with metas, lines, modules, and the memory that is alive."""

from __future__ import annotations

from typing import Any

from torch.fx import Graph, Node

from passes.network.build import bytes_of, operator_name
from passes.network.liveness import Lifetime, bytes_alive, lifetimes
from passes.node_meta import MODULE, line_of, module_of, result_meta, source_of
from tracer.graph.show import long, statement
from tracer.interpret.evaluator import EVALUATOR
from tracer.page.rules import Rules
from tracer.page.sources import Sources


def graph_facts(graph: Graph, sources: Sources, rules: Rules) -> dict[str, Any]:
    """`nodes` in the graph's order, and `memory`: bytes alive at each node, and each lifetime."""
    nodes = list(graph.nodes)
    position = {node: index for index, node in enumerate(nodes)}
    return {
        "nodes": [_node(node, position, sources, rules) for node in nodes],
        "memory": memory_facts(lifetimes(graph, EVALUATOR), len(nodes)),
    }


def memory_facts(lives: list[Lifetime], count: int) -> dict[str, Any]:
    """Bytes alive at each of `count` nodes, what is given to the graph apart, and the lifetimes, the largest first."""
    inside = [life for life in lives if not life.given]
    return {
        "given": sum(life.bytes for life in lives if life.given),
        "alive": bytes_alive(inside, count),
        "lives": [
            {"maker": life.maker, "bytes": life.bytes, "born": life.born, "last": life.last, "values": life.values}
            for life in sorted(inside, key=lambda life: -life.bytes)
        ],
    }


def _node(node: Node, position: dict[Node, int], sources: Sources, rules: Rules) -> dict[str, Any]:
    line = line_of(node)
    meta = result_meta(node)
    return {
        "name": node.name,
        "kind": node.op,
        "operator": None if node.op in ("placeholder", "get_attr", "output") else operator_name(node),
        "source": source_of(node),
        "code": None if node.op in ("placeholder", "get_attr") else statement(node),
        "meta": None if meta is None else long(meta),
        "bytes": bytes_of(node),
        "line": None if line is None else sources.place(line.file, line.line, line.function),
        "module": _module(node),
        "told": rules.who_told(node),
        "inputs": [position[used] for used in node.all_input_nodes],
    }


def _module(node: Node) -> str | None:
    """The module that made a node; a part that was taken out of a result belongs to what made the result."""
    while MODULE not in node.meta and node.op.startswith("call_") and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return module_of(node)
