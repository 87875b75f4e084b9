"""The longest block of calls that repeats one after the other: the layers of a model, found in its graph.

Calls are compared by operator, constants and metas; then the data flow within the blocks must be the same.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from torch.fx import Graph, Node

from passes.network.build import metas_of
from passes.rewrite.forms import form_of, slots_of


@dataclass(frozen=True)
class Blocks:
    """A block of `length` calls, and the names of the calls of each of its occurrences."""

    length: int
    occurrences: tuple[tuple[str, ...], ...]

    @property
    def count(self) -> int:
        """How often the block occurs."""
        return len(self.occurrences)


def repeated_block(graph: Graph) -> Blocks | None:
    """The repetition that covers most calls, with the shortest block that makes it; None if nothing repeats."""
    calls = [node for node in graph.nodes if node.op.startswith("call_")]
    labels = _labels(calls)
    best: tuple[int, int, int] = (0, 0, 0)  # calls covered, minus the length of a block, first call
    for length in range(1, len(calls) // 2 + 1):
        if len(calls) <= best[0]:
            break
        for start, run in _runs(labels, length):
            covered = (run // length + 1) * length
            best = max(best, (covered, -length, start))
    covered, length, start = best[0], -best[1], best[2]
    if not covered:
        return None
    blocks = [calls[first : first + length] for first in range(start, start + covered, length)]
    flow = _flow(blocks[0])
    same = next((index for index, block in enumerate(blocks) if _flow(block) != flow), len(blocks))
    if same < 2:
        return None
    return Blocks(length, tuple(tuple(node.name for node in block) for block in blocks[:same]))


def _labels(calls: list[Node]) -> list[int]:
    """Equal numbers for calls that are alike, their arguments apart."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(_likeness(node), len(numbers)) for node in calls]


def _likeness(node: Node) -> Hashable:
    form = form_of(node, exact=True)
    assert form is not None
    arguments: list[Any] = [
        (slot, tuple(metas_of(value)) if isinstance(value, Node) else repr(value))
        for slot, value in slots_of(form.arguments)
    ]
    return form.operator, tuple(arguments), tuple(metas_of(node))


def _runs(labels: list[int], length: int) -> list[tuple[int, int]]:
    """Where calls are like those `length` further on, for at least as long: (first call, how many)."""
    runs, run = [], 0
    for position in range(len(labels) - length):
        if labels[position] == labels[position + length]:
            run += 1
            continue
        if run >= length:
            runs.append((position - run, run))
        run = 0
    if run >= length:
        runs.append((len(labels) - length - run, run))
    return runs


def _flow(block: list[Node]) -> list[list[tuple[str, int]]]:
    """Which calls of a block use which others, and as which argument."""
    position = {node: index for index, node in enumerate(block)}
    forms = [form for node in block if (form := form_of(node, exact=True))]
    return [[(slot, position[used]) for slot, used in form.slots if used in position] for form in forms]
