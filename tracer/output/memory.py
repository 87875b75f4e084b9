"""What is made of a frame's intents: the graph rewritten, and the checks around its program. Imported when wanted.

The graph that the backend gets is rewritten by passes/reuse; around its program stand
the checks that can only be made at a call. The graph that people see stays as it was captured.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import Graph

from passes.meta import TensorMeta
from passes.node_meta import META, SOURCE
from passes.reuse.allocation import Allocation, allocate_outputs, run_with
from passes.reuse.plan import Overwrite, Reuse, reuse
from tracer.graph.builder import GraphBuilder
from tracer.interpret.tensor_ops import EVALUATOR
from tracer.output.memory_options import Intents

if TYPE_CHECKING:
    from tracer.guards.source import Source
    from tracer.interpret.trace import Trace
    from tracer.output.program import Program

HANDED_ON = "the program hands it on when the graph has run"
VIEW = "it is a view of another tensor"


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """What was done to a graph: its rewritten form, what is overwritten, and where outputs are put."""

    graph: Graph
    reuse: Reuse | None
    allocation: Allocation | None
    intents: Intents

    def __str__(self) -> str:
        return "\n".join(str(part) for part in (self.reuse, self.allocation) if part is not None)

    def guarded(self, compiled: Callable[..., Any]) -> Callable[..., Any]:
        """`compiled` with the checks and the memory that each call needs."""
        call = compiled
        if self.allocation is not None and self.intents.allocate is not None:
            call = run_with(self.allocation, self.intents.allocate, call)
        if self.reuse is not None:
            inputs = [node for node in self.graph.find_nodes(op="placeholder") if SOURCE in node.meta]
            taken = {name for name, fate in self.reuse.donated.items() if isinstance(fate, Overwrite)}
            if taken:
                texts = {index: node.meta[SOURCE] for index, node in enumerate(inputs) if _has_memory(node.meta[META])}
                call = _watched(call, texts, [index for index, node in enumerate(inputs) if node.name in taken])
        return call


def rewrite(
    intents: Intents, trace: Trace, program: Program, examples: list[Any]
) -> tuple[GraphBuilder, list[Any], MemoryReport]:
    """The builder of the graph that the backend is to compile, its example inputs, and what was done."""
    graph, allocation, overwritten = trace.graph.graph, None, None
    if intents.allocate is not None:
        graph, allocation = allocate_outputs(graph, EVALUATOR)
        # A backend that runs its examples runs them on memory that nobody else has.
        examples = [*examples, *(_example(provision.meta) for provision in allocation.written)]
    if intents.donated is not None:
        donated, refused = _donated(intents.donated, trace, program)
        graph, overwritten = reuse(graph, EVALUATOR, donated, refused)
    builder = GraphBuilder()
    builder.graph, builder.attributes = graph, trace.graph.attributes
    return builder, examples, MemoryReport(graph, overwritten, allocation, intents)


def _watched(call: Callable[..., Any], texts: Mapping[int, str], donated: Collection[int]) -> Callable[..., Any]:
    """`call`, which overwrites the inputs at `donated`; `texts` are the inputs that have memory."""

    def watched(*inputs: Any) -> Any:
        for index in donated:
            tensor = inputs[index]
            begin, end = _storage_span(tensor)
            for other, text in texts.items():
                if other != index and begin <= inputs[other].data_ptr() < end:
                    raise ValueError(f"{texts[index]} is donated, and {text} shares its memory: one cannot be both")
            if tensor._base is not None:
                inputs = (*inputs[:index], _private(tensor), *inputs[index + 1 :])
        return call(*inputs)

    return watched


def _donated(sources: tuple[Source, ...], trace: Trace, program: Program) -> tuple[list[str], dict[str, str]]:
    """Names of the graph's inputs that may be overwritten, and of those that may not, with the reason."""
    donated: list[str] = []
    refused: dict[str, str] = {}
    names = dict(zip(program.inputs, program.parameters, strict=True))
    for source, node, example in trace.inputs:
        path = _steps(source)
        if node not in program.graph_inputs or not isinstance(example, torch.Tensor) or not {*path} & {*sources}:
            continue
        # The call of the graph is one mention of the input; whatever holds the input is mentioned by what is kept.
        if sum(program.mentions(names[step]) for step in path if step in names) > 1:
            refused[node.name] = HANDED_ON
        elif example._base is not None:
            refused[node.name] = VIEW
        elif example.requires_grad and trace.first_modes.grad:
            refused[node.name] = "it requires grad: autograd may have saved it before"
        else:
            donated.append(node.name)
    return donated, refused


def _steps(source: Source) -> list[Source]:
    """A path and every path it goes on from."""
    path = [source]
    while path[-1].base is not None:
        path.append(path[-1].base)
    return path


def _has_memory(meta: Any) -> bool:
    return isinstance(meta, TensorMeta) and meta.layout is torch.strided


def _storage_span(tensor: torch.Tensor) -> tuple[int, int]:
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.data_ptr() + storage.nbytes()


def _private(tensor: torch.Tensor) -> torch.Tensor:
    """A copy with the same strides: of a view only the copy is overwritten."""
    copied = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
    return copied.copy_(tensor)


def _example(meta: TensorMeta) -> torch.Tensor:
    return torch.empty_strided(meta.shape, meta.stride or (), dtype=meta.dtype, device=meta.device)
