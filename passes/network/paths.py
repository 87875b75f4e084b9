"""Questions about how values flow: what must be waited for, what everything goes through, where to cut.

Networks are those of build.py; the algorithms are networkx's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import networkx

START: Final = "(start)"
END: Final = "(end)"


@dataclass(frozen=True)
class Path:
    """The calls that have to wait for each other longest, what they cost together, and what all calls cost."""

    nodes: tuple[str, ...]
    seconds: float
    total: float

    @property
    def parallelism(self) -> float:
        """How many times faster at most, if everything beside the path ran at the same time."""
        return self.total / self.seconds if self.seconds else 1.0


@dataclass(frozen=True)
class Cut:
    """The values of fewest bytes that everything from the inputs to the outputs goes through."""

    values: tuple[str, ...]
    bytes: int


def critical_path(network: networkx.DiGraph[str], seconds: Mapping[str, float]) -> Path:
    """The chain of dependent calls that takes longest, by these costs of each node."""
    import networkx

    weighted: networkx.DiGraph[str] = networkx.DiGraph()
    weighted.add_edges_from((START, name, {"weight": seconds[name]}) for name in network)
    weighted.add_edges_from((maker, user, {"weight": seconds[user]}) for maker, user in network.edges)
    longest = networkx.dag_longest_path(weighted)[1:]
    calls = tuple(name for name in longest if network.nodes[name]["kind"] == "call")
    return Path(calls, sum(seconds[name] for name in calls), sum(seconds.values()))


def dominators(network: networkx.DiGraph[str], after: bool = False) -> dict[str, str]:
    """For each call the nearest call that every way from the inputs to it goes through, "" if there is none.

    With `after`, the nearest that every way from it to the outputs goes through. Parameters and other inputs
    are taken for one start.
    """
    import networkx

    flow: networkx.DiGraph[str] = networkx.DiGraph()
    flow.add_edges_from((user, maker) if after else (maker, user) for maker, user in network.edges)
    kinds = ("output",) if after else ("input", "constant")
    flow.add_nodes_from(network)
    flow.add_edges_from(
        (START, name) for name in network if network.nodes[name]["kind"] in kinds or not flow.pred[name]
    )
    dominator_of = networkx.immediate_dominators(flow, START)
    calls = {name for name in network if network.nodes[name]["kind"] == "call"}
    return {
        name: dominator_of[name] if dominator_of.get(name) in calls else ""
        for name in network
        if name in calls and name in dominator_of
    }


def minimum_cut(
    network: networkx.DiGraph[str], sources: Iterable[str] | None = None, targets: Iterable[str] | None = None
) -> Cut:
    """The fewest bytes that separate `sources` (default: inputs) from `targets` (default: outputs).

    Raises ValueError for names that the network does not have, or when nothing leads from one to the other.
    """
    import networkx
    from networkx.algorithms.flow import boykov_kolmogorov  # ten times faster here than the default

    nodes = network.nodes
    start = [name for name in network if nodes[name]["kind"] == "input"] if sources is None else list(sources)
    ends = [name for name in network if nodes[name]["kind"] == "output"] if targets is None else list(targets)
    unknown = [name for name in (*start, *ends) if name not in network]
    if unknown:
        raise ValueError(f"the network has no {unknown[0]!r}")
    flow: networkx.DiGraph[str] = networkx.DiGraph()
    for name in network:
        flow.add_edge(f"{name} in", f"{name} out", capacity=nodes[name]["bytes"] or NOTHING)
    flow.add_edges_from((f"{maker} out", f"{user} in") for maker, user in network.edges)
    flow.add_edges_from((START, f"{name} in") for name in start)
    flow.add_edges_from((f"{name} in", END) for name in ends)
    if not networkx.has_path(flow, START, END):
        raise ValueError("nothing leads from the sources to the targets")
    _, (before, _) = networkx.minimum_cut(flow, START, END, flow_func=boykov_kolmogorov)
    cut = tuple(name for name in network if f"{name} in" in before and f"{name} out" not in before)
    return Cut(cut, sum(nodes[name]["bytes"] for name in cut))


NOTHING: Final = 1
"""Capacity of a value without bytes (a tuple of tensors): cheaper than any tensor, but not free."""
