"""Graphs that enter inference mode, for compilers: a compiler traces what is computed, not under which mode.

What AOTAutograd makes of such a graph returns no inference tensors, and it cannot trace views that are made of other
tensors in that mode. So a graph that computes in one mode throughout is compiled, and run, inside of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.fx import Graph, GraphModule, Node

from passes.meta import TensorMeta
from passes.node_meta import modes_of, prediction_of, result_meta
from passes.operators.modes import enter_inference, leave_inference
from passes.operators.outcome import New

if TYPE_CHECKING:
    from backends.handover import Compiler

SETTERS: Final = (enter_inference, leave_inference)
"""Calls of a graph that enter and leave inference mode, or a stretch without it."""


def keeping_inference(compile: Compiler) -> Compiler:
    """`compile`, for a program that computes in the mode in which all calls of the graph are."""

    def compile_inside(module: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        setters = [node for node in module.graph.nodes if node.target in SETTERS]
        inside = _modes_inside(module.graph)
        if not setters or len(inside) > 1:
            return compile(module, inputs)
        for node in setters:
            module.graph.erase_node(node)
        module.recompile()
        is_inference = inside.pop() if inside else torch.is_inference_mode_enabled()
        with torch.inference_mode(is_inference):
            compiled = compile(module, inputs)

        def program(*inputs: Any) -> Any:
            with torch.inference_mode(is_inference):
                return compiled(*inputs)

        return program

    return compile_inside


def loses_inference(graph: Graph) -> bool:
    """Whether a compiler would lose which tensors are inference tensors, or cannot trace the graph: it computes inside
    and outside of that mode, and tensors show where they were made.
    """
    if not any(node.target in SETTERS for node in graph.nodes) or len(_modes_inside(graph)) < 2:
        return False
    outputs: Any = graph.output_node().args[0]
    metas = [result_meta(node) for node in outputs]
    if any(isinstance(meta, TensorMeta) and meta.is_inference for meta in metas):
        return True
    return any(not meta.is_inference for meta in _made_in_inference(graph))


def _modes_inside(graph: Graph) -> set[bool]:
    """Whether calls of a graph are in inference mode: as was noted when they were captured, or else by what the graph
    has entered, which parts of captured graphs and graphs by hand do too.
    """
    inside, modes = set[bool](), [torch.is_inference_mode_enabled()]
    for node in graph.nodes:
        if node.target is enter_inference:
            modes.append(bool(node.args[0]))
        elif node.target is leave_inference:
            modes.pop()
        elif node.op.startswith("call_"):
            noted = modes_of(node)
            inside.add(modes[-1] if noted is None else noted.inference)
    return inside


def _made_in_inference(graph: Graph) -> Iterator[TensorMeta]:
    """The tensors that the calls in inference mode make; views of tensors from outside of it are none of its own."""
    calls = (prediction_of(node) for node in graph.nodes if isinstance(node, Node))
    for call in calls:
        if call is not None and call.modes.inference:
            yield from (leaf.meta for leaf in call.outcome.tensors if isinstance(leaf, New))
