"""The walk: a graph run node by node on copies of its inputs, and the calls that it makes on the way.

Every operator gets the arguments that the plain run of the graph computes, so that errors of earlier operators do not
count. Parts of the graph can be cut out as calls of their own. Nothing is compared here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Interpreter, Node
from torch.fx.node import map_arg
from torch.utils._pytree import tree_leaves, tree_map

from backends.crosscheck.calls import ConcreteCall, alias_preserving, copied_module, distinct, is_plain, parts_of
from backends.crosscheck.layouts import poison_value
from backends.crosscheck.operators import FRESH, name_of
from backends.eager import with_last_uses
from passes.node_meta import STACK_TRACE, stack_trace_of
from passes.operators.modes import modes_kept, sets_modes


@dataclass(frozen=True)
class GraphStep:
    """One call of the graph: on copies made before it ran, with the random state that it began with."""

    node: Node
    call: ConcreteCall
    seed: Tensor


def calls_of(graph: Graph) -> list[Node]:
    """The nodes of a graph that call something."""
    return [node for node in graph.nodes if node.op.startswith("call_")]


@contextmanager
def undisturbed() -> Iterator[None]:
    """A context that restores random numbers, and the modes of torch that a graph sets, on exit."""
    state = torch.get_rng_state()
    with modes_kept():
        try:
            yield
        finally:
            torch.set_rng_state(state)


def copied_inputs(inputs: Sequence[Any]) -> list[Any]:
    """Copies that share memory as the originals do, and require gradients where those do."""
    tensors = distinct(inputs)
    copies = alias_preserving(tensors)
    for tensor in tensors:
        if tensor.requires_grad:
            copy = copies[id(tensor)].requires_grad_()
            copies[id(tensor)] = copy if tensor.is_leaf else copy.clone()
    return [copies[id(value)] if isinstance(value, Tensor) else value for value in inputs]


def snapshot(values: Any) -> Any:
    """A structure with copies of its tensors, which share memory and require gradients as the originals do."""
    tensors = distinct(tree_leaves(values))
    copies = alias_preserving(tensors)
    for tensor in tensors:
        if tensor.requires_grad:
            copies[id(tensor)].requires_grad_()
    return tree_map(lambda leaf: copies[id(leaf)] if isinstance(leaf, Tensor) else leaf, values)


class PlainRun:
    """A plain run of a graph, as far as it is advanced. `values` are those of the nodes that are still to be used."""

    def __init__(self, module: GraphModule, inputs: Sequence[Any]) -> None:
        self.module = module
        self.values: dict[Node, Any] = {}
        self._inputs = iter(copied_inputs(inputs))
        self._attributes: dict[str, Any] = {}

    def place(self, node: Node) -> None:
        """The value of an input or an attribute."""
        if node.op == "placeholder":
            self.values[node] = next(self._inputs)
        elif node.op == "get_attr":
            name = str(node.target)
            if name not in self._attributes:
                self._attributes[name] = snapshot(attrgetter(name)(self.module))
            self.values[node] = self._attributes[name]

    def call(self, node: Node) -> ConcreteCall:
        """The call of a node, on the values themselves."""
        args, kwargs = map_arg((node.args, dict(node.kwargs)), lambda used: self.values[used])
        args, kwargs = _plain(args), _plain(kwargs)
        target: Any = node.target
        if node.op == "call_module":
            target = self._attributes.get(str(node.target)) or copied_module(attrgetter(str(node.target))(self.module))
            self._attributes[str(node.target)] = target
        return ConcreteCall(target, tuple(args), dict(kwargs), stack_trace_of(node), node.name)


def _plain(structure: Any) -> Any:
    """Arguments without torch.fx's immutable lists and dictionaries, which operators do not always take."""
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*map(_plain, structure))
    if isinstance(structure, tuple) and type(structure) is tuple:
        return tuple(map(_plain, structure))
    if isinstance(structure, list):
        return list(map(_plain, structure))
    return {key: _plain(part) for key, part in structure.items()} if isinstance(structure, dict) else structure


def steps(module: GraphModule, inputs: Sequence[Any], fill: bool | None = None) -> Iterator[GraphStep]:
    """Every call of the graph with its real arguments, in order. Errors of the graph itself pass through.

    `fill` says what memory that the graph allocates without filling it holds: zeros or, if True, poison.
    """
    run = PlainRun(module, inputs)
    for node, dying in with_last_uses(module.graph):
        run.place(node)
        if node.op.startswith("call_"):
            call = run.call(node)
            step = GraphStep(node, _snapshot_of(call), torch.get_rng_state())
            run.values[node] = call.run()
            if fill is not None:
                fill_fresh(call, run.values[node], fill)
            yield step
        for used in dying:
            run.values.pop(used, None)
        if not node.users:
            run.values.pop(node, None)


def fill_fresh(call: ConcreteCall, result: Any, poison: bool) -> None:
    """Fill the result of a call like `torch.empty` with poison, or with zeros."""
    if name_of(call) in FRESH and isinstance(result, Tensor) and is_plain(result):
        result.detach().fill_(poison_value(result.dtype) if poison else 0)


class FillingInterpreter(Interpreter):
    """Runs a graph, filling the memory that it allocates without filling it."""

    def __init__(self, module: GraphModule, poison: bool) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.poison = poison

    def run_node(self, n: Node) -> Any:
        """Run one node, and fill the unused elements of new memory with poison."""
        result = super().run_node(n)
        if n.op.startswith("call_"):
            fill_fresh(ConcreteCall(n.target, ()), result, self.poison)
        return result


def _snapshot_of(call: ConcreteCall) -> ConcreteCall:
    args, kwargs = snapshot((call.args, call.kwargs))
    target = copied_module(call.target) if isinstance(call.target, torch.nn.Module) else call.target
    return ConcreteCall(target, args, kwargs, call.line, call.name)


def part(module: GraphModule, inputs: Sequence[Any], chosen: Collection[Node]) -> tuple[ConcreteCall, Tensor]:
    """The nodes `chosen` as a graph of their own, called on the values that the plain run of the whole graph computes.

    Also returns the random state that the first of them begins with. Values that existed before the first of them are
    copied together, so that they share memory as they did; later values are copied one by one. Calls that set modes
    keep their place, those after the last of `chosen` too: a mode that is entered is left.
    """
    run = PlainRun(module, inputs)
    wanted = set(chosen)
    chosen = {*chosen, *(node for node in module.graph.nodes if sets_modes(node.target))}
    outside = {used for node in chosen for used in node.all_input_nodes if used not in chosen}
    taken: dict[Node, Any] = {}
    seed: Tensor | None = None
    for node in module.graph.nodes:
        run.place(node)
        if node in wanted and seed is None:
            seed = torch.get_rng_state()
            available = [used for used in outside if used in run.values]
            taken.update(zip(available, snapshot([run.values[used] for used in available]), strict=True))
        if node.op.startswith("call_"):
            run.values[node] = run.call(node).run()
            if node in outside and node not in taken and seed is not None:
                taken[node] = snapshot(run.values[node])
        if wanted <= run.values.keys():
            break
    assert seed is not None
    graph, order = cut_out(module.graph, chosen, [node for node in module.graph.nodes if node in taken], run.values)
    modules = {str(node.target): attrgetter(str(node.target))(module) for node in chosen if node.op == "call_module"}
    call = ConcreteCall(GraphModule(modules, graph), tuple(taken[node] for node in order))
    return call, seed


def cut_out(
    graph: Graph, chosen: Collection[Node], inputs: Sequence[Node], values: dict[Node, Any]
) -> tuple[Graph, list[Node]]:
    """A graph of the nodes `chosen`, and its inputs: the nodes outside it that they use, in order.

    It returns what the rest of the graph uses. What nobody uses is not returned, so that a compiler sees as little need
    for it as in the whole graph: a write is made for its argument.
    """
    new = Graph()
    places = {node: new.placeholder(node.name) for node in inputs}
    for node in graph.nodes:
        if node in chosen:
            places[node] = new.node_copy(node, lambda used: places[used])
            places[node].meta = {name: node.meta[name] for name in (STACK_TRACE,) if name in node.meta}
    ends = [node for node in graph.nodes if node in chosen and not set(node.users) <= set(chosen)]
    new.output(tuple(part for node in ends for part in parts_of(new, places[node], values.get(node))))
    return new, list(inputs)
