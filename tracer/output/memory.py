"""Applies `donate` and `allocate`: rewrites a frame's graph and adds checks to its calls. Imported when needed.

passes/reuse rewrites the graph that the backend compiles; checks that can only be made at a call wrap the compiled
graph. The graph that people see stays as it was captured.
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
from tracer.guards.source import Source
from tracer.interpret.tensor_ops import EVALUATOR
from tracer.output.memory_options import MemoryOptions

if TYPE_CHECKING:
    from tracer.interpret.trace import Trace
    from tracer.output.program import ResidualProgram

USED_AFTERWARDS = "the program uses it after the graph has run"
VIEW = "it is a view of another tensor"


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """The rewritten graph, which tensors it overwrites, and which outputs it writes into memory that it is given."""

    graph: Graph
    reuse: Reuse | None
    allocation: Allocation | None
    options: MemoryOptions

    def __str__(self) -> str:
        return "\n".join(str(part) for part in (self.reuse, self.allocation) if part is not None)

    def guarded(self, compiled: Callable[..., Any]) -> Callable[..., Any]:
        """`compiled`, given memory for its outputs, and with checks of the inputs that it overwrites."""
        call = compiled
        if self.allocation is not None and self.options.allocate is not None:
            call = run_with(self.allocation, self.options.allocate, call)
        if self.reuse is not None:
            inputs = [node for node in self.graph.find_nodes(op="placeholder") if SOURCE in node.meta]
            taken = {name for name, fate in self.reuse.donated.items() if isinstance(fate, Overwrite)}
            if taken:
                texts = {index: node.meta[SOURCE] for index, node in enumerate(inputs) if _has_memory(node.meta[META])}
                call = _watched(call, texts, [index for index, node in enumerate(inputs) if node.name in taken])
        return call


def rewrite(
    options: MemoryOptions, trace: Trace, program: ResidualProgram, examples: list[Any]
) -> tuple[GraphBuilder, list[Any], MemoryReport]:
    """The builder of the graph that the backend is to compile, its example inputs, and what was done."""
    graph, allocation, overwritten = trace.graph.graph, None, None
    if options.allocate is not None:
        graph, allocation = allocate_outputs(graph, EVALUATOR)
        # Give example inputs their own memory: some backends execute them.
        examples = [*examples, *(_example(provision.meta) for provision in allocation.written)]
    if options.donated is not None:
        donated, refused = _donated(options.donated, trace, program)
        graph, overwritten = reuse(graph, EVALUATOR, donated, refused)
    builder = GraphBuilder()
    builder.graph, builder.attributes = graph, trace.graph.attributes
    return builder, examples, MemoryReport(graph, overwritten, allocation, options)


def _watched(call: Callable[..., Any], texts: Mapping[int, str], donated: Collection[int]) -> Callable[..., Any]:
    """`call`, which overwrites the inputs at `donated`, with a check that no other input shares their memory.

    `texts` holds the access path of every input that has memory, by its position.
    """

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


def _donated(sources: tuple[Source, ...], trace: Trace, program: ResidualProgram) -> tuple[list[str], dict[str, str]]:
    """Names of the graph's inputs that may be overwritten, and of those that may not, with the reason."""
    donated: list[str] = []
    refused: dict[str, str] = {}
    names = dict(zip(program.inputs, program.parameters, strict=True))
    for source, node, example in trace.inputs:
        if node not in program.graph_inputs or not isinstance(example, torch.Tensor) or not isinstance(source, Source):
            continue
        path = _steps(source)
        if not {*path} & {*sources}:
            continue
        # The call of the graph mentions the input once; a second mention, of it or of what holds it, is a later use.
        if sum(program.mentions(names[step]) for step in path if step in names) > 1:
            refused[node.name] = USED_AFTERWARDS
        elif example._base is not None:
            refused[node.name] = VIEW
        elif example.requires_grad and trace.first_modes.grad:
            refused[node.name] = "it requires grad: autograd may have saved it before"
        else:
            donated.append(node.name)
    return donated, refused


def _steps(source: Source) -> list[Source]:
    """A path and every path that leads to it."""
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
    """A copy with the same strides, to be overwritten in place of a view."""
    copied = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
    return copied.copy_(tensor)


def _example(meta: TensorMeta) -> torch.Tensor:
    return torch.empty_strided(meta.shape, meta.stride or (), dtype=meta.dtype, device=meta.device)
