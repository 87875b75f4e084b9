"""Predicted and actual: whether a call did what was predicted of it, and runs of a graph to find out.

The outcome of each call comes with its node; who predicted it, and what follows from a mistake, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Graph, Node
from torch.fx.node import map_arg

from passes.accelerator import RandomStates, random_states, set_random_states
from passes.meta import TensorMeta, meta_of
from passes.operators.difference import meta_difference, outcome_difference
from passes.operators.modes import Modes
from passes.operators.outcome import Arguments, Keywords, Outcome, Target, Unsupported, leaves
from passes.operators.stand_ins import REAL
from passes.operators.trial import Findings


@dataclass(frozen=True, slots=True)
class Prediction:
    """A call as it was evaluated, and its outcome."""

    target: Target
    args: Arguments
    kwargs: Keywords
    modes: Modes
    outcome: Outcome

    @property
    def given(self) -> list[TensorMeta]:
        """The metas of the call's tensor arguments, in their order."""
        return [leaf for leaf in leaves((self.args, self.kwargs)) if type(leaf) is TensorMeta]


class Mispredicted(Exception):
    """A call did not do what was predicted. What a run had changed by then is as before.

    `refusal` is the error of an operator that takes no arguments of these shapes and types, though that was predicted.
    """

    def __init__(self, prediction: Prediction, words: str, refusal: Exception | None = None) -> None:
        super().__init__(words)
        self.prediction = prediction
        self.words = words
        self.refusal = refusal


class CheckedRun:
    """One run of a graph, operator by operator, that compares what comes with what was predicted.

    Nothing is predicted of nodes whose `prediction` is None, and outcomes that are `proven` need no look. An error is
    a mistake if the operator `refuses` such calls whatever their values. Writes to inputs are undone if a mistake is
    found, unless autograd has noted them.
    """

    def __init__(
        self,
        graph: Graph,
        attributes: Mapping[str, Any],
        prediction: Callable[[Node], Prediction | None],
        proven: Callable[[Outcome], bool],
        refuses: Callable[[Prediction], bool],
        failed: Callable[[Node, Exception], None],
    ) -> None:
        self.graph = graph
        self.attributes = attributes
        self.prediction = prediction
        self.proven = proven
        self.refuses = refuses
        self.failed = failed
        self.seen: list[Prediction] = []  # predictions that were right
        self.mistake: Mispredicted | None = None  # found when side effects could no longer be rolled back
        self._right: set[int] = set()  # outcomes of those, which layers that are alike share
        self._saved: dict[int, tuple[Any, Any]] = {}
        self._versions: list[tuple[torch.Tensor, int]] = []
        self._outside: set[int] = set()
        self._undoable = True

    def run(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """The outputs. Raises Mispredicted, when all is as before, and what operators raise."""
        values: dict[Node, Any] = {}
        rest = iter(inputs)
        random = random_states()
        self._outside = {_memory_of(value) for value in (*inputs, *self.attributes.values()) if _has_memory(value)}
        for node, dying in _with_last_uses(self.graph):
            if node.op == "placeholder":
                values[node] = next(rest)
            elif node.op == "get_attr":
                values[node] = self.attributes[str(node.target)]
            elif node.op == "output":
                return tuple(map_arg(node.args[0], values.__getitem__))  # pyright: ignore[reportArgumentType]
            else:
                mistake = self._step(node, values)
                if mistake is not None and self._undoable:
                    self._undo(random)
                    try:
                        raise mistake
                    finally:  # its traceback has this frame, which else would keep all that is below until a collection
                        del mistake
                self.mistake = self.mistake or mistake
            for used in dying:
                del values[used]
        raise AssertionError("a graph ends with its output")

    def _step(self, node: Node, values: dict[Node, Any]) -> Mispredicted | None:
        """Run one call; gives the mistake that was made about it."""
        args = map_arg(node.args, values.__getitem__)
        kwargs = map_arg(node.kwargs, values.__getitem__)
        prediction = self.prediction(node)
        look = None
        if prediction is not None and (prediction.outcome.mutated or not self._is_settled(prediction.outcome)):
            tensors = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
            self._save(tensors, prediction.outcome.mutated)
            if not self._is_settled(prediction.outcome):
                look = _Look.at(prediction, tensors)
        try:
            if node.op == "call_method":
                values[node] = getattr(args[0], str(node.target))(*args[1:], **kwargs)
            else:
                function = self.attributes[str(node.target)] if node.op == "call_module" else node.target
                values[node] = function(*args, **kwargs)  # type: ignore[operator]
        except Exception as error:
            if look is not None and self._undoable and self.refuses(look.prediction):
                return Mispredicted(look.prediction, str(error), error.with_traceback(None))
            self.failed(node, error)
            raise
        if look is None:
            return None
        words = look.compare(values[node])
        if not words:
            self.seen.append(look.prediction)
            self._right.add(id(look.prediction.outcome))
        return Mispredicted(look.prediction, words) if words else None

    def _is_settled(self, outcome: Outcome) -> bool:
        return self.mistake is not None or id(outcome) in self._right or self.proven(outcome)

    def _save(self, tensors: Sequence[torch.Tensor], written: Iterable[int]) -> None:
        """Keep what a call is about to overwrite in tensors from outside, whoever predicted the write."""
        for index in written:
            if (
                index >= len(tensors)
                or not _has_memory(tensors[index])
                or _memory_of(tensors[index]) not in self._outside
            ):
                continue
            if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
                self._undoable = False
            if not tensors[index].is_inference():
                self._versions.append((tensors[index], tensors[index]._version))
            storage = tensors[index].untyped_storage()
            self._saved.setdefault(_memory_of(tensors[index]), (storage, storage.clone()))

    def _undo(self, random: RandomStates) -> None:
        for storage, before in self._saved.values():
            storage.copy_(before)
        autograd: Any = torch._C._autograd  # type: ignore[attr-defined]
        for tensor, version in reversed(self._versions):
            autograd._unsafe_set_version_counter((tensor,), (version,))
        set_random_states(random)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a call was given, to be compared with what comes of it."""

    prediction: Prediction
    findings: Findings
    versions: list[int | None]
    owners: list[int]

    @staticmethod
    def at(prediction: Prediction, tensors: Sequence[torch.Tensor]) -> _Look | None:
        """None where the tensors are not those that the prediction is about: an earlier one was wrong."""
        expected = prediction.given
        if len(expected) != len(tensors):
            return None
        try:
            metas = [
                meta_of(tensor, meta.is_leaf if tensor._is_view() else None)  # the operator may refuse a stale history
                for tensor, meta in zip(tensors, expected, strict=True)
            ]
        except NotImplementedError:
            return None
        if any(map(meta_difference, expected, metas)):
            return None
        memories = [_memory_of(tensor) if _has_memory(tensor) else id(tensor) for tensor in tensors]
        versions = [None if tensor.is_inference() else tensor._version for tensor in tensors]
        findings = Findings(REAL, list(zip(metas, tensors, strict=True)))
        return _Look(prediction, findings, versions, [memories.index(memory) for memory in memories])

    def compare(self, result: Any) -> str:
        try:
            outcome = Outcome(self.findings.describe(result), self.findings.mutated(self.versions))
        except Unsupported:
            return ""
        difference = outcome_difference(self.prediction.outcome, outcome, owner=self.owners.__getitem__)
        return difference.words if difference else ""


def _has_memory(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_nested


def _memory_of(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _with_last_uses(graph: Graph) -> Iterator[tuple[Node, list[Node]]]:
    """Each node with the nodes whose values it is the last to use, itself if nobody uses it."""
    last: dict[Node, Node] = {}
    for node in graph.nodes:
        last[node] = node
        for used in node.all_input_nodes:
            last[used] = node
    dying: dict[Node, list[Node]] = {}
    for used, node in last.items():
        dying.setdefault(node, []).append(used)
    for node in graph.nodes:
        yield node, dying.get(node, [])
