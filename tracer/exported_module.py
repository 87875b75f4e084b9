"""The module that `export` gives: the captured graph, called like the function, with its tensors as attributes.

It is a torch.fx.GraphModule with a placeholder for each leaf of the arguments, as torch's pytrees see them, and the
leaves of the result as its output; the generated `forward` takes both apart and puts them together. Nothing here knows
how the graph was captured.
"""

from __future__ import annotations

import builtins
import inspect
import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch.fx import Graph, GraphModule, Node
from torch.fx.graph import CodeGen, _PyTreeCodeGen, _PyTreeInfo
from torch.fx.graph_module import _get_attr
from torch.utils import _pytree

from passes.constant_text import is_spelled
from tracer.graph.builder import RESERVED, identifier
from tracer.guards.checks import equal_constants
from tracer.reasons import ExportError

BUILTINS: Final = frozenset(vars(builtins)) - frozenset(keyword.kwlist)
_INDEX: Final = re.compile(r"\[(\w+)\]")
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf of the arguments: its name, the object, and its words for messages."""

    name: str
    value: Any
    words: str


@dataclass(slots=True)
class Signature:
    """How the module is called: the names of its parameters, which mean nothing else in a `forward`, those that the
    function itself has for them, the leaves of the arguments and their structure.
    """

    parameters: list[str]
    names: list[str]
    leaves: list[Leaf]
    structure: Any


@dataclass(slots=True)
class ModuleWriter:
    """Writes the module. `names` has the attribute's name for the id of each tensor of the user's modules."""

    signature: Signature
    names: Mapping[int, str]
    graph: Graph = field(default_factory=Graph)
    attributes: dict[str, Any] = field(default_factory=dict)
    placeholders: list[Node] = field(default_factory=list)
    held: dict[int, Node] = field(default_factory=dict)
    places: dict[int, Node] = field(default_factory=dict)
    """The placeholder of each leaf that is an object with an identity, by its id."""

    def __post_init__(self) -> None:
        for leaf in self.signature.leaves:
            node = self.graph.placeholder(leaf.name)
            node.target = node.name
            self.placeholders.append(node)
            if not is_spelled(leaf.value):
                self.places.setdefault(id(leaf.value), node)

    def node_of(self, value: Any, path: str) -> Node:
        """The node for an object from outside: a leaf of the arguments, else an attribute named after its path."""
        node = self.places.get(id(value))
        return self.attribute(value, self.names.get(id(value)) or path) if node is None else node

    def attribute(self, value: Any, path: str) -> Node:
        """The node for an object that the module holds."""
        node = self.held.get(id(value))
        if node is None:
            name = _attribute_name(path, self.attributes)
            self.attributes[name] = value
            node = self.held[id(value)] = self.graph.create_node("get_attr", name, name=identifier(name, "constant"))
        return node

    def copy(self, module: GraphModule, inputs: Mapping[Node, Node]) -> Sequence[Any]:
        """Append the graph of a module, whose placeholders stand for `inputs`: what it returns, in nodes of this."""
        mapped = dict(inputs)
        for node in module.graph.find_nodes(op="get_attr"):
            mapped[node] = self.attribute(_get_attr(module, str(node.target)), str(node.target))
            mapped[node].meta.update(node.meta)
        for node, place in inputs.items():
            place.meta.update(node.meta)
        outputs: Any = self.graph.graph_copy(module.graph, mapped)  # type: ignore[arg-type]
        return outputs

    def result(self, value: Any, outputs: Sequence[Any], positions: Mapping[int, int]) -> Any:
        """What the graph returns for a leaf of the result; `positions` are those of `outputs` by the id of a tensor."""
        position = positions.get(id(value))
        if position is not None:
            return outputs[position]
        if isinstance(value, torch.Tensor) or id(value) in self.places:
            return self.node_of(value, "constant")
        if is_spelled(value):
            return value
        raise ExportError(
            f"cannot export: the function returns a {type(value).__qualname__}, which torch's pytrees take for one "
            "object. Register the class with torch.utils._pytree.register_pytree_node, or return a tuple, list or dict"
        )

    def module(self, outputs: Sequence[Any], structure: Any, name: str) -> GraphModule:
        """The module, which returns these leaves in this structure."""
        self.graph.output(list(outputs))
        signature = self.signature
        for names in (lambda: signature.parameters, self._own_names):  # the latter looks at the code with the former
            codegen = _PyTreeCodeGen(_PyTreeInfo(list(names()), signature.structure, structure))
            self.graph.set_codegen(codegen)
        return GraphModule(self.attributes, self.graph, name)

    def _own_names(self) -> list[str]:
        """The function's own names for its parameters, `input` say, but for those that the code needs for others."""
        code = self.graph.python_code("self").src
        pairs = zip(self.signature.parameters, self.signature.names, strict=True)
        return [
            safe if name not in BUILTINS or re.search(rf"(?<![\w.']){name}\b", code) else name for safe, name in pairs
        ]


def _attribute_name(path: str, taken: Mapping[str, Any]) -> str:
    """A dotted name like `path` that is no other attribute's, nor leads through one."""
    dotted = _INDEX.sub(r".\1", path)
    name = stem = dotted if _DOTTED.fullmatch(dotted) else identifier(path, "constant")
    count = 0
    while any(name == other or name.startswith(f"{other}.") or other.startswith(f"{name}.") for other in taken):
        count += 1
        name = f"{stem}_{count}"
    return name


class FixedInputs:
    """Refuses a call with another value of an input that the graph was captured for: a hook before the module's calls.

    `fixed` has the position among the leaves, the value and the words of each such input.
    """

    def __init__(self, fixed: Sequence[tuple[int, Leaf]]) -> None:
        self.fixed = fixed

    def __call__(self, module: Any, args: Any, kwargs: Any) -> None:
        if kwargs:
            try:
                args = tuple(inspect.signature(module.forward).bind(*args, **kwargs).arguments.values())
            except TypeError:
                return  # the call itself says what is wrong with its arguments
        leaves = _pytree.tree_leaves(args)
        for position, leaf in self.fixed:
            if position >= len(leaves):
                return  # the call itself says which argument is missing
            value = leaves[position]
            if value is leaf.value or (is_spelled(leaf.value) and equal_constants(value, leaf.value)):
                continue
            now = repr(value) if is_spelled(value) else f"another {type(value).__qualname__}"
            was = repr(leaf.value) if is_spelled(leaf.value) else f"one {type(leaf.value).__qualname__}"
            raise ExportError(f"{leaf.words} is {now}, but the graph was exported for {was}: export again for it")


def unstructured(module: GraphModule) -> GraphModule:
    """The same module, called with the leaves of the arguments and giving those of the result."""
    graph = Graph()
    graph.output(graph.graph_copy(module.graph, {}))  # type: ignore[arg-type]
    graph.set_codegen(CodeGen())
    return GraphModule(module, graph)


def parameter_name(name: str) -> str:
    """The name of a parameter of `forward`."""
    name = identifier(name, "argument")
    return f"{name}_" if name in RESERVED else name
