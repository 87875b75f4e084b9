"""Fills in what torch's own tools expect in the meta of nodes, when another backend asks for the graph.

Knows nothing of how a graph is built.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph
from torch.fx.passes.shape_prop import TensorMetadata

from passes.meta import TensorMeta
from passes.node_meta import EXAMPLE_VALUE, FAKE_VALUE, SHAPE_PROP, STACK_TRACE, line_of, origin, result_meta
from passes.operators.outcome import leaves, rebuilt
from passes.operators.stand_ins import FakeStandIns


def fill_stack_traces(graph: Graph) -> None:
    """Give every node the `stack_trace` that torch's tools show."""
    texts: dict[int, str | None] = {}
    for node in graph.nodes:
        line = line_of(node)
        if line is not None:
            if id(line) not in texts:
                texts[id(line)] = origin(node)
            node.meta[STACK_TRACE] = texts[id(line)]


def fill_torch_metas(graph: Graph, shape_env: Any = None) -> None:
    """Give every node `val` and `example_value` (fake tensors of one mode) and ShapeProp's `tensor_meta`.

    For backends that read them. Costs some ten microseconds a node, and torch's fake tensors need sympy. Nodes that
    stand for sparse tensors get none.
    """
    stand_ins = FakeStandIns(shape_env)
    for node in graph.nodes:
        meta = result_meta(node)
        if meta is not None and all(leaf.stride is not None for leaf in leaves(meta) if type(leaf) is TensorMeta):
            node.meta[FAKE_VALUE] = node.meta[EXAMPLE_VALUE] = rebuilt(meta, TensorMeta, stand_ins.make)
            node.meta[SHAPE_PROP] = rebuilt(meta, TensorMeta, _shape_prop_meta)


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
