"""Which call of a graph may overwrite what: the plan for donated inputs and dead intermediates, and its report.

A tensor may be overwritten by the call that uses its memory last, when the result has its facts, a variant
of the call writes in place (variants.py), nothing else sees the memory, and autograd has not saved it. The
idea is XLA's input-output aliasing and buffer donation, on a graph of eager operators.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch.fx import Graph, Node

from passes.meta import TensorMeta
from passes.node_meta import WRITES, stack_trace_of
from passes.operators.evaluate import Evaluator
from passes.reuse.calls import GraphCall, concrete, copy_of
from passes.reuse.memory import Memory, Place, Storage, tensors
from passes.reuse.observe import Watcher
from passes.reuse.variants import WritingVariant, WritingVariants, spelled

COMPARED: Final = ("shape", "stride", "dtype", "device", "layout", "is_conj", "is_neg", "is_inference")
UNITS: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


@dataclass(frozen=True, slots=True)
class Overwrite:
    """The call `node` writes its result over `over`, through `variant`; `bytes` need not be allocated."""

    node: str
    over: str
    variant: str
    bytes: int
    line: str | None

    def __str__(self) -> str:
        return f"{self.node} over {self.over}: {self.variant}, {size_text(self.bytes)}"


@dataclass(frozen=True, slots=True)
class RejectedReuse:
    """`over` is not overwritten, by `node` (None: by no call at all), and why."""

    node: str | None
    over: str
    why: str
    line: str | None = None

    def __str__(self) -> str:
        return f"{self.over} is not overwritten{f' by {self.node}' if self.node else ''}: {self.why}"


@dataclass(frozen=True, slots=True)
class Reuse:
    """What a plan did. Bytes are those of tensors made by the graph; peaks are beside the inputs, kernels apart.

    `donated` says of each donated input what became of it: the Overwrite of its memory, or a RejectedReuse.
    """

    overwrites: tuple[Overwrite, ...]
    refusals: tuple[RejectedReuse, ...]
    donated: Mapping[str, Overwrite | RejectedReuse]
    calls: int
    peak_before: int
    peak_after: int

    @property
    def bytes_saved(self) -> int:
        """Bytes that a call of the graph does not allocate."""
        return sum(overwrite.bytes for overwrite in self.overwrites)

    def __str__(self) -> str:
        """One line of figures, then a line for each donated input."""
        peak = f"peak {size_text(self.peak_before)} to {size_text(self.peak_after)}"
        saved = f"{len(self.overwrites)} of {self.calls} in place, {size_text(self.bytes_saved)} saved, {peak}"
        return "\n".join([saved, *map(str, self.donated.values())])


def size_text(count: int) -> str:
    """Bytes for people: `1.5 MiB`."""
    for unit, name in UNITS:
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


def reuse(
    graph: Graph, evaluator: Evaluator, donated: Collection[str] = (), refused: Mapping[str, str] | None = None
) -> tuple[Graph, Reuse]:
    """A copy of `graph` in which calls overwrite what is dead, and the report.

    `donated` names the placeholders that may be overwritten, `refused` those that may not although they were
    donated, and why. Results are equal bit for bit. Metas and modes on the nodes are those of a capture.
    """
    unknown = {*donated, *(refused or {})} - {node.name for node in graph.find_nodes(op="placeholder")}
    if unknown:
        raise ValueError(f"not inputs of the graph: {', '.join(sorted(unknown))}")
    copied = copy_of(graph)
    return copied, Planner(copied, evaluator, donated, refused or {}).run()


class Planner:
    """Goes through the calls once, in their order, and rewrites those that may overwrite something."""

    def __init__(
        self, graph: Graph, evaluator: Evaluator, donated: Collection[str], refused: Mapping[str, str]
    ) -> None:
        self.graph = graph
        self.donated = donated
        self.refused = refused
        self.memory = Memory(graph, evaluator)
        self.variants = WritingVariants(Watcher())
        self.home = dict[int, int]()  # where a storage's memory is, when in another's
        self.saved = dict[int, str]()  # memory that autograd keeps, and the call that made it so
        self.kept = set[int]()  # the storages that it keeps in the graph as it was
        self.overwrites: list[Overwrite] = []
        self.refusals: list[RejectedReuse] = []
        self.fates: dict[str, Overwrite | RejectedReuse] = {}

    def run(self) -> Reuse:
        """Rewrite the graph and tell what was done."""
        memory = self.memory
        calls = [node for node in memory.calls if node.op.startswith("call_")]
        for node in calls:
            self._note_saved(node)
            self._overwrite(node)
        self._rename_outputs()
        self._tell_donated()
        self.graph.lint()
        return Reuse(
            tuple(self.overwrites),
            tuple(self.refusals),
            self.fates,
            len(calls),
            memory.peak(self.kept),
            memory.peak(self.saved, self.home),
        )

    # One call --------------------------------------------------------------------------------------

    def _overwrite(self, node: Node) -> None:
        """Let a call write over one of its arguments, or over a donated input that is no longer needed."""
        call, result = self.memory.calls[node], self.memory.place(node)
        if result is None or result.view or self.memory.storages[result.storage].maker is not node:
            return
        for index in range(len(call.tensors)):
            operand = self.memory.argument(call, index)
            owner = self.memory.storages[self._home(operand.storage)]
            if owner.given and owner.maker.name not in self.donated:
                continue
            if not _same_facts(operand.meta, result.meta) or not self._is_last_use(operand, node):
                continue
            variant = None
            why = self._why_not(operand, node, call, result)
            if not why:
                variant = self.variants.in_place(call, index)
                why = "" if variant else f"{_name(node)} has no variant in place that runs the same kernels"
            if variant is not None:
                self._apply(node, variant, [owner for owner, _ in call.tensors], operand, call.tensors[index][0].name)
                return
            self.refusals.append(RejectedReuse(node.name, call.tensors[index][0].name, why, stack_trace_of(node)))
        for buffer, owner in self._idle_inputs(node, result):
            variant = self.variants.with_out(call, buffer.meta)
            if variant is not None:
                self._apply(node, variant, [*(used for used, _ in call.tensors), owner], buffer, owner.name)
                return

    def _apply(self, node: Node, variant: WritingVariant, nodes: list[Node], over: Place, name: str) -> None:
        """Put the variant in the node's place, in the same node: its users and name stay."""
        args = tuple(spelled(argument, nodes) for argument in variant.args)
        kwargs = {key: spelled(argument, nodes) for key, argument in variant.kwargs}
        by_method = type(variant.target) is tuple
        node.op = "call_method" if by_method else "call_function"
        node.target = variant.target[1] if by_method else variant.target
        node.args, node.kwargs = args, kwargs
        node.meta[WRITES] = True
        result = self.memory.places[node]
        home = self._home(over.storage)
        self.home[result.storage] = home
        size = self.memory.storages[result.storage].bytes
        done = Overwrite(node.name, name, variant.text, size, stack_trace_of(node))
        self.overwrites.append(done)
        storage = self.memory.storages[home]
        if storage.given:
            self.fates.setdefault(storage.maker.name, done)
        if result.storage in self.saved:
            self.saved[home] = self.saved[result.storage]

    # Whether it may --------------------------------------------------------------------------------

    def _home(self, storage: int) -> int:
        return self.home.get(storage, storage)

    def _sharing(self, storage: int) -> Iterator[Storage]:
        """Every storage that lives in the same memory."""
        home = self._home(storage)
        for number, each in enumerate(self.memory.storages):
            if self._home(number) == home:
                yield each

    def _is_last_use(self, operand: Place, node: Node) -> bool:
        step = self.memory.step[node]
        return all(storage.last <= step or storage.maker is node for storage in self._sharing(operand.storage))

    def _why_not(self, operand: Place, node: Node, call: GraphCall, result: Place) -> str:
        """Why the operand, which is used here for the last time, may not be overwritten; "" if it may."""
        home = self._home(operand.storage)
        owner = self.memory.storages[home]
        name = owner.maker.name
        if pinned := next((each.pinned for each in self._sharing(home) if each.pinned), ""):
            return pinned
        if any(each.escapes for each in self._sharing(home)):
            return f"the memory of {name} is returned"
        if overlaps(operand.meta):
            return "several of its elements share one place in memory"
        produced = self.memory.storages[result.storage]
        if produced.escapes and (owner.bytes != produced.bytes or concrete(operand.meta).storage_offset):
            return "the result is returned, and would be a part of larger memory"
        if any(self._clashes(self.memory.argument(call, other), operand, home) for other in range(len(call.tensors))):
            return f"{node.name} reads the same memory by another view"
        if home in self.saved:
            return f"{self.saved[home]} saved it for the backward pass"
        if operand.meta.requires_grad and operand.meta.is_leaf:
            return "it is a leaf that requires grad"
        if operand.view and (operand.meta.requires_grad or result.meta.requires_grad):
            return "it is a view that autograd follows"
        if operand.meta.requires_grad and not result.meta.requires_grad:
            return "it requires grad and the result does not"
        if owner.given and result.meta.requires_grad:
            return "the result requires grad, and the donated tensor would from then on"
        return ""

    def _clashes(self, other: Place, operand: Place, home: int) -> bool:
        """Whether an argument shares the operand's memory without being the same elements in the same order."""
        if self._home(other.storage) != home:
            return False
        facts = ("shape", "stride", "storage_offset", "dtype")
        return any(concrete(getattr(other.meta, f)) != concrete(getattr(operand.meta, f)) for f in facts)

    def _idle_inputs(self, node: Node, result: Place) -> Iterator[tuple[Place, Node]]:
        """Donated inputs that nothing needs from here on, or ever, with the facts of the result."""
        step = self.memory.step[node]
        for owner in self.graph.find_nodes(op="placeholder"):
            place = self.memory.place(owner)
            if place is None or owner.name not in self.donated or self._home(place.storage) != place.storage:
                continue
            idle = all(storage.last < step and not storage.pinned for storage in self._sharing(place.storage))
            facts = _same_facts(place.meta, result.meta) and not overlaps(place.meta) and not place.meta.requires_grad
            if idle and facts and place.storage not in self.saved:
                yield place, owner

    def _note_saved(self, node: Node) -> None:
        """Add what autograd keeps of a call to `saved`."""
        call, result = self.memory.calls[node], self.memory.places[node]
        follows = any(meta.requires_grad for meta in (*call.metas, *(place.meta for place in tensors(result))))
        if not call.modes.grad or not follows:
            return
        seen = self.variants.watcher.watch(call)
        kept = range(len(call.tensors)) if seen is None else seen.saved
        storages = {self.memory.argument(call, index).storage for index in kept}
        if seen is None or seen.saves_result or isinstance(result, tuple | list):
            storages.update(place.storage for place in tensors(result))
        self.kept |= storages
        for storage in storages:
            self.saved.setdefault(self._home(storage), node.name)

    # The end ---------------------------------------------------------------------------------------

    def _rename_outputs(self) -> None:
        """Give outputs in donated memory a tensor object of their own, as the plain graph does."""
        last = self.graph.output_node()
        for node in last.all_input_nodes:
            place = self.memory.place(node)
            if place is None or place.view or not self.memory.storages[self._home(place.storage)].given:
                continue
            if self._home(place.storage) == place.storage:
                continue
            with self.graph.inserting_before(last):
                fresh = self.graph.call_method("detach", (node,))
            fresh.meta = {key: value for key, value in node.meta.items() if key != WRITES}
            last.replace_input_with(node, fresh)

    def _tell_donated(self) -> None:
        """A refusal for every donated input whose memory was not used again."""
        for node in self.graph.find_nodes(op="placeholder"):
            name, place = node.name, self.memory.place(node)
            if name in self.fates or name not in {*self.donated, *self.refused}:
                continue
            reasons = [refusal.why for refusal in self.refusals if refusal.over == name]
            self.fates[name] = RejectedReuse(None, name, self.refused.get(name) or self._fate(place, reasons))

    def _fate(self, place: Place | None, reasons: list[str]) -> str:
        if place is None:
            return "it is no tensor"
        if self.memory.storages[place.storage].escapes:
            return "its memory is returned"
        return reasons[0] if reasons else "no later result has its shape, stride and dtype"


def overlaps(meta: TensorMeta) -> bool:
    """Whether two elements of a tensor may share one place in memory (expanded, or strides too small)."""
    meta = concrete(meta)
    reach = 0
    for stride, size in sorted(zip(meta.stride or (), meta.shape, strict=False)):
        if size <= 1:
            continue
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


def _same_facts(left: TensorMeta, right: TensorMeta) -> bool:
    if left.layout is not torch.strided or right.layout is not torch.strided:
        return False
    return all(concrete(getattr(left, fact)) == concrete(getattr(right, fact)) for fact in COMPARED)


def _name(node: Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
