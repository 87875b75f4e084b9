"""Builds graphs for tests of graph/ and backends/: programs are written with nodes, metas come from the Evaluator."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

from passes.meta import TensorMeta, meta_of
from passes.node_meta import META
from passes.operators.evaluate import Evaluator
from passes.operators.modes import Modes, current_modes
from passes.operators.outcome import DictArg, ListArg, SliceArg, leaves
from tracer.graph.builder import GraphBuilder

EVALUATOR = Evaluator()


@dataclass(frozen=True)
class UserLine:
    file: str = __file__
    line: int = 1
    function: str = "program"

    @property
    def text(self) -> str:
        return f"graphs.py:{self.line}"


class Sketch:
    """A GraphBuilder with a shorter way to call: metas are evaluated from the arguments' nodes."""

    def __init__(self, **inputs: torch.Tensor | TensorMeta) -> None:
        self.builder = GraphBuilder()
        self.modes: Modes = current_modes()
        self.line = UserLine()
        self.inputs = [self.input(name, value) for name, value in inputs.items()]

    def input(self, name: str, value: torch.Tensor | TensorMeta) -> Node:
        meta = value if isinstance(value, TensorMeta) else meta_of(value)
        return self.builder.placeholder(name, meta, name)

    def call(self, target: Any, *args: Any, **kwargs: Any) -> Node:
        keys = tuple(map(encode, args))
        keywords = tuple((name, encode(value)) for name, value in kwargs.items())
        outcome = EVALUATOR.evaluate(target, keys, keywords, self.modes)
        metas = outcome.metas([leaf for leaf in leaves((keys, keywords)) if isinstance(leaf, TensorMeta)])
        return self.builder.call(target, args, kwargs, metas, self.line, bool(outcome.mutated), self.modes)

    def part(self, node: Node, index: int) -> Node:
        """One part of a call that returns several."""
        return self.builder.call(
            operator.getitem, (node, index), None, node.meta[META][index], self.line, False, self.modes
        )


def encode(argument: Any) -> Any:
    if isinstance(argument, Node):
        return argument.meta[META]
    if isinstance(argument, list):
        return ListArg(map(encode, argument))
    if isinstance(argument, dict):
        return DictArg((key, encode(value)) for key, value in argument.items())
    if isinstance(argument, slice):
        return SliceArg(encode(argument.start), encode(argument.stop), encode(argument.step))
    return tuple(map(encode, argument)) if type(argument) is tuple else argument
