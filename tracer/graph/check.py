"""Checks of a finished graph: it is well formed, and every meta on it follows from the metas of its inputs.

A finding is an error of ours, a TracerBug.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from torch.fx import Graph, Node

from passes.evaluate import Evaluator
from passes.meta import TensorMeta
from passes.outcome import Argument, DictArg, ListArg, SliceArg, Target, leaves
from tracer.graph.annotate import META, MODES
from tracer.graph.show import statement
from tracer.reasons import TracerBug


def check_graph(graph: Graph, evaluator: Evaluator) -> None:
    """Raise TracerBug unless `graph` is well formed and its metas can be derived again, call by call."""
    check_form(graph)
    current: dict[Node, Any] = {}  # what each node stands for by now: in-place calls change it
    written = False
    for node in graph.nodes:
        recorded = current[node] = node.meta.get(META)
        if node.op not in ("call_function", "call_method") or node.meta.get(MODES) is None:
            continue
        derived, changed = derive(node, evaluator, current)
        if recorded is None:
            recorded = current[node] = derived
        if not _agree(derived, recorded, written or bool(changed)):
            raise TracerBug(f"{statement(node)}: recorded {words(recorded)}, derived {words(derived)}")
        written = written or bool(changed)
        current.update(changed)


def check_form(graph: Graph) -> None:
    """Raise TracerBug unless the graph is sound for torch.fx, its inputs have metas, and it ends in a tuple."""
    try:
        graph.lint()
    except RuntimeError as error:
        raise TracerBug(f"torch.fx finds the graph unsound: {error}") from error
    for node in graph.nodes:
        if node.op == "placeholder" and node.meta.get(META) is None:
            raise TracerBug(f"the input {node.name} has no meta")
    last = next(iter(reversed(graph.nodes)), None)
    if last is None or last.op != "output" or not isinstance(last.args[0], tuple):
        raise TracerBug(f"the graph must end by returning a tuple, it ends with {last}")


def derive(node: Node, evaluator: Evaluator, current: Mapping[Node, Any]) -> tuple[Any, dict[Node, TensorMeta]]:
    """What a call node gives, as a structure of metas, and what the nodes it writes to stand for afterwards."""
    if node.target is operator.getitem and isinstance(current[node.args[0]], tuple | list):  # type: ignore[index]
        return current[node.args[0]][node.args[1]], {}  # type: ignore[index]
    owners: list[Node] = []

    def argument(value: Any) -> Argument:
        if isinstance(value, Node):
            owners.extend(value for leaf in leaves(current[value]) if isinstance(leaf, TensorMeta))
            return current[value]
        if isinstance(value, list):
            return ListArg(map(argument, value))
        if isinstance(value, dict):
            return DictArg((key, argument(part)) for key, part in value.items())
        if isinstance(value, slice):
            return SliceArg(argument(value.start), argument(value.stop), argument(value.step))
        return tuple(map(argument, value)) if type(value) is tuple else value

    args = tuple(map(argument, node.args))
    kwargs = tuple((name, argument(part)) for name, part in node.kwargs.items())
    target: Target = ("method", node.target) if node.op == "call_method" else node.target
    outcome = evaluator.evaluate(target, args, kwargs, node.meta[MODES])
    given = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, TensorMeta)]
    return outcome.metas(given), {owners[index]: meta for index, meta in outcome.mutated.items()}


def _agree(derived: Any, recorded: Any, written: bool) -> bool:
    """Whether two structures of metas are equal.

    After a write the autograd facts of views are left out: they follow from the storage, not from the call.
    """
    left, right = leaves(derived), leaves(recorded)
    if written:
        left, right = list(map(_without_autograd, left)), list(map(_without_autograd, right))
    return left == right


def _without_autograd(leaf: Any) -> Any:
    return leaf.replace(requires_grad=False, is_leaf=True) if isinstance(leaf, TensorMeta) else leaf


def words(structure: Any) -> str:
    """Every fact of the metas in a structure."""
    return ", ".join(leaf.words if isinstance(leaf, TensorMeta) else repr(leaf) for leaf in leaves(structure))
