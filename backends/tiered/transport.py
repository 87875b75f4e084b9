"""Graphs as JSON, for another process to compile: nodes by name, operators by their dotted names.

What JSON cannot represent (tensors that the graph holds, sizes that vary, objects of the user's) is refused with
Unsendable. Reading runs nothing but imports of the operators' modules. Knows nothing of processes or compilers.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import _get_qualified_name

from passes.meta import FACT_NAMES, TensorMeta

PLAIN: Final = (type(None), bool, int, float, str)
SEQUENCES: Final[dict[str, Callable[[Sequence[Any]], Any]]] = {
    "tuple": tuple,
    "size": torch.Size,
    "slice": lambda parts: slice(*parts),
    "complex": lambda parts: complex(*parts),
    "dict": dict,
    "device": lambda parts: torch.device(*parts),
    "torch": lambda parts: getattr(torch, parts[0]),
    "meta": lambda parts: TensorMeta(**dict(zip(FACT_NAMES, parts, strict=True))),
    "ellipsis": lambda parts: ...,
}
"""How tagged JSON, {tag: [parts]}, is read."""
NAMED: Final = (torch.dtype, torch.layout, torch.memory_format)


class Unsendable(ValueError):
    """A part of a graph that JSON cannot represent."""


def write_value(value: Any) -> Any:
    """A constant, node or meta as JSON. Raises Unsendable."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is Node:
        return {"node": value.name}
    if isinstance(value, list):  # fx keeps lists and dicts as immutable ones of its own
        return [write_value(part) for part in value]
    if isinstance(value, dict):
        return {"dict": [[write_value(key), write_value(part)] for key, part in value.items()]}
    parts = _parts(value)
    return {parts[0]: [write_value(part) for part in parts[1]]}


def _parts(value: Any) -> tuple[str, Sequence[Any]]:
    """The tag of a value, and its parts."""
    kind = type(value)
    if isinstance(value, NAMED):
        return "torch", [str(value).removeprefix("torch.")]
    if kind is TensorMeta:
        return "meta", [getattr(value, name) for name in FACT_NAMES]
    if kind is torch.device:
        return "device", [str(value)]
    if kind is torch.Size:
        return "size", list(value)
    if kind is slice:
        return "slice", [value.start, value.stop, value.step]
    if kind is complex:
        return "complex", [value.real, value.imag]
    if kind is tuple:
        return "tuple", value
    if value is ...:
        return "ellipsis", []
    raise Unsendable(f"a {kind.__name__}")


def read_value(data: Any, nodes: Mapping[str, Node]) -> Any:
    """The value that `write_value` wrote, with the nodes of another graph."""
    if isinstance(data, list):
        return [read_value(part, nodes) for part in data]
    if not isinstance(data, dict):
        return data
    ((tag, parts),) = data.items()
    if tag == "node":
        return nodes[parts]
    return SEQUENCES[tag]([read_value(part, nodes) for part in parts])


def write_graph(graph: Graph, metas: Callable[[Node], Any]) -> list[dict[str, Any]]:
    """The nodes of a graph, each with its meta where JSON can represent it. Raises Unsendable."""
    rows = []
    for node in graph.nodes:
        if node.op in ("get_attr", "call_module"):
            raise Unsendable(f"{node.target}, which the graph holds")
        target = write_target(node.target) if node.op == "call_function" else str(node.target)
        arguments = [write_value(tuple(node.args)), write_value(dict(node.kwargs))]
        rows.append({"name": node.name, "op": node.op, "target": target, "arguments": arguments})
        try:
            rows[-1]["meta"] = write_value(metas(node))
        except Unsendable:
            rows[-1]["meta"] = None
    return rows


def read_graph(rows: Sequence[Mapping[str, Any]], meta_name: str) -> GraphModule:
    """A module of the graph that `write_graph` wrote; metas are kept on its nodes under `meta_name`."""
    graph, nodes = Graph(), dict[str, Node]()
    for row in rows:
        target = read_target(row["target"]) if row["op"] == "call_function" else row["target"]
        args, kwargs = (read_value(part, nodes) for part in row["arguments"])
        node = nodes[row["name"]] = graph.create_node(row["op"], target, args, kwargs, row["name"])
        node.meta[meta_name] = read_value(row["meta"], nodes)
    return GraphModule({}, graph)


def write_target(target: Any) -> str:
    """The dotted name of an operator. Raises Unsendable when that name leads to another object."""
    if isinstance(target, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
        name = f"torch.ops.{target}"
    else:
        try:
            name = _get_qualified_name(target)
        except (RuntimeError, AttributeError, AssertionError) as error:
            raise Unsendable(f"{target!r}: {error}") from None
    try:
        value = read_target(name)
    except (ImportError, AttributeError):
        value = None
    if value is not target:
        raise Unsendable(f"{target!r}, which is not found as {name}")
    return name


def read_target(name: str) -> Any:
    """The object at a dotted name: a module as far as there are modules, then attributes."""
    words = name.split(".")
    for length in range(len(words) - 1, 0, -1):
        try:
            target: Any = importlib.import_module(".".join(words[:length]))
        except ModuleNotFoundError:
            continue
        for word in words[length:]:
            target = getattr(target, word)
        return target
    raise ImportError(f"no module begins {name!r}")
