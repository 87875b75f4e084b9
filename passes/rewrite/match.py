"""Where a pattern occurs in a graph.

The rarest operator of the pattern is looked up first; around each call of it, a small neighbourhood is
given to networkx's matcher (VF2), operators compared at nodes and argument positions at edges. What it
finds is then bound: commutative operands in either order, inputs and open constants to one thing each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.fx import Graph, Node

from passes.meta import TensorMeta
from passes.node_meta import result_meta
from passes.rewrite.forms import OPERANDS, Form, commutes, form_of, slots_of
from passes.rewrite.pattern import Input, Open, Pattern, Result, RuleError, same_constant

if TYPE_CHECKING:
    import networkx

ANY_OPERAND: Final = "operand"
GIVEN: Final = "any tensor"  # in the place of an operator, for an input of the pattern


@dataclass(frozen=True)
class Match:
    """A pattern found: `nodes` are its calls in the pattern's order, `inputs` and `constants` by name.

    `attributes` are the tensors that the graph holds.
    """

    pattern: Pattern
    nodes: tuple[Node, ...]
    inputs: Mapping[str, Node]
    constants: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def outputs(self) -> tuple[Node, ...]:
        """The nodes whose values the pattern gives."""
        return tuple(self.nodes[index] for index in self.pattern.outputs)

    def meta(self, name: str) -> TensorMeta | None:
        """The meta of an input by name; None when the pattern has no such input, or it stands for no tensor."""
        meta = result_meta(self.inputs[name]) if name in self.inputs else None
        return meta if isinstance(meta, TensorMeta) else None

    def tensor(self, name: str) -> torch.Tensor | None:
        """The value of an input that is a constant of the graph; None for any other."""
        node = self.inputs.get(name)
        value = self.attributes.get(str(node.target)) if node is not None and node.op == "get_attr" else None
        return value if isinstance(value, torch.Tensor) else None

    @property
    def result(self) -> TensorMeta | None:
        """The meta of the first output."""
        meta = result_meta(self.outputs[0])
        return meta if isinstance(meta, TensorMeta) else None


class Index:
    """The forms of a graph's calls, and the calls by operator."""

    def __init__(self, graph: Graph) -> None:
        self.forms: dict[Node, Form] = {}
        self.by_operator: dict[str, dict[Node, None]] = {}
        for node in graph.nodes:
            self.add(node)

    def add(self, node: Node) -> None:
        """Take up a node that is new, or whose arguments have changed."""
        self.remove(node)
        form = form_of(node)
        if form is not None:
            self.forms[node] = form
            self.by_operator.setdefault(form.operator, {})[node] = None

    def remove(self, node: Node) -> None:
        """Forget a node that has left the graph."""
        form = self.forms.pop(node, None)
        if form is not None:
            del self.by_operator[form.operator][node]


class Finder:
    """Looks for one pattern. Raises RuleError for one whose parts do not hang together."""

    def __init__(self, pattern: Pattern) -> None:
        import networkx  # takes a tenth of a second to import

        self.pattern = pattern
        self.operators = [call.operator for call in pattern.calls]
        network: networkx.DiGraph[Any] = networkx.DiGraph()
        for index, call in enumerate(pattern.calls):
            network.add_node(index, operator=call.operator)
            for slot, value in _operands(call):
                if isinstance(value, Result):
                    _connect(network, value.index, index, slot)
        self.shared = () if networkx.is_weakly_connected(network) else self._connect_by_inputs(network)
        if not networkx.is_weakly_connected(network):
            raise RuleError(f"{pattern.place} {pattern.name}: the parts of the pattern share no tensor")
        self.network = network
        self.distances = dict(networkx.all_pairs_shortest_path_length(network.to_undirected(as_view=True)))

    def _connect_by_inputs(self, network: networkx.DiGraph[Any]) -> tuple[Input, ...]:
        """Parts that have only inputs in common are held together by these."""
        shared: dict[Input, None] = {}
        for index, call in enumerate(self.pattern.calls):
            for slot, value in _operands(call):
                if isinstance(value, Input):
                    shared[value] = None
                    network.add_node(value, operator=GIVEN)
                    _connect(network, value, index, slot)
        return tuple(shared)

    def find(self, index: Index) -> Iterator[Match]:
        """Every occurrence, in the order of the graph; occurrences may overlap.

        Calls may be replaced while this runs: what has left `index` is passed over.
        """
        candidates = [index.by_operator.get(operator, {}) for operator in self.operators]
        if not all(candidates):
            return
        anchor = min(range(len(candidates)), key=lambda number: len(candidates[number]))
        radius = max(self.distances[anchor].values())
        for start in sorted(candidates[anchor]):
            if start in index.forms and self._may_fit(index, anchor, start):
                yield from self._around(index, anchor, start, radius)

    def _may_fit(self, index: Index, call: int, node: Node) -> bool:
        """Whether the calls that a node's arguments come from are the pattern's: most candidates end here."""
        form, wanted = index.forms.get(node), self.pattern.calls[call]
        if form is None or form.operator != wanted.operator or form.arguments.keys() != wanted.arguments.keys():
            return False
        swapped = commutes(wanted)
        values = dict(slots_of(form.arguments))
        for slot, value in slots_of(wanted.arguments):
            places = OPERANDS if swapped and slot in OPERANDS else (slot,)
            present = [values[place] for place in places if place in values]
            if isinstance(value, Result):
                if not any(isinstance(part, Node) and self._may_fit(index, value.index, part) for part in present):
                    return False
            elif isinstance(value, Input):
                if not any(isinstance(part, Node) for part in present):
                    return False
            elif not isinstance(value, Open) and not any(same_constant(part, value) for part in present):
                return False
        return True

    def _around(self, index: Index, anchor: int, start: Node, radius: int) -> Iterator[Match]:
        import networkx

        matcher = networkx.algorithms.isomorphism.DiGraphMatcher(
            self._neighbourhood(index, start, radius),
            self.network,
            node_match=lambda graph_node, pattern_node: pattern_node["operator"] in (graph_node["operator"], GIVEN),
            edge_match=lambda graph_node, pattern_node: pattern_node["slots"] <= graph_node["slots"],
        )
        seen: set[tuple[Node, ...]] = set()
        for mapping in matcher.subgraph_monomorphisms_iter():
            places = {pattern_node: graph_node for graph_node, pattern_node in mapping.items()}
            nodes = tuple(places[number] for number in range(len(self.pattern)))
            if nodes[anchor] is start and nodes not in seen and all(node in index.forms for node in nodes):
                seen.add(nodes)
                match = self._bind(index, nodes)
                if match is not None:
                    yield match

    def _neighbourhood(self, index: Index, start: Node, radius: int) -> networkx.DiGraph[Any]:
        """The calls of the pattern's operators that can be reached from `start` in `radius` steps."""
        import networkx

        wanted, network = set(self.operators), networkx.DiGraph()
        reached, edge = {start}, [start]
        for _ in range(radius):
            around = {other for node in edge for other in (*node.all_input_nodes, *node.users)} - reached
            edge = [
                node
                for node in around
                if (node in index.forms and index.forms[node].operator in wanted)
                or (self.shared and node.op != "output")
            ]
            reached.update(edge)
        for node in sorted(reached):
            form = index.forms.get(node)
            network.add_node(node, operator=GIVEN if form is None else form.operator)
        for node in reached:
            if node in index.forms:
                for slot, value in _operands(index.forms[node]):
                    if value in reached:
                        _connect(network, value, node, slot)
        return network

    def _bind(self, index: Index, nodes: tuple[Node, ...]) -> Match | None:
        """What the inputs and open constants stand for; None when they would have to be two things."""

        def bound(number: int, binding: dict[Input | Open, Any]) -> dict[Input | Open, Any] | None:
            if number == len(nodes):
                return binding
            form, wanted = index.forms[nodes[number]], self.pattern.calls[number]
            for arguments in _orders(wanted):
                attempt = dict(binding)
                if form.arguments.keys() == arguments.keys() and all(
                    _unify(arguments[key], form.arguments[key], nodes, attempt) for key in arguments
                ):
                    complete = bound(number + 1, attempt)
                    if complete is not None:
                        return complete
            return None

        binding = bound(0, {})
        if binding is None:
            return None
        inputs = {key.name: value for key, value in binding.items() if isinstance(key, Input)}
        constants = {key.name: value for key, value in binding.items() if isinstance(key, Open)}
        return Match(self.pattern, nodes, inputs, constants)


def _orders(call: Form) -> Iterator[Mapping[str, Any]]:
    """The arguments of a pattern's call, and with the operands exchanged where that means the same."""
    yield call.arguments
    if commutes(call):
        yield {**call.arguments, "self": call.arguments["other"], "other": call.arguments["self"]}


def _unify(wanted: Any, value: Any, nodes: tuple[Node, ...], binding: dict[Input | Open, Any]) -> bool:
    if isinstance(wanted, Result):
        return value is nodes[wanted.index]
    if isinstance(wanted, Input):
        return isinstance(value, Node) and binding.setdefault(wanted, value) is value
    if isinstance(wanted, Open):
        return not _holds_node(value) and same_constant(binding.setdefault(wanted, value), value)
    if isinstance(wanted, tuple) and isinstance(value, tuple):
        return len(wanted) == len(value) and all(
            _unify(one, other, nodes, binding) for one, other in zip(wanted, value, strict=True)
        )
    return not isinstance(value, Node) and same_constant(wanted, value)


def _holds_node(value: Any) -> bool:
    return any(isinstance(part, Node) for _, part in slots_of({"": value}))


def _operands(form: Form) -> Iterator[tuple[str, Any]]:
    """The argument places of a form, those of commutative operands under one name."""
    for slot, value in slots_of(form.arguments):
        if isinstance(value, Node | Input | Result):
            yield (ANY_OPERAND if commutes(form) and slot in OPERANDS else slot), value


def _connect(network: networkx.DiGraph[Any], maker: Any, user: Any, slot: str) -> None:
    if network.has_edge(maker, user):
        network.edges[maker, user]["slots"] |= {slot}
    else:
        network.add_edge(maker, user, slots={slot})
