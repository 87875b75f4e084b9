"""Linear layers of one input as one: their weights behind each other, the result cut into parts.

Putting weights together copies them, at every call unless frozen.py makes it once; so these belong together.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any, Final

import torch
from torch.fx import Node

from passes.node_meta import META, MODES
from passes.rewrite.draft import Draft
from passes.rewrite.forms import Form, form_of
from passes.rewrite.pipeline import GraphPass

LINEAR: Final[Any] = torch._C._nn.linear  # type: ignore[attr-defined]


def merge_linears(draft: Draft) -> None:
    """Merge linear layers that are given the same tensor and whose results nobody writes to or is returned."""
    groups: dict[Any, list[tuple[Node, Form]]] = {}
    for node in draft.graph.nodes:
        form = form_of(node)
        if form is not None and form.operator == "linear" and draft.meta(node) is not None and MODES in node.meta:
            weight: Any = form.arguments["weight"]
            plain = isinstance(weight, Node) and weight.op == "placeholder"
            rank = draft.meta(weight)
            if plain and rank is not None and rank.rank == 2 and not rank.symbolic:
                biased = isinstance(form.arguments["bias"], Node)
                groups.setdefault((form.arguments["input"], biased, node.meta[MODES], rank.dtype), []).append(
                    (node, form)
                )
    for (source, biased, _, _), members in groups.items():
        if len(members) > 1:
            _merge(draft, source, biased, [node for node, _ in members], [form for _, form in members])


def _merge(draft: Draft, source: Node, biased: bool, nodes: list[Node], forms: list[Form]) -> None:
    first, last = nodes[0], nodes[-1]
    weights: list[Any] = [form.arguments["weight"] for form in forms]
    biases: list[Any] = [form.arguments["bias"] for form in forms] if biased else []
    results = draft.storages(nodes)
    if any(bias.op != "placeholder" for bias in biases) or len(set(weights)) < len(weights):
        return None
    if results & draft.written or any(map(draft.escapes, results)):
        return draft.refuse(MERGED_LINEARS.name, first, "a result is written to or returned")
    read = draft.storages([source, *weights, *biases])
    for write in draft.writes:
        if first < write.node < last and (write.storages is None or write.storages & read):
            return draft.refuse(MERGED_LINEARS.name, first, f"{write.node.name} writes to what they read")
    for earlier, node in pairwise(nodes):
        earlier.append(node)
    widths = [weight.meta[META].shape[0] for weight in weights]

    def build() -> list[Node]:
        weight = draft.call(torch.cat, (weights,), {"dim": 0}, first)
        bias = draft.call(torch.cat, (biases,), {"dim": 0}, first) if biased else None
        whole = draft.call(LINEAR, (source, weight, bias), {}, first)
        starts = accumulate(widths, initial=0)
        return [
            draft.call(("method", "narrow"), (whole, -1, start, width), {}, node)
            for node, start, width in zip(nodes, starts, widths, strict=False)
        ]

    draft.replace(MERGED_LINEARS.name, nodes, nodes, build)
    return None


MERGED_LINEARS: Final = GraphPass("linears of one input", merge_linears)
