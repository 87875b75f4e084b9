"""How long the memory of each value is needed, and how much there is at once. Values that share memory count once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from torch.fx import Graph

from passes.operators.evaluate import Evaluator
from passes.reuse.memory import Memory


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Memory from the call that makes it to the last that uses it, by positions in the graph."""

    maker: str
    bytes: int
    born: int
    last: int
    values: tuple[str, ...]
    given: bool


@dataclass(frozen=True, slots=True)
class Peak:
    """The most bytes at once, at which node, and the memory that is alive then, the largest first."""

    bytes: int
    at: str
    alive: tuple[Lifetime, ...]


def lifetimes(graph: Graph, evaluator: Evaluator) -> list[Lifetime]:
    """The lifetimes of all memory of a graph. What is given or returned lives to the end."""
    memory, end = Memory(graph, evaluator), len(graph.nodes) - 1
    return [
        Lifetime(
            storage.maker.name,
            storage.bytes,
            0 if storage.given else storage.born,
            end if storage.escapes or storage.given else storage.last,
            tuple(node.name for node in storage.values),
            storage.given,
        )
        for storage in memory.storages
    ]


def peak_memory(graph: Graph, evaluator: Evaluator, inputs: bool = False) -> Peak:
    """The peak of a graph that frees memory after its last use; `inputs` are counted only when asked for."""
    counted = [lifetime for lifetime in lifetimes(graph, evaluator) if inputs or not lifetime.given]
    names = [node.name for node in graph.nodes]
    levels = bytes_alive(counted, len(names))
    highest = max(levels)
    position = levels.index(highest)
    alive = [lifetime for lifetime in counted if lifetime.born <= position <= lifetime.last]
    return Peak(highest, names[position], tuple(sorted(alive, key=lambda lifetime: -lifetime.bytes)))


def bytes_alive(counted: Iterable[Lifetime], nodes: int) -> list[int]:
    """The bytes of these lifetimes at each of the `nodes` of their graph."""
    changes = [0] * (nodes + 1)
    for lifetime in counted:
        changes[lifetime.born] += lifetime.bytes
        changes[lifetime.last + 1] -= lifetime.bytes
    return list(accumulate(changes[:-1]))
