"""A graph while it is rewritten: new calls with their metas, replacements that are refused where they would show.

A replacement is refused across a write to memory that it reads, where values would begin or cease to share
memory that is written to or returned, and where a layout that somebody relies on would change. A refusal
leaves the graph as it was and says why. Knows nothing of patterns.
"""

from __future__ import annotations

import heapq
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import torch
from torch.fx import Graph, Node

from passes.meta import TensorMeta, are_contiguous
from passes.node_meta import LINE, META, MODES, STACK_TRACE, is_write, line_of, modes_of, result_meta
from passes.operators.catalogue import FAMILIES, family_of
from passes.operators.evaluate import Evaluator
from passes.operators.modes import sets_modes
from passes.operators.outcome import DataDependent, OpError, Outcome, Same, Unsupported, leaves
from passes.places import line_name
from passes.reuse.calls import GraphCall, call_of
from passes.reuse.memory import Memory, Place, tensors
from passes.rewrite.match import Index

VIEWS: Final = FAMILIES["view"]
FACTS_TO_KEEP: Final = ("shape", "dtype", "device", "layout", "requires_grad", "is_conj", "is_neg", "is_inference")
RANDOM: Final = (FAMILIES["random"], FAMILIES["random factory"])


class CannotReplace(Exception):
    """A replacement that would be seen; the message says by what."""


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule that was applied: the user's line, the pattern's place, the calls that went and that came."""

    rule: str
    line: str
    place: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SkippedMatch:
    """A rule that was not applied where it fits, and why."""

    rule: str
    line: str
    why: str


@dataclass(frozen=True, slots=True)
class Write:
    """A call that changes memory: which storages, None if that is not known."""

    node: Node
    storages: frozenset[int] | None


def user_line(node: Node) -> str:
    """Where the user's program made a node: `mlp.py:12 in forward`; "" when it is not known."""
    line = line_of(node)
    return "" if line is None else f"{line_name(line.file, line.line)} in {line.function}"


class Draft:
    """A graph to be changed, its constants, and what was done to it.

    `memory` is that of the graph as the current pass found it; replacements take the places of what they replace.
    """

    def __init__(self, graph: Graph, attributes: dict[str, Any], evaluator: Evaluator) -> None:
        self.graph = graph
        self.attributes = attributes
        self.evaluator = evaluator
        self.firings: list[Firing] = []
        self.refusals: list[SkippedMatch] = []

    # Facts ---------------------------------------------------------------------------------------

    @cached_property
    def memory(self) -> Memory:
        """Which nodes of the graph share memory; computed once."""
        return Memory(self.graph, self.evaluator)

    @cached_property
    def index(self) -> Index:
        """The forms of the calls; kept up to date by `replace`."""
        return Index(self.graph)

    @cached_property
    def writes(self) -> list[Write]:
        """The calls that write, and those that nothing is known of, in order."""
        return [
            Write(node, self._written(node))
            for node in self.graph.nodes
            if node.op.startswith("call_") and (is_write(node) or self._is_unknown(node))
        ]

    @cached_property
    def written(self) -> set[int]:
        """Storages that some call writes to."""
        everything = range(len(self.memory.storages))
        return {
            storage for write in self.writes for storage in (everything if write.storages is None else write.storages)
        }

    @cached_property
    def setters(self) -> list[Node]:
        """Calls that change the modes of those behind them: nothing moves across."""
        return [node for node in self.graph.nodes if node.op == "call_function" and sets_modes(node.target)]

    def forget(self) -> None:
        """The graph has changed: derive its facts anew when they are asked for."""
        for name in ("memory", "index", "writes", "written", "setters"):
            self.__dict__.pop(name, None)

    def storages(self, nodes: Iterable[Node]) -> set[int]:
        """The storages of what `nodes` stand for."""
        places = self.memory.places
        return {place.storage for node in nodes for place in tensors(places.get(node))}

    def escapes(self, storage: int) -> bool:
        """Whether a storage is seen from outside: given, returned, or kept by somebody."""
        place = self.memory.storages[storage]
        return place.escapes or place.given or bool(place.pinned)

    def meta(self, node: Node) -> TensorMeta | None:
        """The meta of a node that stands for one tensor."""
        meta = result_meta(node)
        return meta if isinstance(meta, TensorMeta) else None

    def outcome(self, node: Node) -> Outcome:
        """What the call of a node gives. Raises OpError, DataDependent or Unsupported."""
        return self._ask(self.call_of(node))

    def call_of(self, node: Node) -> GraphCall:
        """A node as a call on the metas that its arguments have."""
        return call_of(node, lambda used: result_meta(used))

    def _ask(self, call: GraphCall) -> Outcome:
        return self.evaluator.evaluate(call.target, call.args, call.kwargs, call.modes)

    def _is_unknown(self, node: Node) -> bool:
        return bool(node.all_input_nodes) and modes_of(node) is None and META not in node.meta

    def _written(self, node: Node) -> frozenset[int] | None:
        call = self.memory.calls.get(node)
        if call is None:
            return None
        try:
            mutated = self._ask(call).mutated
        except (DataDependent, OpError, Unsupported):
            return None
        return frozenset(self.memory.argument(call, index).storage for index in mutated) or None

    # Changes -------------------------------------------------------------------------------------

    def call(self, target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], like: Node) -> Node:
        """A new call at the current insertion point, of the user's line and under the modes of `like`.

        `target` is a callable or ("method", name). Raises CannotReplace when the call is one of an error.
        """
        kind, fx_target = ("call_method", target[1]) if type(target) is tuple else ("call_function", target)
        node = self.graph.create_node(kind, fx_target, tuple(args), dict(kwargs))
        node.meta.update({key: like.meta[key] for key in (LINE, MODES, STACK_TRACE) if key in like.meta})
        try:
            call = self.call_of(node)
            outcome = self._ask(call)
        except (DataDependent, OpError, Unsupported) as error:
            self.graph.erase_node(node)
            raise CannotReplace(f"the replacement cannot be evaluated: {error}") from error
        node.meta[META] = outcome.metas(call.metas)
        return node

    def constant(self, name: str, value: torch.Tensor, meta: TensorMeta) -> Node:
        """A tensor that the graph holds, at the current insertion point."""
        unique, count = name, 0
        while unique in self.attributes:
            unique, count = f"{name}_{count}", count + 1
        self.attributes[unique] = value
        node = self.graph.create_node("get_attr", unique, name=unique)
        node.meta[META] = meta
        return node

    def fire(self, rule: str, like: Node, removed: Iterable[Node], added: Iterable[Node], place: str = "") -> None:
        """Note that a rule was applied."""
        names = tuple(node.name for node in removed), tuple(node.name for node in added)
        self.firings.append(Firing(rule, user_line(like), place, *names))

    def refuse(self, rule: str, like: Node, why: str) -> None:
        """Note that a rule was not applied, and why."""
        self.refusals.append(SkippedMatch(rule, user_line(like), why))

    def erase(self, nodes: Iterable[Node]) -> list[Node]:
        """Remove those of `nodes`, given in the order of the graph, that nobody uses; gives the removed."""
        gone = []
        for node in sorted(nodes, reverse=True):
            if not node.users:
                self.graph.erase_node(node)
                self.index.remove(node)
                gone.append(node)
        return gone[::-1]

    def hazard(self, nodes: Sequence[Node], outputs: Sequence[Node], inputs: Iterable[Node]) -> str:
        """Why `nodes` may not give way to calls that read `inputs` where the last of them stands; "" if they may."""
        first, *_, last = sorted(nodes) if len(nodes) > 1 else (nodes[0], nodes[0])
        inside = set(nodes)
        if any(is_write(node) for node in nodes):
            return "it writes"
        running = [node for node in nodes if not _picks_a_part(node)]
        if any(modes_of(node) != modes_of(last) or MODES not in node.meta for node in running) or any(
            first < setter < last for setter in self.setters
        ):
            return "a mode changes within it"
        for node in nodes:
            family = self.family(node)
            if family in RANDOM:
                return f"{node.name} draws random numbers"
            if node not in outputs and family is not VIEWS and not inside.issuperset(node.users):
                return f"{node.name} is used elsewhere"
        if any(user not in inside and user < last for node in outputs for user in node.users):
            return "a result is used before the last call"
        read = self.storages((*nodes, *inputs))
        for write in self.writes:
            if first < write.node < last and (write.storages is None or write.storages & read):
                return f"{write.node.name} writes to what it reads"
        return ""

    def family(self, node: Node) -> Any:
        """What is known of a node's operator by name."""
        target = ("method", node.target) if node.op == "call_method" else node.target
        return family_of(target, node.args)

    def replace(
        self,
        rule: str,
        nodes: Sequence[Node],
        outputs: Sequence[Node],
        build: Callable[[], Sequence[Node]],
        place: str = "",
    ) -> bool:
        """Put what `build` makes in the place of `nodes`; whether that was done.

        `build` makes calls behind the last of `nodes` and gives as many nodes as there are `outputs`. When
        that shows, the graph is left as it was and the refusal noted.
        """
        last = max(nodes)
        for restore_layout in (False, True):
            before = last.next
            with self.graph.inserting_before(before):
                try:
                    self._exchange(nodes, outputs, build, last, restore_layout)
                except CannotReplace as refused:
                    for node in _between(last, before)[::-1]:
                        self.graph.erase_node(node)
                    why = str(refused)
                    continue
            added = _between(last, before)
            for node in added:
                self.index.add(node)
            self.fire(rule, last, self.erase(nodes), added, place)
            return True
        self.refuse(rule, last, why)  # pyright: ignore[reportPossiblyUnboundVariable]
        return False

    def _exchange(
        self,
        nodes: Sequence[Node],
        outputs: Sequence[Node],
        build: Callable[[], Sequence[Node]],
        last: Node,
        restore_layout: bool,
    ) -> None:
        """Build, exchange the outputs, and derive again what follows from them; undone when it raises CannotReplace."""
        new_nodes = list(build())
        if restore_layout:
            new_nodes = [self._laid_out(new, old, last) for new, old in zip(new_nodes, outputs, strict=True)]
        places = [self._place(old, new, nodes) for old, new in zip(outputs, new_nodes, strict=True)]
        undo: list[Callable[[], None]] = []
        try:
            for old, new, place in zip(outputs, new_nodes, places, strict=True):
                users = [user for user in old.users if user not in nodes]
                for user in users:
                    undo.append(partial(_give_back, user, user.args, user.kwargs))
                    user.replace_input_with(old, new)
                self.memory.places[new] = place
                if new.meta[META] != old.meta[META]:
                    self._propagate(users, undo)
        except CannotReplace:
            for step in reversed(undo):
                step()
            raise
        for new in new_nodes:
            for user in new.users:
                self.index.add(user)

    def _laid_out(self, new: Node, old: Node, like: Node) -> Node:
        """`new` with the layout of `old`, where that is the contiguous one."""
        meta, wanted = self.meta(new), self.meta(old)
        if meta is None or wanted is None or meta.stride == wanted.stride or wanted.stride is None:
            return new
        if not are_contiguous(wanted.shape, wanted.stride):
            return new
        return self.call(("method", "contiguous"), (new,), {}, like)

    def _place(self, old: Node, new: Node, nodes: Sequence[Node]) -> Any:
        """The place of a new value, which takes the old one's. Raises CannotReplace where they differ too much."""
        before, after = result_meta(old), result_meta(new)
        if not isinstance(before, TensorMeta) or not isinstance(after, TensorMeta):
            raise CannotReplace("a result is not one tensor")
        for fact in FACTS_TO_KEEP:
            if getattr(before, fact) != getattr(after, fact):
                raise CannotReplace(f"the replacement gives {after.words}, the pattern {before.words}")
        place, owner = self.memory.places[old], self._owner(new)
        storage = self.memory.storages[place.storage]
        was_shared, shared = storage.maker not in nodes, self.storages([owner] if owner else [])
        if (
            (was_shared or owner)
            and shared != {place.storage}
            and (storage.escapes or (shared | {place.storage}) & self.written)
        ):
            raise CannotReplace("it changes what shares memory that is written to or returned")
        if new in self.memory.places:
            if place.storage in self.written or any(user.op == "output" for user in old.users):
                raise CannotReplace("it would be the tensor it is computed from, and is written to or returned")
            return self.memory.places[new]
        return Place(after, place.storage, place.view)

    def _owner(self, node: Node) -> Node | None:
        """The node outside of a replacement that a new node shares memory with; None if it has its own."""
        while node not in self.memory.places:
            outcome, call = self.outcome(node), self.call_of(node)
            shared = [leaf.index if isinstance(leaf, Same) else leaf.alias_of for leaf in outcome.tensors]
            if not shared or shared[0] is None:
                return None
            node = call.tensors[shared[0]][0]
        return node

    def _propagate(self, users: Iterable[Node], undo: list[Callable[[], None]]) -> None:
        """Derive the metas of `users` again, and of what uses them, until nothing changes.

        Raises CannotReplace when a call cannot be made any more, or a change would be seen.
        """
        waiting = list(dict.fromkeys(users))
        heapq.heapify(waiting)
        while waiting:
            node = heapq.heappop(waiting)
            if node.op == "output":
                raise CannotReplace("a result would have another layout")
            before = result_meta(node)
            try:
                call = self.call_of(node)
                outcome = self._ask(call)
            except (DataDependent, OpError, Unsupported) as error:
                raise CannotReplace(f"{node.name} needs the layout there was: {error}") from error
            after = _with_autograd_of(before, outcome.metas(call.metas))
            self._same_sharing(node, call, outcome)
            if after == before:
                continue
            if is_write(node) or [_but_layout(leaf) for leaf in leaves(after)] != [
                _but_layout(leaf) for leaf in leaves(before)
            ]:
                raise CannotReplace(f"{node.name} would give something else")
            node.meta[META] = after
            undo.append(lambda node=node, before=before: node.meta.__setitem__(META, before))
            for user in node.users:
                if user not in waiting:
                    heapq.heappush(waiting, user)

    def _same_sharing(self, node: Node, call: GraphCall, outcome: Outcome) -> None:
        """Raise CannotReplace if a value begins or ceases to share memory where that can be seen."""
        for leaf, place in zip(outcome.tensors, tensors(self.memory.places[node]), strict=True):
            index = leaf.index if isinstance(leaf, Same) else leaf.alias_of
            if index is None:
                continue
            owner = self.storages([call.tensors[index][0]])
            if place.storage in owner:
                continue
            both = owner | {place.storage}
            if both & self.written or sum(map(self.escapes, both)) > 1 or self.memory.storages[place.storage].escapes:
                raise CannotReplace(f"{node.name} would share memory that is written to or returned")


def _give_back(node: Node, args: Any, kwargs: Any) -> None:
    node.args, node.kwargs = args, kwargs


def _picks_a_part(node: Node) -> bool:
    """Whether a node takes one of several results of a call, which runs nothing and so knows no modes."""
    return node.target is operator.getitem and not isinstance(result_meta(node.all_input_nodes[0]), TensorMeta)


def _between(first: Node, end: Node) -> list[Node]:
    """The nodes after `first` and before `end`."""
    between, node = [], first.next
    while node is not end:
        between.append(node)
        node = node.next
    return between


def _but_layout(leaf: Any) -> Any:
    return leaf.replace(stride=None, storage_offset=0) if isinstance(leaf, TensorMeta) else leaf


def _with_autograd_of(before: Any, after: Any) -> Any:
    """`after` with the autograd facts of `before`: those may come from a write that has been made since."""
    if isinstance(before, TensorMeta) and isinstance(after, TensorMeta):
        return after.replace(requires_grad=before.requires_grad, is_leaf=before.is_leaf)
    if isinstance(before, tuple | list) and isinstance(after, tuple | list) and len(before) == len(after):
        parts = [_with_autograd_of(one, other) for one, other in zip(before, after, strict=True)]
        return after if isinstance(after, torch.Size) or hasattr(after, "_fields") else type(after)(parts)
    return after
