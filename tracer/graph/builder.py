"""GraphBuilder: one torch.fx.Graph, grown call by call while a frame is traced.

Each node's meta holds what its operator returns (a TensorMeta, or a structure of them) and the user's
line. What other backends expect to find on nodes is filled in by annotate.py, when one asks for it.
"""

from __future__ import annotations

import abc
import operator
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from torch.fx import Graph, GraphModule, Node
from torch.fx.graph import _illegal_names
from torch.fx.node import map_arg

from passes.graph_module import as_module
from passes.node_meta import LINE, META, MODES, SOURCE, WRITES, Line, is_write, prediction_of
from passes.operators.catalogue import is_removable
from passes.operators.modes import Modes
from passes.operators.outcome import Target
from passes.operators.refusals import may_refuse
from passes.operators.verify import Prediction
from tracer.graph.annotate import fill_stack_traces, fill_torch_metas

_NOT_IN_NAMES: Final = re.compile(r"\W+")

RESERVED: Final = frozenset((*_illegal_names, "self"))
"""Names that mean something else in a `forward` that torch.fx writes."""


class GraphBuilder:
    """Appends nodes; removes only what `prune` finds dead."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.attributes: dict[str, Any] = {}
        self.made: list[tuple[Node, str]] = []  # in this order, with the name that was asked for
        self.pruned: list[Prediction] = []  # of the calls that were removed since nothing depends on them
        self._names: dict[Target, str] = {}
        self._counts: dict[str, int] = {}
        self._first_call: Node | None = None
        self._module: GraphModule | None = None

    is_inner = False
    """Whether this is the graph of a function that an operator of another graph is given."""

    asks_classes = False
    """Whether it has calls that the class of a tensor answers, by its `__torch_dispatch__`."""

    is_vectorised = False
    """Whether its scalars stand for many at once: an integer among them that is an index reads no value."""

    @property
    def outermost(self) -> GraphBuilder:
        """The graph of the frame."""
        return self

    def reached(self, node: Node, value: Any = None) -> Node:
        """The node that stands in this graph for one of it, or of a graph around it."""
        return node

    def placeholder(self, name: str, meta: Any, source: str) -> Node:
        """An input of the graph, the next positional argument of its program."""
        before = self._first_call
        if before is None:
            node = self._append("placeholder", name, (), {}, name)
        else:
            with self.graph.inserting_before(before):
                node = self._append("placeholder", name, (), {}, name)
        node.target = node.name
        node.meta[META] = meta
        node.meta[SOURCE] = source
        return node

    def attribute(self, name: str, value: Any) -> Node:
        """A constant that the graph holds: a tensor, or a module for a higher-order operator."""
        node = self.graph.create_node("get_attr", name, name=name)
        if self._first_call is None:
            self._first_call = node
        self.attributes[node.name] = value
        node.target = node.name
        return node

    def call(
        self,
        target: Target,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        meta: Any,
        line: Line | None = None,
        writes: bool = False,
        modes: Modes | None = None,
        name: str | None = None,
    ) -> Node:
        """A call of `target`, a callable or ("method", name), on nodes and constants.

        `meta` tells what it returns, `writes` that it changes something besides, `modes` what it runs under:
        only calls that tell them can be checked. `name` is what the result is called if the target is not to say it.
        """
        name = name or self._names.get(target)
        if name is None:
            name = self._names[target] = name_of(target)
        kind, fx_target = ("call_method", target[1]) if type(target) is tuple else ("call_function", target)
        node = self._append(kind, fx_target, tuple(args), dict(kwargs) if kwargs else {}, name)
        if self._first_call is None:
            self._first_call = node
        node.meta[META] = meta
        node.meta[LINE] = line
        node.meta[MODES] = modes
        if writes:
            node.meta[WRITES] = True
        return node

    def _append(self, kind: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> Node:
        """What Graph.create_node does, less its search of the arguments for symbols, which takes twice as long."""
        graph, asked = self.graph, name
        name = self._unique(name)
        node = Node(graph, name, kind, target, args, kwargs)
        graph._graph_namespace.associate_name_with_obj(name, node)
        graph._insert(node)
        graph._find_nodes_lookup_table.insert(node)
        graph._len += 1
        self.made.append((node, asked))
        return node

    def repeat(self, node: Node, args: Any, kwargs: Any, name: str) -> Node:
        """A call like that of `node` on other arguments, after which `name` is asked for; it has the same meta."""
        added = self._append(node.op, node.target, args, kwargs, name)
        if self._first_call is None:
            self._first_call = added
        added.meta.update(node.meta)
        return added

    def _unique(self, name: str) -> str:
        """What the graph's namespace would answer for an identifier, less its regular expression."""
        used = self.graph._graph_namespace._used_names
        unique = name
        if name in used or name in RESERVED:
            count = self._counts.get(name, 0)
            while unique in used or unique == name:
                count += 1
                unique = f"{name}_{count}"
            self._counts[name] = count
        used.add(unique)
        return unique

    def output(self, nodes: Sequence[Node]) -> Node:
        """End the graph: its program returns these, as a tuple."""
        return self.graph.output(tuple(nodes))

    def prune(self) -> list[Node]:
        """Remove calls that nothing depends on, then inputs that nothing uses; gives the removed inputs."""
        self.prune_calls()
        unused = [node for node in self.graph.find_nodes(op="placeholder") if not node.users]
        for node in unused:
            self.graph.erase_node(node)
        return unused

    def prune_calls(self) -> None:
        """Remove calls that nothing depends on."""
        for node in reversed(self.graph.nodes):
            if not node.users and is_dead_weight(node):
                if (prediction := prediction_of(node)) is not None:
                    self.pruned.append(prediction)
                self.graph.erase_node(node)

    @property
    def last(self) -> Node:
        """The node appended last; the root of the graph when there is none."""
        return self.graph._root.prev

    def forget_calls(self, since: Node) -> None:
        """Remove the calls that were appended after `since`, which was the last node then; inputs stay."""
        node = self.last
        while node is not since:
            before = node.prev
            if node.op != "placeholder":
                self.graph.erase_node(node)
            node = before
        if self._first_call is not None and self._first_call._erased:
            self._first_call = None

    @property
    def inputs(self) -> list[Node]:
        """The placeholders, in the order of the program's arguments."""
        return list(self.graph.find_nodes(op="placeholder"))

    @property
    def call_count(self) -> int:
        """How many operators the graph calls."""
        return sum(node.op.startswith("call_") for node in self.graph.nodes)

    def graph_module(self) -> GraphModule:
        """The graph as a module, for people to look at. Made at the first call."""
        if self._module is None:
            fill_stack_traces(self.graph)
            self._module = as_module(self.graph, self.attributes)
        return self._module

    def copied_module(self, shape_env: Any = None) -> GraphModule:
        """A copy as a module with torch's metas, for a backend to change as it likes."""
        module = as_module(self.graph, self.attributes)
        fill_stack_traces(module.graph)
        fill_torch_metas(module.graph, shape_env)
        return module


class DeferredGraph(abc.ABC):
    """A graph that is built when somebody asks for it; replays need only its calls. `call_count` is their number."""

    call_count: int

    @cached_property
    def builder(self) -> GraphBuilder:
        """The graph itself."""
        return self._build()

    @abc.abstractmethod
    def _build(self) -> GraphBuilder: ...


def is_dead_weight(node: Node) -> bool:
    """Whether a node without users may go: it writes nothing, draws no random number, cannot fail on data."""
    if node.op == "get_attr":
        return True
    if is_write(node) or node.op not in ("call_function", "call_method"):
        return False
    if node.target is operator.getitem:
        return not nodes_in(node.args[1])
    target = ("method", node.target) if node.op == "call_method" else node.target
    if not is_removable(target, node.args, tuple(node.kwargs.items())):
        return False
    call = prediction_of(node)
    return call is None or not may_refuse(call.target, call.args, call.kwargs)


def nodes_in(argument: Any) -> list[Node]:
    """The nodes that a nested argument holds."""
    nodes: list[Node] = []
    map_arg(argument, nodes.append)
    return nodes


def name_of(target: Target) -> str:
    """What results of `target` are named after: `linear`, `view`, `add`."""
    name = target[1] if type(target) is tuple else getattr(target, "__name__", type(target).__name__)
    return identifier(name, "value")


def identifier(text: str, otherwise: str) -> str:
    """`text` with underscores for what cannot stand in an identifier, as CPython reads it; `otherwise` begins those
    that nothing else makes one.
    """
    name = _NOT_IN_NAMES.sub("_", text if text.isascii() else unicodedata.normalize("NFKC", text)).strip("_")
    if name.isidentifier():
        return name
    name = f"{otherwise}_{name}".rstrip("_")
    return name if name.isidentifier() else otherwise
