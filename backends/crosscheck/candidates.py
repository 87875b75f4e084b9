"""Candidates: what is checked. Torch's own operators, possibly on another device or in another dtype; or a compiler.

A candidate runs calls, and may write to the arguments of a call, as the call itself would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule
from torch.utils._pytree import tree_map

from backends.aot import compile_with
from backends.crosscheck.calls import ConcreteCall, attempt, single
from backends.handover import Backend, BadOptions, Handover
from passes.meta import meta_of
from passes.node_meta import stack_trace_of

LookUp = Callable[[Any, Mapping[str, Any]], Backend]


@dataclass(frozen=True)
class CompilerCandidate:
    """Torch's own operators, on `device` (None: where the tensors are) and in `dtype` (None: unchanged).

    `compiler`, if set, compiles graphs of one operator or of many; `source` is the name that the user gave.
    """

    name: str = "eager"
    device: torch.device | None = None
    dtype: torch.dtype | None = None
    compiler: Backend | None = None
    source: Any = "eager"

    @property
    def compiles(self) -> bool:
        """Whether graphs are compiled as a whole."""
        return self.compiler is not None

    def run(self, call: ConcreteCall) -> Any:
        """The candidate's result for the call, on the device of the call's own tensors."""
        if self.device is None:
            return self._run(call)
        homes = call.tensors
        moved: dict[int, Tensor] = {id(tensor): tensor.to(self.device) for tensor in homes}
        there = call.mapped(lambda tensor: moved[id(tensor)])
        result = self._run(there)
        for home in homes:
            away = moved[id(home)]
            if away is not home and away._version:
                home.copy_(away)
        return _brought_home(result, {id(moved[id(home)]): home for home in homes})

    def _run(self, call: ConcreteCall) -> Any:
        if self.compiler is None:
            return call.run()
        probe = attempt(call.copied())
        if probe.error is not None:
            raise probe.error
        module, inputs = single(call, probe.result)
        return self.compile(module, inputs)(*inputs)

    def compile(self, module: GraphModule, inputs: list[Any]) -> Any:
        """Compile a graph."""
        assert self.compiler is not None
        graph = Graph()
        graph.output(graph.graph_copy(module.graph, {}))
        module = GraphModule(module, graph)  # the compiler may change it
        names = {str(node.target) for node in module.graph.nodes if node.op in ("get_attr", "call_module")}
        handover = Handover(
            graph=module.graph,
            attributes={name: attrgetter(name)(module) for name in names},
            example_inputs=inputs,
            metas=[meta_of(value) if isinstance(value, Tensor) else value for value in inputs],
            module=lambda: module,
            origin=stack_trace_of,
        )
        return compile_with(self.compiler, handover)


def _brought_home(result: Any, homes: dict[int, Tensor]) -> Any:
    """The result on the device of the arguments; an argument that is returned stays the argument."""

    def home(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        return homes[id(leaf)] if id(leaf) in homes else leaf.cpu()

    return tree_map(home, result)


def candidate_of(
    candidate: Any,
    options: Mapping[str, Any],
    device: str | torch.device | None,
    dtype: torch.dtype | None,
    look_up: LookUp,
) -> CompilerCandidate:
    """The candidate for a name or a callable. Raises BadOptions, and what looking up a backend raises."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise BadOptions(f"dtype must be a floating dtype, not {dtype!r}")
    place = None if device is None else torch.device(device)
    words = [] if isinstance(candidate, str) and candidate == "eager" else [_name(candidate)]
    words += [str(part) for part in (place, dtype) if part is not None]
    name = " ".join(words) or "eager"
    if candidate == "eager":
        return CompilerCandidate(name, place, dtype)
    if candidate == "crosscheck":
        raise BadOptions("the candidate of 'crosscheck' cannot be 'crosscheck' itself")
    drawing = {"fallback_random": True} if candidate == "inductor" else {}
    return CompilerCandidate(name, place, dtype, look_up(candidate, {**drawing, **options}), candidate)


def _name(candidate: Any) -> str:
    return candidate if isinstance(candidate, str) else getattr(candidate, "__name__", type(candidate).__name__)
