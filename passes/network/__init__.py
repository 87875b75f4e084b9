"""A graph as a network: what depends on what, what it costs, what repeats, and pictures of it.

    build.py       a torch.fx graph as a networkx.DiGraph
    cost.py        what each call costs: counted from metas, or measured
    paths.py       critical path, dominators, minimum cuts
    liveness.py    how long each value's memory is needed, and how much there is at once
    blocks.py      the longest block of calls that repeats: layers
    export.py      GraphML, DOT and SVG

Nodes of networks are the names of the graph's nodes. Knows nothing of how a graph was captured.
"""

from passes.network.blocks import Blocks, repeated_block
from passes.network.build import network_of
from passes.network.cost import CostModel, counted, measured
from passes.network.export import to_dot, to_graphml, to_svg
from passes.network.liveness import Lifetime, Peak, lifetimes, peak_memory
from passes.network.paths import Cut, Path, critical_path, dominators, minimum_cut

__all__ = [
    "Blocks",
    "CostModel",
    "Cut",
    "Lifetime",
    "Path",
    "Peak",
    "counted",
    "critical_path",
    "dominators",
    "lifetimes",
    "measured",
    "minimum_cut",
    "network_of",
    "peak_memory",
    "repeated_block",
    "to_dot",
    "to_graphml",
    "to_svg",
]
