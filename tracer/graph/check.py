"""Checks of a finished graph: it is well formed, and every meta on it follows from the metas of its inputs.

A finding is an error of ours, a TracerBug.
"""

from __future__ import annotations

from typing import Any

from torch.fx import Graph, Node

from passes.meta import TensorMeta
from passes.node_meta import MODES, modes_of, result_meta
from passes.operators.evaluate import Evaluator
from passes.operators.outcome import leaves
from passes.propagate import derive
from tracer.graph.show import statement
from tracer.reasons import TracerBug


def check_graph(graph: Graph, evaluator: Evaluator) -> None:
    """Raise TracerBug unless `graph` is well formed and its metas can be derived again, call by call."""
    check_form(graph)
    current: dict[Node, Any] = {}  # what each node stands for by now: in-place calls change it
    written = False
    for node in graph.nodes:
        recorded = current[node] = result_meta(node)
        if node.op not in ("call_function", "call_method") or modes_of(node) is None:
            continue
        derived, changed, _ = derive(node, evaluator, current, node.meta[MODES])
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
        if node.op == "placeholder" and result_meta(node) is None:
            raise TracerBug(f"the input {node.name} has no meta")
    last = next(iter(reversed(graph.nodes)), None)
    if last is None or last.op != "output" or not isinstance(last.args[0], tuple):
        raise TracerBug(f"the graph must end by returning a tuple, it ends with {last}")


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
