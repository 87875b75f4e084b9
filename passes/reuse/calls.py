"""A node of a graph as a call on metas: what the evaluator and a trial are asked about.

The keys are those that a capture leaves in `Node.meta`.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.fx import Graph, Node

from passes.meta import TensorMeta
from passes.node_meta import modes_of
from passes.operators.catalogue import family_of
from passes.operators.hints import at_hints as concrete
from passes.operators.modes import Modes, current_modes
from passes.operators.outcome import Argument, Arguments, DictArg, Keywords, ListArg, SliceArg, Target, leaves

NATIVE: Final = (types.BuiltinFunctionType, types.MethodDescriptorType, torch._ops.OpOverload)


@dataclass(frozen=True, slots=True)
class GraphCall:
    """A call on metas. `tensors` are its tensor arguments, as (node, position among the node's tensors)."""

    target: Target
    args: Arguments
    kwargs: Keywords
    modes: Modes
    tensors: tuple[tuple[Node, int], ...]

    @property
    def metas(self) -> list[TensorMeta]:
        """The metas of `tensors`, in that order."""
        return [leaf for leaf in leaves((self.args, self.kwargs)) if type(leaf) is TensorMeta]


def target_of(node: Node) -> Target:
    """What a call node calls, as the evaluator names it."""
    return ("method", node.target) if node.op == "call_method" else node.target


def call_of(node: Node, value_of: Callable[[Node], Any]) -> GraphCall:
    """The call that a node makes, `value_of(argument)` telling what each node among its arguments stands for."""
    tensors: list[tuple[Node, int]] = []

    def argument(value: Any) -> Argument:
        if isinstance(value, Node):
            meant = listed(value_of(value))
            count = sum(type(leaf) is TensorMeta for leaf in leaves(meant))
            tensors.extend((value, index) for index in range(count))
            return meant
        if isinstance(value, list):
            return ListArg(map(argument, value))
        if isinstance(value, dict):
            return DictArg((key, argument(part)) for key, part in value.items())
        if isinstance(value, slice):
            return SliceArg(argument(value.start), argument(value.stop), argument(value.step))
        return tuple(map(argument, value)) if type(value) is tuple else value

    args = tuple(map(argument, node.args))
    kwargs = tuple((name, argument(part)) for name, part in node.kwargs.items())
    return GraphCall(target_of(node), args, kwargs, modes_of(node) or current_modes(), tuple(tensors))


def listed(value: Any) -> Any:
    """A list of metas as the evaluator takes one."""
    return ListArg(map(listed, value)) if isinstance(value, list) else value


def is_transparent(call: GraphCall) -> bool:
    """Whether all that the call does can be seen from outside: Python code could keep what it was given."""
    return type(call.target) in (tuple, *NATIVE) or family_of(call.target, call.args) is not None


def byte_count(meta: TensorMeta) -> int:
    """Bytes from the first to the last element, both included."""
    meta = concrete(meta)
    if 0 in meta.shape:
        return 0
    strides = meta.stride or ()
    span = 1 + sum((size - 1) * stride for size, stride in zip(meta.shape, strides, strict=False))
    return int(span if meta.stride is not None else meta.element_count) * meta.dtype.itemsize


def copy_of(graph: Graph) -> Graph:
    """The same graph, to be rewritten."""
    copied = Graph()
    copied.output(copied.graph_copy(graph, {}))  # pyright: ignore[reportArgumentType]
    return copied
