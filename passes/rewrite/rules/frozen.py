"""What is computed of parameters alone, made once: for parameters that are not trained meanwhile.

Parameters are inputs of our graphs. What depends on nothing else becomes one call that remembers its
result, and makes it anew when a parameter is another tensor, has other memory, or was written to by an
operator. A write through `.data` or NumPy is not seen: whoever asks for this pass promises none.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch.fx import Node

from passes.meta import TensorMeta
from passes.reuse.calls import META
from passes.rewrite.draft import LINE, VIEWS, Draft
from passes.rewrite.pipeline import GraphPass
from passes.rewrite.rules.cleanup import repeatable, run_call

SOURCE: Final = "source"  # of an input: the text of its access path, `self.fc.weight`
REAL: Final = (torch.Tensor, torch.nn.Parameter)


class Prepared:
    """A function of parameters that remembers its last result. Called with the tensors, in their order."""

    def __init__(self, steps: Sequence[Node], inputs: Sequence[Node]) -> None:
        self.__name__ = f"prepared_{steps[-1].name}"
        self._steps = [_Step(step) for step in steps]
        self._inputs = [node.name for node in inputs]
        self._known: tuple[list[Any], list[tuple[int, int]], torch.Tensor] | None = None

    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        if any(type(tensor) not in REAL or tensor.is_inference() for tensor in tensors):
            return self._compute(tensors)
        state = [(tensor.data_ptr(), tensor._version) for tensor in tensors]
        known = self._known
        if known is not None and known[1] == state and all(map(_refers, known[0], tensors)):
            return known[2]
        made = self._compute(tensors)
        if not made.requires_grad:
            self._known = [weakref.ref(tensor) for tensor in tensors], state, made
        return made

    def _compute(self, tensors: Sequence[torch.Tensor]) -> Any:
        values: dict[str, Any] = dict(zip(self._inputs, tensors, strict=True))
        for step in self._steps:
            values[step.name] = step.run(values)
        return values[self._steps[-1].name]


def _refers(reference: weakref.ref[torch.Tensor], tensor: torch.Tensor) -> bool:
    return reference() is tensor


class _Step:
    """One call, without the graph that it came from."""

    def __init__(self, node: Node) -> None:
        graph = torch.fx.Graph()
        self._node = graph.node_copy(node, lambda used: graph.placeholder(used.name))
        self.name = node.name

    def run(self, values: Mapping[str, Any]) -> Any:
        names = {node: str(node.target) for node in self._node.all_input_nodes}
        args, kwargs = torch.fx.map_arg((self._node.args, dict(self._node.kwargs)), lambda used: values[names[used]])  # type: ignore[misc]
        return run_call(self._node, args, kwargs)


def prepare(draft: Draft) -> None:
    """Make one remembering call of each value that is computed of parameters alone, unless it is a mere view."""
    roots: dict[Node, dict[Node, None]] = {}  # what is computed of parameters, with the calls that it takes
    for node in draft.graph.nodes:
        if _is_parameter(node):
            roots[node] = {}
        elif node.all_input_nodes and all(used in roots for used in node.all_input_nodes) and _may_be_kept(draft, node):
            steps = {step: None for used in node.all_input_nodes for step in roots[used]}
            roots[node] = {**steps, node: None}
    for node, steps in roots.items():
        outside = any(user not in roots for user in node.users)
        if steps and outside and any(draft.family(step) is not VIEWS for step in steps):
            _keep(draft, node, sorted(steps))
    for node in sorted(roots, reverse=True):
        if node.op != "placeholder" and not node.users:
            draft.erase([node])


def _keep(draft: Draft, node: Node, steps: list[Node]) -> None:
    inside = set(steps)
    inputs = list(dict.fromkeys(used for step in steps for used in step.all_input_nodes if used not in inside))
    with draft.graph.inserting_after(node):
        kept = draft.graph.call_function(Prepared(steps, inputs), tuple(inputs))
    kept.meta.update({META: node.meta[META], LINE: node.meta.get(LINE)})
    node.replace_all_uses_with(kept)
    draft.fire(PREPARED.name, node, steps, [kept])


def _is_parameter(node: Node) -> bool:
    """Whether an input belongs to an object: it was reached through an attribute."""
    meta = node.meta.get(META)
    return (
        node.op == "placeholder" and isinstance(meta, TensorMeta) and meta.is_leaf and "." in str(node.meta.get(SOURCE))
    )


def _may_be_kept(draft: Draft, node: Node) -> bool:
    meta, storages = node.meta.get(META), draft.storages([node])
    if not repeatable(node) or not isinstance(meta, TensorMeta) or meta.requires_grad or meta.symbolic:
        return False
    made = storages - draft.storages(node.all_input_nodes)
    return not draft.storages([node, *node.all_input_nodes]) & draft.written and not any(map(draft.escapes, made))


PREPARED: Final = GraphPass("prepared parameters", prepare)
