"""The size of a jagged tensor along its ragged dimension: a number known by the identity of the offsets alone.

It may be handed to operators, and returned; what is computed with it breaks.
"""

from __future__ import annotations

from typing import Any

import torch

from tracer.values.base import Value
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.kinds import BORN, Kind, no_constant, no_parts, register
from tracer.values.rebuilding import Emitter, Fragment


class RaggedSize(Value):
    """Such a size, which `node` gives; `stand_in` is that of the stand-in."""

    __slots__ = ("node", "stand_in")

    def __init__(self, node: torch.fx.Node, stand_in: torch.SymInt) -> None:
        super().__init__(torch.SymInt)
        self.node = node
        self.stand_in = stand_in


def _graph_argument(arguments: GraphArguments, value: RaggedSize) -> GraphArgument:
    return arguments.wrapper(value)


def _rebuild(emitter: Emitter, value: Any) -> Fragment:
    return emitter.output(value)


register(Kind(BORN, no_parts, no_constant, _graph_argument, _rebuild), RaggedSize)
