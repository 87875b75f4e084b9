"""A torch.fx graph as a networkx.DiGraph. Reads the metas that a capture leaves on nodes, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from torch.fx import Graph, Node

from passes.errors import expect
from passes.meta import TensorMeta
from passes.node_meta import result_meta
from passes.operators.outcome import leaves
from passes.reuse.calls import byte_count
from passes.rewrite.draft import user_line
from passes.rewrite.forms import form_of

if TYPE_CHECKING:
    import networkx


def network_of(graph: Graph) -> networkx.DiGraph[str]:
    """The data flow of a graph: edges go from maker to user, and carry the bytes of the maker's value.

    Nodes have `kind` (input, constant, call, output), `operator`, `meta`, `bytes`, `line`, and `position` in
    the graph.
    """
    expect(graph, Graph, "network_of", "captured.entries[0].graph")
    import networkx  # only who asks for it pays for it

    network: networkx.DiGraph[str] = networkx.DiGraph()
    for position, node in enumerate(graph.nodes):
        network.add_node(
            node.name,
            kind=KINDS.get(node.op, "call"),
            operator=operator_name(node),
            meta=meta_text(node),
            bytes=bytes_of(node),
            line=user_line(node),
            position=position,
        )
        for used in node.all_input_nodes:
            network.add_edge(used.name, node.name, bytes=bytes_of(used))
    return network


KINDS: Final = {"placeholder": "input", "get_attr": "constant", "output": "output"}


def operator_name(node: Node) -> str:
    """The operator that a node calls, however it is spelled there; what else it is, if it calls none."""
    form = form_of(node)
    return KINDS.get(node.op, str(node.target)) if form is None else form.operator


def metas_of(node: Node) -> list[TensorMeta]:
    """The metas of the tensors that a node stands for."""
    return [leaf for leaf in leaves(result_meta(node)) if isinstance(leaf, TensorMeta)]


def bytes_of(node: Node) -> int:
    """Bytes from the first to the last element of each tensor that a node stands for."""
    return sum(map(byte_count, metas_of(node)))


def meta_text(node: Node) -> str:
    """Element types and shapes: `f32[2, 4]`."""
    return ", ".join(meta.name for meta in metas_of(node))
