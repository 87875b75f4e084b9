"""Metas for every node of a graph, from the metas of its inputs alone: concrete sizes, or symbols.

Works on any torch.fx graph of functions, methods and modules, whoever made it. What each call gives is asked of
an Evaluator: rules first. Nothing is run on data, and the graph stays as it is.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from torch.fx import Graph, GraphModule, Node, Tracer
from torch.fx.passes.shape_prop import TensorMetadata

from passes.errors import expect
from passes.meta import TensorMeta, meta_of
from passes.node_meta import EXAMPLE_VALUE, FAKE_VALUE, META, SHAPE_PROP, modes_of, origin
from passes.operators.difference import meta_difference
from passes.operators.evaluate import Evaluator
from passes.operators.modes import Modes, current_modes
from passes.operators.outcome import (
    Argument,
    DataDependent,
    DictArg,
    ListArg,
    OpError,
    SliceArg,
    Target,
    Trial,
    Unsupported,
    leaves,
    rebuilt,
)

NOTES: Final = (FAKE_VALUE, EXAMPLE_VALUE, SHAPE_PROP)  # where torch's tools note fake tensors and shapes
FACTS: Final = ("shape", "stride", "storage_offset", "dtype", "device", "requires_grad")
PLAIN_FACTS: Final = ("shape", "stride", "dtype")


class Contradiction(ValueError):
    """A node's own meta says something else than what follows for it from the inputs.

    `derived` is what follows, `noted` what the node has; `by` names what derived it.
    """

    def __init__(self, node: Node, derived: Any, noted: Any, difference: str, by: str) -> None:
        where = origin(node)
        place = f"\n{where}" if where else ""
        super().__init__(
            f"{node.name} = {node.format_node()}: its meta is {words(noted)}, from the inputs follows {words(derived)} "
            f"({difference}), {by}{place}"
        )
        self.node = node
        self.derived = derived
        self.noted = noted
        self.by = by


class CannotPropagate(ValueError):
    """A call whose outcome depends on data; names the node."""


def propagate(
    graph: Graph | GraphModule,
    input_metas: Sequence[Any],
    evaluator: Evaluator | None = None,
    *,
    attributes: Mapping[str, Any] | None = None,
    check: bool = True,
) -> dict[Node, Any]:
    """What each node stands for: a TensorMeta, a structure with TensorMetas in it, or a constant.

    `input_metas` has a TensorMeta (or a tensor, to take its meta), a number or a torch.SymInt for each placeholder,
    in order. `attributes` are the objects that get_attr and call_module nodes name, if the graph's module does not
    have them. With `check`, metas that nodes have already are compared: raises Contradiction naming the node, the
    user's line and the rule. Raises CannotPropagate for calls that depend on data, ValueError for another number of
    inputs, and TypeError for what is no list of them.
    """
    body = graph.graph if isinstance(graph, GraphModule) else graph
    expect(body, Graph, "propagate", "captured.entries[0].graph")
    if isinstance(input_metas, TensorMeta | torch.Tensor):
        raise TypeError("propagate takes a list with a meta or a tensor for each input of the graph, not one alone")
    owner = graph if isinstance(graph, GraphModule) else body.owning_module
    run = _Propagation(evaluator or Evaluator(), owner, attributes or {}, check)
    return run.run(body, [meta_of(meta) if isinstance(meta, torch.Tensor) else meta for meta in input_metas])


class _Propagation:
    """One walk over a graph; `current` has what each node stands for by now, which in-place calls change."""

    def __init__(self, evaluator: Evaluator, owner: Any, attributes: Mapping[str, Any], check: bool) -> None:
        self.evaluator = evaluator
        self.owner = owner
        self.attributes = attributes
        self.check = check
        self.modes = current_modes()

    def run(self, graph: Graph, inputs: Sequence[Any]) -> dict[Node, Any]:
        placeholders = list(graph.find_nodes(op="placeholder"))
        if len(placeholders) != len(inputs):
            raise ValueError(f"inputs of the graph: {len(placeholders)}; given are metas for {len(inputs)}")
        current: dict[Node, Any] = dict(zip(placeholders, inputs, strict=True))
        metas: dict[Node, Any] = {}
        written = False
        for node in graph.nodes:
            changed: Mapping[Node, TensorMeta] = {}
            trial: Trial | None = None
            if node.op == "output":
                current[node] = argument_of(node.args[0], current)
            elif node.op == "get_attr":
                current[node] = _as_meta(self._object(str(node.target)))
            elif node.op == "call_module":
                current[node] = self._module(node, current)
            elif node.op != "placeholder":
                current[node], changed, trial = self._call(node, current)
            metas[node] = current[node]
            if self.check and node.op != "output":
                _compare(node, metas[node], self._said_by(node, trial), written)
            current.update(changed)
            written = written or bool(changed)
        return metas

    def _call(self, node: Node, current: Mapping[Node, Any]) -> tuple[Any, Mapping[Node, TensorMeta], Trial | None]:
        try:
            return derive(node, self.evaluator, current, modes_of(node) or self.modes)
        except (DataDependent, Unsupported, OpError) as error:
            raise CannotPropagate(f"{node.name} = {node.format_node()}: {error}") from error

    def _module(self, node: Node, current: Mapping[Node, Any]) -> Any:
        """What a module gives: its code is followed down to functions, as the graph does not."""
        module = self._object(str(node.target))
        graph = module.graph if isinstance(module, GraphModule) else _Inlining().trace(module)
        inner = _Propagation(self.evaluator, module, {}, check=False)
        result = inner.run(graph, [current[part] if isinstance(part, Node) else part for part in node.args])
        return result[graph.output_node()]

    def _said_by(self, node: Node, trial: Trial | None) -> str:
        if trial is not None:
            return f"as a trial of {trial.operator} shows"
        if node.op == "placeholder":
            return "as was given"
        if node.op == "get_attr":
            return f"as {node.target} is"
        if node.op == "call_module":
            return f"as the code of {type(self._object(str(node.target))).__name__} and the rules say"
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        return f"as the rule of {name} says"

    def _object(self, name: str) -> Any:
        if name in self.attributes:
            return self.attributes[name]
        return operator.attrgetter(name)(self.owner)


class _Inlining(Tracer):
    """Follows the code of every module."""

    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        return False


def derive(
    node: Node, evaluator: Evaluator, current: Mapping[Node, Any], modes: Modes
) -> tuple[Any, dict[Node, TensorMeta], Trial | None]:
    """What a call node gives, as a structure of metas; what the nodes it writes to stand for afterwards; who says so.

    Raises what Evaluator.evaluate raises.
    """
    if node.target is operator.getitem and isinstance(current.get(node.args[0]), tuple | list):  # type: ignore[arg-type]
        return current[node.args[0]][node.args[1]], {}, None  # type: ignore[index]
    owners = [used for used in _nodes_in((node.args, node.kwargs)) for leaf in leaves(current[used]) if _is_meta(leaf)]
    args = tuple(argument_of(value, current) for value in node.args)
    kwargs = tuple((name, argument_of(part, current)) for name, part in node.kwargs.items())
    target: Target = ("method", node.target) if node.op == "call_method" else node.target
    outcome = evaluator.evaluate(target, args, kwargs, modes)
    metas = [leaf for leaf in leaves((args, kwargs)) if _is_meta(leaf)]
    changed = {owners[index]: meta for index, meta in outcome.mutated.items()}
    return outcome.metas(metas), changed, outcome.trial


def argument_of(value: Any, current: Mapping[Node, Any]) -> Argument:
    """A node's argument as an Evaluator is asked about it."""
    if isinstance(value, Node):
        return current[value]
    if isinstance(value, slice):
        return SliceArg(*(argument_of(part, current) for part in (value.start, value.stop, value.step)))
    if isinstance(value, dict):
        return DictArg((key, argument_of(part, current)) for key, part in value.items())
    if isinstance(value, list):
        return ListArg(argument_of(part, current) for part in value)
    return tuple(argument_of(part, current) for part in value) if type(value) is tuple else value


def _nodes_in(value: Any) -> Iterator[Node]:
    """The nodes that an argument holds, in the order in which tensors are counted."""
    if isinstance(value, Node):
        yield value
    elif isinstance(value, dict):
        yield from _nodes_in(tuple(value.values()))
    elif isinstance(value, slice):
        yield from _nodes_in((value.start, value.stop, value.step))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _nodes_in(part)


def _is_meta(leaf: Any) -> bool:
    return type(leaf) is TensorMeta


def _as_meta(value: Any) -> Any:
    return rebuilt(value, torch.Tensor, meta_of)


def _compare(node: Node, derived: Any, by: str, written: bool) -> None:
    """Raise Contradiction if the node's own meta differs; after a write, autograd's facts are the storage's affair."""
    key = next((key for key in (META, *NOTES) if node.meta.get(key) is not None), None)
    if key is None:
        return
    noted = rebuilt(node.meta[key], (torch.Tensor, TensorMetadata), _plain)
    facts = FACTS if key == META and not written else PLAIN_FACTS
    left, right = leaves(derived), leaves(noted)
    if len(left) != len(right):
        difference = f"{len(left)} values, not {len(right)}"
    else:
        pairs = [pair for pair in zip(left, right, strict=True) if all(map(_is_meta, pair))]
        mismatch = next(filter(None, (meta_difference(*pair, facts) for pair in pairs)), None)
        difference = mismatch.words if mismatch else ""
    if difference:
        raise Contradiction(node, derived, noted, difference, by)


def _plain(noted: Any) -> TensorMeta:
    """What torch's tools note, as a meta: shape, stride and type."""
    stride = noted.stride() if isinstance(noted, torch.Tensor) else noted.stride
    return TensorMeta(tuple(noted.shape), tuple(stride), noted.dtype)


def words(structure: Any) -> str:
    """A structure of metas as a person would write it."""
    if isinstance(structure, TensorMeta):
        return structure.words
    if isinstance(structure, tuple | list):
        return f"({', '.join(map(words, structure))})"
    return str(structure)
