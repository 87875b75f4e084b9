"""Views, copies and casts that lead back to where they came from, and chains of them that are one.

A view is what its shape, strides and offset say. So a chain of views that ends with those of a tensor it
passed is that tensor, whichever operators it is made of.
"""

from __future__ import annotations

import math
import operator
from typing import Any, Final

import torch
from torch.fx import Node

from passes.meta import TensorMeta
from passes.node_meta import META, is_write, result_meta
from passes.reuse.memory import Place
from passes.rewrite.draft import VIEWS, Draft
from passes.rewrite.forms import Form, form_of
from passes.rewrite.pipeline import GraphPass

SAME_ORDER: Final = frozenset(
    ["view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "contiguous", "view_as", "reshape_as", "ravel"]
)
"""Operators that keep the elements in their order: a reshape behind one may be made before it."""

LOSSLESS: Final[dict[torch.dtype, tuple[torch.dtype, ...]]] = {
    torch.bfloat16: (torch.float32, torch.float64),
    torch.float16: (torch.float32, torch.float64),
    torch.float32: (torch.float64,),
    torch.uint8: (torch.int16, torch.int32, torch.int64),
    torch.int8: (torch.int16, torch.int32, torch.int64),
    torch.int16: (torch.int32, torch.int64),
    torch.int32: (torch.int64,),
    torch.bool: (torch.uint8, torch.int32, torch.int64, torch.float32, torch.float64),
}
"""To which dtypes, and back, all values survive."""

NEUTRAL: Final[dict[str, float]] = {"mul": 1, "div": 1, "pow": 1, "sub": 0}
"""Operators that do nothing with this number. Adding 0 makes 0.0 of -0.0, so it counts for integers only."""


def redundant(draft: Draft) -> None:
    """Replace what leads back by where it came from, and two steps by one."""
    for node in list(draft.graph.nodes):
        form = form_of(node, exact=True) if isinstance(result_meta(node), TensorMeta) else None
        if form is None or is_write(node) or not node.users:
            continue
        origin = _origin(draft, node, form)
        if origin is not None:
            _take(draft, node, [node], origin)
        elif form.operator in ("view", "reshape"):
            _join_reshapes(draft, node)


def _origin(draft: Draft, node: Node, form: Form) -> Node | None:
    """The tensor that a node is equal to, element by element and in layout; None if there is none."""
    meta, source = node.meta[META], form.arguments.get("self")
    if _is_neutral(form, meta):
        return source
    if form.operator == "to" and isinstance(source, Node):
        before = form_of(source, exact=True)
        start: Any = None if before is None or before.operator != "to" else before.arguments.get("self")
        if isinstance(start, Node) and not is_write(source):
            wide, same = draft.meta(source), draft.meta(start)
            lossless = wide is not None and wide.dtype in LOSSLESS.get(meta.dtype, ())
            return start if lossless and same is not None and _same_tensor(same, meta) else None
    while _is_view(draft, node):
        viewed = node.all_input_nodes[0]
        place, other = draft.memory.places.get(node), draft.memory.places.get(viewed)
        if not (isinstance(place, Place) and isinstance(other, Place) and place.storage == other.storage):
            return None
        if _same_tensor(other.meta, meta) and isinstance(result_meta(viewed), TensorMeta):
            return viewed
        node = viewed
    return None


def _is_view(draft: Draft, node: Node) -> bool:
    """Whether a call may be a view of its one tensor: slices are, which have no name of their own among indices."""
    if is_write(node) or len(node.all_input_nodes) != 1:
        return False
    return draft.family(node) is VIEWS or node.target is operator.getitem


def _is_neutral(form: Form, meta: TensorMeta) -> bool:
    """Whether an arithmetic operator gives what it is given."""
    number = form.arguments.get("exponent" if form.operator == "pow" else "other")
    neutral = 0 if form.operator == "add" and not meta.dtype.is_floating_point else NEUTRAL.get(form.operator)
    source: Any = form.arguments.get("self")
    if neutral is None or isinstance(number, bool | Node) or not isinstance(number, int | float):
        return False
    if number != neutral or math.copysign(1, number) < 0:  # subtracting -0.0 makes 0.0 of -0.0
        return False
    source_meta = result_meta(source) if isinstance(source, Node) else None
    return (
        isinstance(source_meta, TensorMeta)
        and _same_tensor(source_meta, meta)
        and form.arguments.get("rounding_mode") is None
    )


def _same_tensor(one: TensorMeta, other: TensorMeta) -> bool:
    facts = ("shape", "stride", "storage_offset", "dtype", "device", "is_conj", "is_neg", "requires_grad")
    return all(getattr(one, fact) == getattr(other, fact) for fact in facts)


def _join_reshapes(draft: Draft, node: Node) -> None:
    """Reshape what an operator was given that kept the order, instead of what it gave."""
    inner = node.all_input_nodes[0]
    form = form_of(inner)
    source: Any = None if form is None or form.operator not in SAME_ORDER else form.arguments.get("self")
    meta = node.meta[META]
    if isinstance(source, Node) and len(inner.users) == 1 and not meta.symbolic and draft.meta(source) is not None:
        if is_write(inner) or draft.hazard([inner, node], [node], [source]):
            return
        shape = tuple(meta.shape)
        draft.replace(
            REDUNDANT.name,
            [inner, node],
            [node],
            lambda: [draft.call(("method", "reshape"), (source, shape), {}, node)],
        )


def _take(draft: Draft, node: Node, nodes: list[Node], origin: Node) -> None:
    """Use `origin` in the place of a node, unless memory it would then read has been written to meanwhile."""
    if draft.storages([node, origin]) & draft.written:
        return
    above = node.all_input_nodes[0]
    if draft.replace(REDUNDANT.name, nodes, [node], lambda: [origin]) and not above.users and above is not origin:
        draft.erase([above] if draft.family(above) is VIEWS else [])


REDUNDANT: Final = GraphPass("redundant views and casts", redundant)
