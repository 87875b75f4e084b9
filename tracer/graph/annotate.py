"""What a node's meta holds: ours from the start, torch's own entries when another backend asks for the graph.

Knows nothing of how a graph is built.
"""

from __future__ import annotations

import linecache
from typing import Any, Final, Protocol

import torch
from torch.fx import Graph, Node
from torch.fx.passes.shape_prop import TensorMetadata

from passes.meta import TensorMeta
from passes.operators.outcome import rebuilt
from passes.operators.stand_ins import FakeStandIns

META: Final = "tensor_meta_bg"  # what the node stands for: a TensorMeta, or a structure with TensorMetas in it
LINE: Final = "line"  # the user's line that made the node
SOURCE: Final = "source"  # of a placeholder: the text of its access path
WRITES: Final = "writes"  # the call changes something, so it stays even when nobody uses its result
MODES: Final = "modes"  # the Modes that the call runs under
PREDICTION: Final = "prediction"  # a passes.operators.verify.Prediction: what was said of the call


class Line(Protocol):
    """A line of the user's program."""

    @property
    def file(self) -> str: ...

    @property
    def line(self) -> int: ...

    @property
    def function(self) -> str: ...


def origin(node: Node) -> str | None:
    """The user's line that made the node, the way a traceback shows it; None when it has none."""
    line: Line | None = node.meta.get(LINE)
    if line is None:
        return node.meta.get("stack_trace")
    text = linecache.getline(line.file, line.line).strip()
    return f'  File "{line.file}", line {line.line}, in {line.function}\n    {text}'


def fill_stack_traces(graph: Graph) -> None:
    """Give every node the `stack_trace` that torch's tools show."""
    known: dict[int, str | None] = {}
    for node in graph.nodes:
        line = node.meta.get(LINE)
        if line is not None:
            if id(line) not in known:
                known[id(line)] = origin(node)
            node.meta["stack_trace"] = known[id(line)]


def fill_torch_metas(graph: Graph, shape_env: Any = None) -> None:
    """Give every node `val` and `example_value` (fake tensors of one mode) and ShapeProp's `tensor_meta`.

    For backends that read them. Costs some ten microseconds a node, and torch's fake tensors need sympy.
    """
    stand_ins = FakeStandIns(shape_env)
    for node in graph.nodes:
        found = node.meta.get(META)
        if found is not None:
            node.meta["val"] = node.meta["example_value"] = rebuilt(found, TensorMeta, stand_ins.make)
            node.meta["tensor_meta"] = rebuilt(found, TensorMeta, _shape_prop_meta)


def _shape_prop_meta(meta: TensorMeta) -> TensorMetadata:
    return TensorMetadata(
        shape=torch.Size(meta.shape),  # type: ignore[arg-type]
        dtype=meta.dtype,
        requires_grad=meta.requires_grad,
        stride=meta.stride or (),  # type: ignore[arg-type]
        memory_format=None,
        is_quantized=False,
        qparams={},
    )
