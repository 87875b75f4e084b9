"""A captured graph as a torch.fx.GraphModule that is itself a program.

torch.fx writes a module's `forward` as source text. A constant goes into that text only if it reads back as what it
is; the module holds every other one as an attribute. A call stays as it is only if its text runs and means that call.
Nothing here knows how a graph is built.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from keyword import iskeyword
from typing import Any, Final

import torch
from torch.fx import Graph, GraphModule, Node
from torch.fx.graph import _is_from_torch, inplace_methods, magic_methods
from torch.fx.immutable_collections import immutable_list
from torch.fx.node import _get_qualified_name

from passes.constant_text import is_spelled
from passes.meta import TensorMeta
from passes.node_meta import result_meta

HELD: Final = "constant"
"""What the attributes that hold constants are named after."""


def call_with(target: Callable[..., Any] | str, args: Sequence[Any], keywords: Sequence[tuple[str, Any]]) -> Any:
    """Call a function, or the method `target` of the first argument, with keywords that are no identifiers."""
    if isinstance(target, str):
        return getattr(args[0], target)(*args[1:], **dict(keywords))
    return target(*args, **dict(keywords))


def as_module(graph: Graph, attributes: Mapping[str, Any]) -> GraphModule:
    """A copy of `graph` as a module. `attributes` are the objects that its get_attr and call_module nodes name."""
    copied = Graph()
    copied.output(copied.graph_copy(graph, {}))  # type: ignore[arg-type]
    writer = _Writer(copied, attributes)
    for node in list(copied.nodes):
        writer.write(node)
    return GraphModule(writer.attributes, copied)


def with_named_calls(module: GraphModule) -> GraphModule:
    """A copy of what `as_module` gave in which each call names its function again: for backends that read no text."""
    graph = Graph()
    graph.output(graph.graph_copy(module.graph, {}))  # type: ignore[arg-type]
    for node in list(graph.nodes):
        if node.target is call_with:
            target, args, keywords = node.args
            node.target, node.args, node.kwargs = _held_by(module, target), tuple(args), dict(keywords)
            if isinstance(node.target, str):
                node.op = "call_method"
        elif node.target is operator.call:
            function, *args = node.args
            node.target, node.args = _held_by(module, function), tuple(args)
    for node in list(graph.find_nodes(op="get_attr")):
        if not node.users:
            graph.erase_node(node)
    return GraphModule(module, graph)


def _held_by(module: GraphModule, argument: Any) -> Any:
    """What a get_attr node stands for; other arguments are what they are."""
    return getattr(module, str(argument.target)) if isinstance(argument, Node) else argument


class _Writer:
    """Changes the calls of a graph until the text of each means that call; `attributes` are what the module holds."""

    def __init__(self, graph: Graph, attributes: Mapping[str, Any]) -> None:
        self.graph = graph
        self.attributes = dict(attributes)
        self._held: dict[int, Node] = {}
        self._first = next((node for node in graph.nodes if node.op != "placeholder"), None)

    def write(self, node: Node) -> None:
        """Change one node, if its text would not mean what it does."""
        if node.op == "placeholder":
            node.target = node.name
        if node.op not in ("call_function", "call_method", "call_module"):
            return
        with self.graph.inserting_before(node):
            args, kwargs = node.args, node.kwargs
            if not _is_written_as_it_is(args) or not _is_written_as_it_is(tuple(kwargs.values())):
                args, kwargs = self._argument(args), {name: self._argument(part) for name, part in kwargs.items()}
                node.args, node.kwargs = args, kwargs
            if not all(name.isidentifier() and not iskeyword(name) for name in kwargs):
                target = node.target if isinstance(node.target, str) else self._hold(node.target)
                node.op, node.target, node.kwargs = "call_function", call_with, {}
                node.args = (target, args, tuple(kwargs.items()))
            elif node.op == "call_method" and not isinstance(args[0], Node):
                node.args = (self._hold(args[0]), *args[1:])
            elif (
                node.target is operator.pow and not isinstance(args[0], Node) and isinstance(exponent := args[1], Node)
            ):
                self._power(node, args[0], exponent)
            elif node.op == "call_function" and not _is_written(node.target, args, kwargs):
                node.args, node.target = (self._hold(node.target), *args), operator.call

    def _power(self, node: Node, base: Any, exponent: Node) -> None:
        """Write `(-2) ** x` as what `Tensor.__rpow__` does; torch.fx would write `-2 ** x`, which is `-(2 ** x)`."""
        if isinstance(result_meta(exponent), TensorMeta):
            node.target = torch.pow
        else:
            node.args = (self._hold(base), exponent)

    def _argument(self, value: Any) -> Any:
        """An argument as torch.fx can write it."""
        kind: Any = type(value)
        if kind is Node or is_spelled(value):
            return value
        if kind is slice:
            return slice(*map(self._argument, (value.start, value.stop, value.step)))
        if kind is tuple or isinstance(value, list):
            return kind(map(self._argument, value))
        if isinstance(value, dict):
            items = [(self._argument(key), self._argument(part)) for key, part in value.items()]
            return dict(items) if all(map(is_spelled, value)) else self.graph.call_function(dict, (items,))
        if isinstance(value, tuple) and holds_node(value):
            parts = tuple(map(self._argument, value))
            return self.graph.call_function(
                operator.call, (self._hold(kind), *(parts if hasattr(kind, "_fields") else (parts,)))
            )
        return self._hold(value)

    def _hold(self, value: Any) -> Node:
        """The node for an attribute that holds `value`."""
        node = self._held.get(id(value))
        if node is None:
            with self.graph.inserting_before(self._first):
                node = self._held[id(value)] = self.graph.create_node("get_attr", HELD, name=HELD)
            node.target = node.name
            self.attributes[node.name] = value
        return node


def _is_written_as_it_is(value: Any) -> bool:
    """Whether an argument is of nodes and constants whose text reads back, in plain containers."""
    kind = type(value)
    if kind is tuple or kind is list or kind is immutable_list:
        return all(map(_is_written_as_it_is, value))
    return kind is Node or is_spelled(value)


def _is_written(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether the text that torch.fx writes for a call of a function means that call."""
    if getattr(target, "__module__", None) == "_operator":
        name = target.__name__
        if name in magic_methods:
            return not kwargs
        if name in inplace_methods:  # a statement, after which the name of its first operand is the result's, too
            return not kwargs and isinstance(args[0], Node) and result_meta(args[0]) is not None
    if target is getattr and len(args) == 2:
        return isinstance(args[0], Node) and not iskeyword(str(args[1]))
    return _is_named(target)


def holds_node(argument: Any) -> bool:
    """Whether a nested argument contains a node."""
    if isinstance(argument, tuple | list):
        return any(map(holds_node, argument))
    if isinstance(argument, dict):
        return any(map(holds_node, argument.values()))
    if isinstance(argument, slice):
        return holds_node((argument.start, argument.stop, argument.step))
    return isinstance(argument, Node)


def _is_named(target: Any) -> bool:
    """Whether torch.fx has a name for a function: it binds that name, unless the function is torch's."""
    if _is_from_torch(target):
        return _is_reached(target)
    try:
        return bool(_get_qualified_name(target))
    except (AttributeError, RuntimeError):
        return False


@lru_cache(maxsize=1 << 12)
def _is_reached(target: Any) -> bool:
    """Whether the path by which torch.fx names a function of torch leads to it."""
    try:
        reached: Any = torch
        for part in _get_qualified_name(target).split(".")[1:]:
            reached = getattr(reached, part)
    except (AttributeError, RuntimeError):
        return False
    return reached is target
