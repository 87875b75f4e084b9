"""Bisection: the first operator of a graph that a compiler gets wrong, and the fewest operators that show it.

The compiler's result for a prefix of the graph is examined, halving the remaining range each time. Then operators are
removed from the front, and from the middle, as long as what is left still goes wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.fx import GraphModule, Node

from backends.crosscheck.calls import REFUSALS, ConcreteCall
from backends.crosscheck.walk import calls_of, part, undisturbed
from passes.operators.modes import sets_modes

Wrong = Callable[[ConcreteCall, Tensor], bool]


def first_wrong(module: GraphModule, inputs: Sequence[Any], wrong: Wrong) -> int | None:
    """The number of calls in the shortest prefix that goes wrong, found by halving; None if no prefix does."""
    nodes = calls_of(module.graph)
    if not _goes_wrong(module, inputs, nodes, wrong):
        return None
    right, last_wrong = 0, len(nodes)
    while last_wrong - right > 1:
        middle = (right + last_wrong) // 2
        if _goes_wrong(module, inputs, nodes[:middle], wrong):
            last_wrong = middle
        else:
            right = middle
    return last_wrong


def fewest(module: GraphModule, inputs: Sequence[Any], end: int, wrong: Wrong, seconds: float) -> list[Node]:
    """A small subset of the first `end` calls, the last one included, that goes wrong. Searches for that many
    `seconds`. Calls that set modes are in every part, and so not in the subset.
    """
    nodes = [node for node in calls_of(module.graph)[:end] if not sets_modes(node.target)]
    chosen = nodes
    size, deadline = 1, time.monotonic() + seconds
    while size < len(nodes) and time.monotonic() < deadline:
        if _goes_wrong(module, inputs, nodes[-size:], wrong):
            chosen = nodes[-size:]
            break
        size *= 2
    for node in chosen[:-1]:
        if time.monotonic() > deadline:
            break
        without = [other for other in chosen if other is not node]
        if _goes_wrong(module, inputs, without, wrong):
            chosen = without
    return chosen


def _goes_wrong(module: GraphModule, inputs: Sequence[Any], nodes: Sequence[Node], wrong: Wrong) -> bool:
    try:
        with undisturbed():
            call, seed = part(module, inputs, nodes)
        return bool(call.tensors) and wrong(call, seed)
    except REFUSALS:
        return False
