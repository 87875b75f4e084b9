"""flex_attention: attention whose scores and mask are computed by functions, each a graph of its own."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from passes.meta import TensorMeta
from tracer.graph.subgraph import SubGraphBuilder
from tracer.interpret.library.torch.control_flow import OPERATORS
from tracer.interpret.policy import lookaside, named_lookaside
from tracer.interpret.subtrace import SubTrace, add_body, close, operand_key, operands_of, parameter, sub_trace, tried
from tracer.interpret.tensor_ops import Lowering, unfold
from tracer.interpret.trace import Trace
from tracer.reasons import HIGHER_ORDER
from tracer.values.base import realise
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.protocols.iteration import unpack
from tracer.values.tensors import TensorValue
from tracer.values.tuples import make_tuple

POSITIONS = ("batch", "head", "query_index", "key_index")


@named_lookaside("torch._dynamo.decorators", "mark_static")
def _mark_static(trace: Trace, tensor: Item, index: Item = None) -> None:
    return None


@lookaside(OPERATORS.flex_attention)
def _flex_attention(
    trace: Trace,
    query: Item,
    key: Item,
    value: Item,
    score_mod: Item,
    block_mask: Item,
    scale: Item,
    kernel_options: Item,
    *buffers: Item,
) -> Item:
    if not isinstance(query, TensorValue) or buffers or not isinstance(kernel_options, DictValue):
        trace.stop(HIGHER_ORDER, "flex_attention with other arguments than its own front end passes")
    *blocks, mask_mod = unpack(trace, block_mask)
    mask_mod = realise(trace, mask_mod) or import_module("torch.nn.attention.flex_attention").noop_mask
    query.touch(trace)
    graded = query.meta.requires_grad
    score = TensorMeta((), (), query.meta.dtype, device=query.meta.device, requires_grad=graded, is_leaf=not graded)
    scores = _modification(trace, score_mod, [("score", score)])
    mask = _modification(trace, mask_mod, [])
    lowering = Lowering(trace)
    plain = (query, key, value, make_tuple(blocks), scale, kernel_options)
    nodes, keys = zip(*(lowering.lower(realise(trace, item)) for item in plain), strict=True)
    others = [operands_of(scores), operands_of(mask)]
    bodies = [add_body(trace, "score_mod", scores, others[0]), add_body(trace, "mask_mod", mask, others[1])]
    modules = [trace.graph.attributes[body.name] for body in bodies]
    lifted = [(part.builder.values[node], node) for part in (scores, mask) for node in part.builder.lifted]
    count = len(others[0])

    def run(query: Any, key: Any, value: Any, blocks: Any, scale: Any, options: Any, *buffers: Any) -> Any:
        masks = (*blocks, modules[1])
        rest = buffers[:count], buffers[count:]
        return OPERATORS.flex_attention(query, key, value, modules[0], masks, scale, options, *rest)

    outcome = tried(trace, run, [*keys, *(operand_key(*pair) for pair in lifted)])
    tensors = [*lowering.tensors, *(tensor for tensor, _ in lifted if tensor is not None)]
    args = (*nodes[:3], bodies[0], (*nodes[3], bodies[1]), *nodes[4:], tuple(others[0]), tuple(others[1]))
    metas = outcome.metas([tensor.meta for tensor in tensors])
    node = trace.graph.call(OPERATORS.flex_attention, args, None, metas, trace.location)
    return unfold(trace, outcome.result, node, tensors)


def _modification(trace: Trace, function: Item, first: list[tuple[str, TensorMeta]]) -> SubTrace:
    """A function of a position (and, before that, of what stands there) as a graph."""
    builder = SubGraphBuilder(trace.graph)
    builder.is_vectorised = True
    index = TensorMeta((), (), torch.int32)
    scalars = [parameter(builder, name, meta) for name, meta in (*first, *((name, index) for name in POSITIONS))]
    traced = sub_trace(trace, builder, function, scalars)
    if not isinstance(traced.result, TensorValue):
        trace.stop(HIGHER_ORDER, "a function of flex_attention returns something besides a tensor")
    close(trace, traced, traced.result)
    return traced
