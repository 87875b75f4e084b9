"""Which values of a graph share memory, until when it is needed, and how much of it there is at once.

Memory is counted in *storages*: one for each input and for each tensor that an operator makes anew. What
an operator shares with its arguments is asked of the evaluator; an operator that cannot be asked about is
taken to share everything. Bytes within kernels are not seen.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from torch.fx import Graph, Node

from passes.meta import TensorMeta
from passes.node_meta import META, result_meta
from passes.operators.evaluate import Evaluator
from passes.operators.outcome import DataDependent, New, OpError, Same, Unsupported, leaves, rebuilt
from passes.reuse.calls import GraphCall, byte_count, call_of, is_transparent


@dataclass(frozen=True, slots=True)
class Place:
    """One tensor of a node's value: its meta, its storage, whether it is a view of what another node made."""

    meta: TensorMeta
    storage: int
    view: bool = False


@dataclass(slots=True)
class Storage:
    """Memory of `bytes` bytes, made by `maker` at step `born`, used for the last time at step `last`.

    `pinned` says in words why it may never be overwritten, "" if nothing speaks against it.
    """

    maker: Node
    born: int
    bytes: int
    last: int
    pinned: str = ""
    escapes: bool = False
    given: bool = False
    values: list[Node] = field(default_factory=list)


class Memory:
    """The storages of a graph. Steps are positions of its nodes."""

    def __init__(self, graph: Graph, evaluator: Evaluator) -> None:
        self.step = {node: step for step, node in enumerate(graph.nodes)}
        self.storages: list[Storage] = []
        self.places: dict[Node, Any] = {}
        self.calls: dict[Node, GraphCall] = {}
        self._evaluator = evaluator
        for node in graph.nodes:
            self.places[node] = places = self._placed(node)
            for place in tensors(places):
                values = self.storages[place.storage].values
                if node not in values:
                    values.append(node)
            for used in node.all_input_nodes:
                for place in tensors(self.places[used]):
                    self.storages[place.storage].last = self.step[node]
            if node.op == "output":
                for place in self.of(node.all_input_nodes):
                    self.storages[place.storage].escapes = True

    def of(self, nodes: Iterable[Node]) -> list[Place]:
        """The tensors that `nodes` stand for."""
        return [place for node in nodes for place in tensors(self.places[node])]

    def place(self, node: Node) -> Place | None:
        """Where the one tensor that `node` stands for is; None when it stands for something else."""
        place = self.places[node]
        return place if isinstance(place, Place) else None

    def argument(self, call: GraphCall, index: int) -> Place:
        """Where a tensor argument of a call is."""
        node, position = call.tensors[index]
        return tensors(self.places[node])[position]

    def peak(self, kept: Iterable[int] = (), home: dict[int, int] | None = None) -> int:
        """Most bytes at once beside the inputs, each storage freed after its last use.

        Those in `kept` (saved for the backward pass) stay to the end. `home` names for a storage the one
        whose memory it was put in.
        """
        home, spans = home or {}, dict[int, tuple[int, int, int]]()
        stays = set(kept)
        for number, storage in enumerate(self.storages):
            owner = home.get(number, number)
            if self.storages[owner].given:
                continue
            last = len(self.step) if storage.escapes or number in stays else storage.last
            born, until, _ = spans.get(owner, (storage.born, last, 0))
            spans[owner] = (min(born, storage.born), max(until, last), self.storages[owner].bytes)
        changes: dict[int, int] = {}
        for born, until, size in spans.values():
            changes[born] = changes.get(born, 0) + size
            changes[until + 1] = changes.get(until + 1, 0) - size
        level = highest = 0
        for step in sorted(changes):
            level += changes[step]
            highest = max(highest, level)
        return highest

    def _placed(self, node: Node) -> Any:
        if node.op == "placeholder":
            return rebuilt(result_meta(node), TensorMeta, lambda meta: self._new(node, meta, is_input=True))
        if node.op == "output" or (node.op == "get_attr" and META not in node.meta):
            return None
        if node.op == "get_attr":
            return rebuilt(node.meta[META], TensorMeta, lambda meta: self._new(node, meta, "a constant", is_input=True))
        if node.target is operator.getitem and isinstance(self.places[node.args[0]], tuple | list):  # type: ignore[index]
            return self.places[node.args[0]][node.args[1]]  # type: ignore[index]
        return self._called(node)

    def _called(self, node: Node) -> Any:
        call = self.calls[node] = call_of(node, lambda used: metas(self.places[used]))
        outcome = None
        if is_transparent(call):
            try:
                outcome = self._evaluator.evaluate(call.target, call.args, call.kwargs, call.modes)
            except (DataDependent, OpError, Unsupported):
                outcome = None
        if outcome is None:
            return self._unknown(node, call)
        input_metas = call.metas

        def place(leaf: New | Same) -> Place:
            if isinstance(leaf, New) and leaf.alias_of is None:
                return self._new(node, leaf.meta)
            shared = self.argument(call, leaf.index if isinstance(leaf, Same) else leaf.alias_of or 0)
            if isinstance(leaf, Same):
                return Place(outcome.mutated.get(leaf.index, input_metas[leaf.index]), shared.storage, shared.view)
            return Place(leaf.meta, shared.storage, True)

        return rebuilt(outcome.result, (New, Same), place)

    def _unknown(self, node: Node, call: GraphCall) -> Any:
        """A call that cannot be asked about: it may keep, share and save what it is given."""
        why = f"{node.name} may keep what it is given"
        for index in range(len(call.tensors)):
            self.storages[self.argument(call, index).storage].pinned = why
        return rebuilt(result_meta(node), TensorMeta, lambda meta: self._new(node, meta, why))

    def _new(self, node: Node, meta: TensorMeta, pinned: str = "", is_input: bool = False) -> Place:
        step = self.step[node]
        self.storages.append(Storage(node, step, byte_count(meta), step, pinned, given=is_input))
        return Place(meta, len(self.storages) - 1)


def tensors(places: Any) -> list[Place]:
    """The places in a structure, left to right."""
    return [leaf for leaf in leaves(places) if isinstance(leaf, Place)]


def metas(places: Any) -> Any:
    """A structure of places as one of metas."""
    return rebuilt(places, Place, lambda place: place.meta)
