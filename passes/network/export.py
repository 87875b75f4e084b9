"""Networks as files: GraphML for other tools, DOT for Graphviz, and SVG drawn here, without a program to lay it out.

The drawing is layered: a call stands below all that it uses, in an order that keeps lines short
(barycentres, as in Sugiyama's method). Parameters are left out unless asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import networkx

WIDTH: Final = 150
HEIGHT: Final = 34
GAP: Final = 16
SPACING: Final = 56
SWEEPS: Final = 8
FILLS: Final = {"input": "#dbe9f6", "constant": "#ece5f5", "output": "#e3f1e0", "call": "#ffffff"}
HEADER: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
    'font-family="monospace" font-size="10">'
)


def to_graphml(network: networkx.DiGraph[str]) -> str:
    """The network with all attributes, in GraphML."""
    import networkx

    return "\n".join(networkx.generate_graphml(network)) + "\n"


def to_dot(network: networkx.DiGraph[str]) -> str:
    """The network in Graphviz's language."""
    lines = ["digraph network {", "    node [shape=box, fontname=monospace, style=filled];"]
    for name, facts in network.nodes(data=True):
        label = "\\n".join(_quoted(part) for part in (facts["operator"], name, facts["meta"]) if part)
        lines.append(f'    "{_quoted(name)}" [label="{label}", fillcolor="{FILLS[facts["kind"]]}"];')
    lines += [f'    "{_quoted(maker)}" -> "{_quoted(user)}";' for maker, user in network.edges]
    return "\n".join([*lines, "}"]) + "\n"


def to_svg(network: networkx.DiGraph[str], seconds: Mapping[str, float] | None = None, parameters: bool = False) -> str:
    """A drawing of the network, calls shaded by what they cost if `seconds` tells.

    Each box has the operator and the meta; the user's line, the name and the cost show under the pointer.
    """
    shown = network.subgraph([name for name in network if parameters or not _is_parameter(network, name)])
    layers = _layers(shown)
    widest = max(map(len, layers), default=1)
    width = widest * (WIDTH + GAP) + GAP
    places: dict[str, tuple[float, float]] = {}
    for depth, layer in enumerate(layers):
        left = (width - len(layer) * (WIDTH + GAP) + GAP) / 2
        for column, name in enumerate(layer):
            places[name] = (left + column * (WIDTH + GAP), GAP + depth * (HEIGHT + SPACING))
    lines = [HEADER.format(width=width, height=len(layers) * (HEIGHT + SPACING) + GAP)]
    lines += [_edge(places[maker], places[user]) for maker, user in shown.edges]
    most = max((seconds or {}).values(), default=0.0) or 1.0
    for name, place in places.items():
        cost = None if seconds is None else seconds[name]
        lines.append(_box(name, dict(shown.nodes[name]), place, cost, 0.0 if cost is None else cost / most))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _is_parameter(network: networkx.DiGraph[str], name: str) -> bool:
    """Whether a node is a source that some call uses together with values computed before: a weight, a constant."""
    if network.nodes[name]["kind"] not in ("input", "constant"):
        return False
    users = list(network.successors(name))
    return bool(users) and all(
        any(network.nodes[other]["kind"] == "call" for other in network.predecessors(user)) for user in users
    )


def _layers(network: networkx.DiGraph[str]) -> list[list[str]]:
    """The names by depth, each layer in an order that keeps lines short."""
    import networkx

    layers = [list(layer) for layer in networkx.topological_generations(network)]
    depth = {name: number for number, layer in enumerate(layers) for name in layer}
    for name in [name for layer in layers[:1] for name in layer]:  # sources move down to their first user
        users = [depth[user] for user in network.successors(name)]
        if users and min(users) > 1:
            layers[0].remove(name)
            layers[min(users) - 1].append(name)
    for sweep in range(SWEEPS):
        position = {name: index / max(len(layer), 1) for layer in layers for index, name in enumerate(layer)}
        neighbours = network.predecessors if sweep % 2 == 0 else network.successors
        for layer in layers:
            centres = {name: [position[other] for other in neighbours(name)] or [position[name]] for name in layer}
            layer.sort(key=lambda name, centres=centres: sum(centres[name]) / len(centres[name]))
    return [layer for layer in layers if layer]


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x, y = start[0] + WIDTH / 2, start[1] + HEIGHT
    to_x, to_y = end[0] + WIDTH / 2, end[1]
    bend = max((to_y - y) / 2, SPACING / 2)
    path = f"M{x:.0f},{y:.0f} C{x:.0f},{y + bend:.0f} {to_x:.0f},{to_y - bend:.0f} {to_x:.0f},{to_y:.0f}"
    return f'<path d="{path}" fill="none" stroke="#8a8a8a"/>'


def _box(name: str, facts: dict[str, str], place: tuple[float, float], cost: float | None, share: float) -> str:
    x, y = place
    fill = FILLS[facts["kind"]] if share == 0 else f"rgb(255,{255 - int(150 * share)},{255 - int(190 * share)})"
    hint = [name, facts["meta"], facts["line"], "" if cost is None else f"{cost * 1e6:.1f} µs"]
    middle = x + WIDTH / 2
    title = facts["operator"] if facts["kind"] == "call" else name
    return (
        f"<g><title>{escape(chr(10).join(part for part in hint if part))}</title>"
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="4" fill="{fill}" stroke="#444"/>'
        f'<text x="{middle:.0f}" y="{y + 14:.0f}" text-anchor="middle" font-weight="bold">'
        f"{escape(_short(title))}</text>"
        f'<text x="{middle:.0f}" y="{y + 27:.0f}" text-anchor="middle">{escape(_short(facts["meta"]))}</text></g>'
    )


def _short(text: str, longest: int = 23) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
