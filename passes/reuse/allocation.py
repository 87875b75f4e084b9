"""Memory for a graph's outputs, given by the caller: from a pool, pinned, shared, or buffers of his own.

A call whose result is returned writes straight into the memory where an `out=` variant runs the same kernels;
other results are copied into it. What shares memory with an input or with another output stays where it is.
Knows nothing of how a graph is captured or run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.fx import Graph, Node

from passes.meta import TensorMeta, meta_of
from passes.node_meta import META, WRITES
from passes.operators.evaluate import Evaluator
from passes.reuse.calls import copy_of
from passes.reuse.memory import Memory, Place
from passes.reuse.observe import Watcher
from passes.reuse.plan import overlaps
from passes.reuse.variants import WritingVariants, spelled

Allocate = Callable[[TensorMeta], torch.Tensor]

WRITTEN, COPIED, LEFT = "written", "copied", "left"
CHECKED: Final = ("shape", "stride", "dtype", "device", "layout", "requires_grad")


@dataclass(frozen=True, slots=True)
class Provision:
    """How output number `output` gets into given memory: "written" there, "copied", or "left", and why."""

    output: int
    node: str
    how: str
    meta: TensorMeta
    why: str = ""

    def __str__(self) -> str:
        return f"output {self.output}, {self.node}, {self.how}{f': {self.why}' if self.why else ''}"


@dataclass(frozen=True, slots=True)
class Allocation:
    """What becomes of each output that is a tensor."""

    provisions: tuple[Provision, ...]

    @property
    def written(self) -> list[Provision]:
        """Those for which the graph has an input more, in the order of these inputs."""
        return [provision for provision in self.provisions if provision.how == WRITTEN]

    @property
    def copied(self) -> list[Provision]:
        """Those that are copied when the graph has run."""
        return [provision for provision in self.provisions if provision.how == COPIED]

    def __str__(self) -> str:
        return "\n".join(map(str, self.provisions))


def allocate_outputs(graph: Graph, evaluator: Evaluator) -> tuple[Graph, Allocation]:
    """A copy of `graph` that takes memory for outputs as further inputs, the last ones, and what it does with it."""
    copied = copy_of(graph)
    memory, variants = Memory(copied, evaluator), WritingVariants(Watcher())
    outputs = list(copied.output_node().args[0])  # type: ignore[arg-type]
    provisions: list[Provision] = []
    for position, node in enumerate(outputs):
        place = memory.place(node) if isinstance(node, Node) else None
        if place is None or node in outputs[:position]:
            continue
        others = [other for other in outputs if isinstance(other, Node) and other is not node]
        how, why = _manner(memory, node, place, others)
        if how == WRITTEN:
            why = _write(copied, memory, variants, node, place)
            how = COPIED if why else WRITTEN
        provisions.append(Provision(position, node.name, how, _wanted(place.meta), why))
    copied.lint()
    return copied, Allocation(tuple(provisions))


def _manner(memory: Memory, node: Node, place: Place, others: Sequence[Node]) -> tuple[str, str]:
    """Whether an output may be written to the memory provided, must be copied there, or stays where it is, and why."""
    storage = memory.storages[place.storage]
    if storage.given:
        return LEFT, "it is an input or a view of one"
    if storage.pinned:
        return LEFT, storage.pinned
    if any(other.storage == place.storage for other in memory.of(others)):
        return LEFT, "it shares memory with another output"
    if place.meta.layout is not torch.strided or overlaps(place.meta):
        return LEFT, "several of its elements share one place in memory"
    if place.view or storage.maker is not node or node not in memory.calls:
        return COPIED, f"it is a view of what {storage.maker.name} made"
    if place.meta.symbolic:
        return COPIED, "its sizes are known when it is there"
    return WRITTEN, ""


def _write(graph: Graph, memory: Memory, variants: WritingVariants, node: Node, place: Place) -> str:
    """Make a call write into a further input; the reason where that cannot be done."""
    call, meta = memory.calls[node], _wanted(place.meta)
    if place.meta.requires_grad:
        return "autograd follows no operator with out="
    variant = variants.with_out(call, meta)
    if variant is None:
        return "its operator has no variant with out= that runs the same kernels"
    inputs = list(graph.find_nodes(op="placeholder"))
    with graph.inserting_after(inputs[-1]) if inputs else graph.inserting_before(next(iter(graph.nodes))):
        buffer = graph.placeholder(f"memory_of_{node.name}")
    buffer.meta[META] = meta
    nodes = [*(owner for owner, _ in call.tensors), buffer]
    node.args = tuple(spelled(argument, nodes) for argument in variant.args)
    node.kwargs = {name: spelled(argument, nodes) for name, argument in variant.kwargs}
    node.op, node.target = "call_function", variant.target
    node.meta[WRITES] = True
    return ""


def _wanted(meta: TensorMeta) -> TensorMeta:
    """What the memory for a tensor has to be like."""
    flags = {"requires_grad": False, "is_conj": False, "is_neg": False, "is_inference": False}
    return meta.replace(storage_offset=0, is_leaf=True, **flags)


def provide(allocate: Allocate, meta: TensorMeta, where: str) -> torch.Tensor:
    """What `allocate` gives for `meta`.

    Raises TypeError when that is no tensor, ValueError when it is not like `meta`; both say what was expected.
    """
    tensor = allocate(meta)
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"allocate must give a tensor for {where}, {meta.text}, not {type(tensor).__name__}")
    actual = meta_of(tensor)
    wrong = [fact for fact in CHECKED if getattr(actual, fact) != getattr(meta, fact)]
    if wrong:
        raise ValueError(
            f"allocate must give {meta.words} for {where}, not {actual.words}: it differs in {', '.join(wrong)}"
        )
    return tensor


def run_with(allocation: Allocation, allocate: Allocate, program: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    """`program`, made from the rewritten graph, as a callable of the inputs that the original graph has.

    It raises what `provide` does, and ValueError when memory given overlaps an input or other memory given.
    """
    written, copied = allocation.written, allocation.copied

    def call(*inputs: Any) -> tuple[Any, ...]:
        taken = [span for value in inputs if isinstance(value, torch.Tensor) and (span := memory_span(value))]
        buffers = [_fresh(allocate, provision, provision.meta, taken) for provision in written]
        outputs = list(program(*inputs, *buffers))
        for provision in copied:
            result = outputs[provision.output]
            meta = _wanted(meta_of(result)) if provision.meta.symbolic else provision.meta
            buffer = _fresh(allocate, provision, meta, taken)
            target = buffer.detach() if result.requires_grad else buffer  # which stays out of autograd's sight
            moved = target.copy_(result)
            outputs = [moved if output is result else output for output in outputs]
        return tuple(outputs)

    return call


def _fresh(allocate: Allocate, provision: Provision, meta: TensorMeta, taken: list[tuple[int, int]]) -> torch.Tensor:
    where = f"output {provision.output} ({provision.node})"
    tensor = provide(allocate, meta, where)
    span = memory_span(tensor)
    if span is not None:
        if any(span[0] < end and begin < span[1] for begin, end in taken):
            raise ValueError(f"the memory that allocate gave for {where} is that of an input or of another output")
        taken.append(span)
    return tensor


def memory_span(tensor: torch.Tensor) -> tuple[int, int] | None:
    """First byte of a tensor's elements, and the one behind the last; None for those without an address."""
    if tensor.layout is not torch.strided or tensor.device.type == "meta" or not tensor.numel():
        return None
    begin = tensor.data_ptr()
    reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return begin, begin + (reach + 1) * tensor.element_size()
