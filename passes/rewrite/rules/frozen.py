"""What is computed of parameters alone, made once: for parameters that are not trained meanwhile.

Parameters are inputs of our graphs. What depends on nothing else becomes one call that remembers its
results, and makes them anew when a parameter is another tensor, has other memory, or was written to by an
operator. Batch norm writes to its statistics without counting it, so vectors that are not trained are compared
by their contents. A write to anything else through `.data` or NumPy is not seen: whoever asks for this pass
promises none.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, Final

import torch
from torch.fx import Node

from passes.meta import TensorMeta
from passes.node_meta import LINE, META, MODES, line_of, result_meta, source_of
from passes.operators.modes import Modes, entered
from passes.references import OwnReference
from passes.rewrite.draft import VIEWS, Draft
from passes.rewrite.pipeline import GraphPass
from passes.rewrite.rules.cleanup import repeatable, run_call

REAL: Final = (torch.Tensor, torch.nn.Parameter)
LONGEST_STATISTIC: Final = 1 << 16
"""Elements up to which a vector's contents are compared at each call. No batch norm has more channels."""

_Likeness = tuple[torch.device, torch.dtype]


class Prepared:
    """A function of parameters that remembers its last results. Called with the tensors, in their order."""

    __name__ = "prepared"

    def __init__(self, steps: Sequence[Node], inputs: Sequence[Node], results: Sequence[Node]) -> None:
        self._steps = [_Step(step) for step in steps]
        self._inputs = [node.name for node in inputs]
        self._results = [node.name for node in results]
        self._known: _Known | None = None
        self._made: tuple[torch.Tensor, ...] = ()

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self._known is not None and self._known.are(tensors):
            return self._made
        values = self._compute(tensors)
        real = all(type(tensor) in REAL and not tensor.is_inference() for tensor in tensors)
        if real and not any(result.requires_grad for result in values):
            self._known = _Known(tensors)
            self._made = values
        return values

    def _compute(self, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        values: dict[str, Any] = dict(zip(self._inputs, tensors, strict=True))
        for step in self._steps:
            values[step.name] = step.run(values)
        return tuple(values[name] for name in self._results)


class _Known:
    """Tensors as they were: which they are, their versions, their memory, and the contents of those that may be written
    to unseen. Compared at each call, and so in few steps for all of them.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._references = [OwnReference(tensor) for tensor in tensors]
        self._versions = [tensor._version for tensor in tensors]
        self._pointers = [tensor.data_ptr() for tensor in tensors]
        self._statistics: dict[_Likeness, list[int]] = {}
        for place, tensor in enumerate(tensors):
            if tensor.dim() <= 1 and not tensor.requires_grad and tensor.numel() <= LONGEST_STATISTIC:
                self._statistics.setdefault((tensor.device, tensor.dtype), []).append(place)
        self._contents = [_contents(tensors, places) for places in self._statistics.values()]

    def are(self, tensors: Sequence[torch.Tensor]) -> bool:
        """Whether these are the tensors, and hold what they held, bit for bit."""
        return (
            all(map(operator.is_, [reference() for reference in self._references], tensors))
            and [tensor._version for tensor in tensors] == self._versions
            and [tensor.data_ptr() for tensor in tensors] == self._pointers
            and all(map(torch.equal, self._contents, map(_contents, repeat(tensors), self._statistics.values())))
        )


def _contents(tensors: Sequence[torch.Tensor], places: Sequence[int]) -> torch.Tensor:
    """The bytes of the tensors at these places, which are of one device and dtype, in one copy."""
    vectors = [tensors[place] for place in places]
    return torch.cat([vector if vector.dim() else vector.reshape(1) for vector in vectors]).view(torch.uint8)


class _Step:
    """One call with its modes, without the graph that it came from."""

    def __init__(self, node: Node) -> None:
        graph = torch.fx.Graph()
        self._node = graph.node_copy(node, lambda used: graph.placeholder(used.name))
        self._modes: Modes = node.meta[MODES]
        self.name = node.name

    def run(self, values: Mapping[str, Any]) -> Any:
        names = {node: str(node.target) for node in self._node.all_input_nodes}
        args, kwargs = torch.fx.map_arg((self._node.args, dict(self._node.kwargs)), lambda used: values[names[used]])  # type: ignore[misc]
        with entered(self._modes):  # a step of other modes than those where the call of all steps stands
            return run_call(self._node, args, kwargs)


def prepare(draft: Draft) -> None:
    """Make one remembering call of the values that are computed of parameters alone, mere views left out."""
    roots: dict[Node, dict[Node, None]] = {}  # what is computed of parameters, with the calls that it takes
    for node in draft.graph.nodes:
        if _is_parameter(node):
            roots[node] = {}
        elif node.all_input_nodes and all(used in roots for used in node.all_input_nodes) and _may_be_kept(draft, node):
            steps = {step: None for used in node.all_input_nodes for step in roots[used]}
            roots[node] = {**steps, node: None}
    kept: dict[Any, list[Node]] = {}
    for node, steps in roots.items():
        outside = any(user not in roots for user in node.users)
        if steps and outside and any(draft.family(step) is not VIEWS for step in steps):
            kept.setdefault(node.meta[MODES], []).append(node)
    for results in kept.values():
        _keep(draft, results, sorted({step for node in results for step in roots[node]}))
    for node in sorted(roots, reverse=True):
        if node.op != "placeholder" and not node.users:
            draft.erase([node])


def _keep(draft: Draft, results: list[Node], steps: list[Node]) -> None:
    """One call that gives all of the results, where the first of the steps stands."""
    inside = set(steps)
    inputs = list(dict.fromkeys(used for step in steps for used in step.all_input_nodes if used not in inside))
    with draft.graph.inserting_before(steps[0]):
        call = draft.graph.call_function(Prepared(steps, inputs, results), tuple(inputs))
        call.meta.update({META: tuple(node.meta[META] for node in results), LINE: line_of(steps[0])})
        for index, node in enumerate(results):
            part = draft.graph.call_function(operator.getitem, (call, index))
            part.meta.update({META: node.meta[META], LINE: line_of(node)})
            node.replace_all_uses_with(part, delete_user_cb=lambda user: user not in inside)
            draft.fire(PREPARED.name, node, [node], [part])


def _is_parameter(node: Node) -> bool:
    """Whether an input belongs to an object: it was reached through an attribute."""
    meta = result_meta(node)
    return node.op == "placeholder" and isinstance(meta, TensorMeta) and meta.is_leaf and "." in str(source_of(node))


def _may_be_kept(draft: Draft, node: Node) -> bool:
    meta, storages = result_meta(node), draft.storages([node])
    if not repeatable(node) or not isinstance(meta, TensorMeta) or meta.requires_grad or meta.symbolic:
        return False
    fresh = storages - draft.storages(node.all_input_nodes)
    return not draft.storages([node, *node.all_input_nodes]) & draft.written and not any(map(draft.escapes, fresh))


PREPARED: Final = GraphPass("prepared parameters", prepare)
