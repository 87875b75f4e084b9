"""Candidates: what is checked. Torch's own operators, possibly on another device or in another dtype; or a compiler.

A candidate runs calls, and may write to the arguments of a call, as the call itself would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.utils._pytree import tree_map

from backends.aot import compile_with
from backends.crosscheck.calls import REFUSALS, ConcreteCall, attempt, single
from backends.handover import Backend, BadOptions, Handover
from passes.meta import meta_of
from passes.node_meta import stack_trace_of

SWITCHES: Final = ("cudnn_enable", "cudnn_enabled")
LookUp = Callable[[Any, Mapping[str, Any]], Backend]


@dataclass(frozen=True)
class CompilerCandidate:
    """Torch's own operators, on `device` (None: where the tensors are) and in `dtype` (None: unchanged).

    `compiler`, if set, compiles graphs of one operator or of many; `source` is the name that the user gave. `programs`,
    if set, holds what was compiled for the one call that is run again and again.
    """

    name: str = "eager"
    device: torch.device | None = None
    dtype: torch.dtype | None = None
    compiler: Backend | None = None
    source: Any = "eager"
    programs: list[Any] | None = None

    @property
    def compiles(self) -> bool:
        """Whether graphs are compiled as a whole."""
        return self.compiler is not None

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """The errors that say something of it: what operators raise, and whatever else a compiler may."""
        return (Exception,) if self.compiles else REFUSALS

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
        if self.programs:
            return self.programs[0](*inputs)
        program = self.compile(self._spelled(call, module), inputs)
        if self.programs is not None:
            self.programs.append(program)
        return program(*inputs)

    def _spelled(self, call: ConcreteCall, module: GraphModule) -> GraphModule:
        """The graph; without switches of libraries if functions that stand in for operators do not take them.

        `torch.layer_norm` takes one argument more than `torch.nn.functional.layer_norm` documents.
        """
        shorter = None if isinstance(self.source, str) else without_switches(module)
        if shorter is None:
            return module

        def run(graph: GraphModule) -> Exception | None:
            copy = call.copied()
            _, inputs = single(copy, None)
            return attempt(copy, lambda _: self.compile(graph, inputs)(*inputs)).error

        return shorter if isinstance(run(module), TypeError) and run(shorter) is None else module

    def compiling_once(self) -> CompilerCandidate:
        """A candidate for one call, which is compiled when it runs first."""
        return replace(self, programs=[])

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


def without_switches(module: GraphModule) -> GraphModule | None:
    """The graph without last arguments that only choose a library and equal their defaults; None if it has none."""
    graph, places, changed = Graph(), dict[Node, Node](), False
    for node in module.graph.nodes:
        copy = places[node] = graph.node_copy(node, places.__getitem__)
        arguments = _schema_arguments(node) if node.op == "call_function" else []
        last = arguments[len(node.args) - 1] if 0 < len(node.args) <= len(arguments) else None
        if last is not None and last.name in SWITCHES and last.default_value == node.args[-1]:
            copy.args, changed = copy.args[:-1], True
    return GraphModule(module, graph) if changed else None


def _schema_arguments(node: Node) -> list[Any]:
    """The arguments that torch documents for a function with one overload."""
    packet = getattr(torch.ops.aten, str(getattr(node.target, "__name__", "")), None)
    overloads = packet.overloads() if isinstance(packet, torch._ops.OpOverloadPacket) else []
    return getattr(packet, overloads[0])._schema.arguments if len(overloads) == 1 else []


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
    # What is wrong with the first answer of a foreign compiler is found here, and no error.
    compiler = replace(look_up(candidate, {**drawing, **options}), is_foreign=False)
    return CompilerCandidate(name, place, dtype, compiler, candidate)


def _name(candidate: Any) -> str:
    return candidate if isinstance(candidate, str) else getattr(candidate, "__name__", type(candidate).__name__)
