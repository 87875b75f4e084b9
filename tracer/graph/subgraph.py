"""SubGraphBuilder: the graph of a function that an operator of another graph is given, such as a branch of torch.cond.

It has no access to the program's inputs. What the function uses of the graphs around it is lifted: it becomes an input
of the sub-graph, and an operand of the call. Nothing here knows which operator that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.fx import GraphModule, Node

from passes.node_meta import SYMBOL, result_meta
from tracer.graph.builder import GraphBuilder


class SubGraphBuilder(GraphBuilder):
    """Grows like any graph. `parameters` are the inputs that the operator itself passes, in order; `lifted` has the
    input for each node of `outer`, the graph around it, that is used here, and `values` the tensor that it stands for.
    """

    is_inner = True

    def __init__(self, outer: GraphBuilder) -> None:
        super().__init__()
        self.outer = outer
        self.parameters: list[Node] = []
        self.lifted: dict[Node, Node] = {}
        self.values: dict[Node, Any] = {}

    @property
    def outermost(self) -> GraphBuilder:
        """The graph of the frame, which alone has inputs from outside."""
        return self.outer.outermost

    def parameter(self, name: str, meta: Any) -> Node:
        """An input that the operator passes, the next in order."""
        node = self._input(name, meta)
        self.parameters.append(node)
        return node

    def reached(self, node: Node, value: Any = None) -> Node:
        """The node that stands here for a node of this graph or of one around it: for a tensor, or for a size."""
        if node.graph is self.graph:
            return node
        node = self.outer.reached(node, value)
        inner = self.lifted.get(node)
        if inner is None:
            meta = node.meta.get(SYMBOL, result_meta(node)) if value is None else value.meta
            inner = self.lifted[node] = self._input(node.name, meta)
            self.values[node] = value
        return inner

    def is_own(self, node: Node | None) -> bool:
        """Whether a node is a call of this graph, and no input."""
        return node is not None and node.graph is self.graph and node.op != "placeholder"

    def _input(self, name: str, meta: Any) -> Node:
        return super().placeholder(name, meta, name)

    def placeholder(self, name: str, meta: Any, source: str) -> Node:
        """An input of the frame: of the outermost graph."""
        return self.outermost.placeholder(name, meta, source)

    def close(self, results: Any) -> None:
        """End the graph with a node, or a tuple of them, and drop the calls and lifted inputs that nothing uses."""
        self.graph.output(results)
        self.prune()

    def prune(self) -> list[Node]:
        """Remove calls that nothing depends on, then lifted inputs that nothing uses; the operator passes the rest."""
        self.prune_calls()
        unused = [outer for outer, inner in self.lifted.items() if not inner.users]
        removed = [self.lifted.pop(outer) for outer in unused]
        for outer in unused:
            del self.values[outer]
        for node in removed:
            self.graph.erase_node(node)
        return removed

    def sub_module(self, operands: Sequence[Node]) -> GraphModule:
        """The closed graph as a module: its inputs are the parameters, then those for `operands`, nodes of `outer`.

        Made at the first call, which names all operands.
        """
        if self._module is None:
            for node in operands:
                if node not in self.lifted:
                    self.lifted[node] = self._input(node.name, node.meta.get(SYMBOL, result_meta(node)))
            for node in reversed([*self.parameters, *(self.lifted[operand] for operand in operands)]):
                self.graph._root.append(node)
        return self.graph_module()
