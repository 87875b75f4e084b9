"""Passes that make a graph smaller without a pattern: dead code, common subexpressions, constant folding."""

from __future__ import annotations

import operator
from collections.abc import Hashable
from typing import Any, Final

import torch
from torch.fx import Node

from passes.meta import TensorMeta, meta_of
from passes.node_meta import META, MODES, is_write, modes_of, result_meta
from passes.operators.catalogue import FAMILIES, is_removable, is_repeatable
from passes.operators.modes import Modes, entered
from passes.rewrite.draft import Draft
from passes.rewrite.forms import bits, form_of
from passes.rewrite.pipeline import GraphPass

FACTORIES: Final = (FAMILIES["factory"], FAMILIES["range"])
LARGEST_CONSTANT: Final = 1 << 20
"""Elements that a folded constant may have: it stays in memory for as long as the program."""


def repeatable(node: Node) -> bool:
    """Whether a call may be made twice, or once instead of twice, and nobody can tell."""
    if node.op not in ("call_function", "call_method") or is_write(node) or modes_of(node) is None:
        return False
    target = ("method", node.target) if node.op == "call_method" else node.target
    return is_repeatable(target, node.args, tuple(node.kwargs.items()))


# Dead code ---------------------------------------------------------------------------------------


def dead_code(draft: Draft) -> None:
    """Remove calls whose results nobody uses, and that do nothing besides."""
    for node in reversed(draft.graph.nodes):
        if not node.users and _may_go(node) and draft.erase([node]):
            draft.fire(DEAD_CODE.name, node, [node], [])


def _may_go(node: Node) -> bool:
    if node.op == "get_attr":
        return True
    if node.op not in ("call_function", "call_method") or is_write(node):
        return False
    if node.target is operator.getitem:
        return len(node.all_input_nodes) == 1  # a tensor among the indices may be out of range
    target = ("method", node.target) if node.op == "call_method" else node.target
    return is_removable(target, node.args, tuple(node.kwargs.items()))


# Common subexpressions ---------------------------------------------------------------------------


def common_subexpressions(draft: Draft) -> None:
    """Calls that repeat an earlier one take its result, unless one of the two is written to or both are returned."""
    seen: dict[Hashable, Node] = {}
    versions: dict[int, int] = {}
    writes = {write.node: write for write in draft.writes}
    for node in list(draft.graph.nodes):
        write = writes.get(node)
        if write is not None:
            for storage in range(len(draft.memory.storages)) if write.storages is None else write.storages:
                versions[storage] = versions.get(storage, 0) + 1
        elif repeatable(node):
            key = _value_number(draft, node, versions)
            first = key and seen.setdefault(key, node)
            if isinstance(first, Node) and first is not node and _may_be_one(draft, first, node):
                node.replace_all_uses_with(first)
                draft.fire(COMMON.name, node, draft.erase([node]), [])


def _value_number(draft: Draft, node: Node, versions: dict[int, int]) -> Hashable:
    """Equal for calls that give equal values; None for a call with an argument that cannot be compared."""
    form = form_of(node, exact=True)
    assert form is not None
    read = sorted(draft.storages(node.all_input_nodes))
    memory = tuple((storage, versions[storage]) for storage in read if storage in versions)
    key = (form.operator, bits(form.arguments), node.meta[MODES], bits(result_meta(node)), memory)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _may_be_one(draft: Draft, first: Node, second: Node) -> bool:
    """Whether nobody can tell if two equal results are one tensor."""
    if any(user.op == "output" for user in first.users) and any(user.op == "output" for user in second.users):
        return False
    if any(is_write(user) for node in (first, second) for user in node.users):
        return False
    fresh = [draft.storages([node]) - draft.storages(node.all_input_nodes) for node in (first, second)]
    if (fresh[0] | fresh[1]) & draft.written:
        return False
    return not all(any(map(draft.escapes, storages)) for storages in fresh)


# Constant folding --------------------------------------------------------------------------------


def constant_folding(draft: Draft) -> None:
    """What is computed from no input is computed once, now; only what is neither written to nor returned."""
    values: dict[Node, Any] = {}
    for node in draft.graph.nodes:
        if _is_constant(draft, node, values):
            values.update(_computed(node, values))
    for node in [node for node in values if not values.keys() >= node.users.keys()]:
        meta = node.meta[META]
        if node.op != "get_attr" and isinstance(meta, TensorMeta) and isinstance(values[node], torch.Tensor):
            with draft.graph.inserting_before(node):
                constant = draft.constant(f"constant_{node.name}", values[node], meta)
            node.replace_all_uses_with(constant)
            draft.fire(FOLDING.name, node, draft.erase([node]), [constant])


def _is_constant(draft: Draft, node: Node, values: dict[Node, Any]) -> bool:
    meta = result_meta(node)
    if not repeatable(node) or not isinstance(meta, TensorMeta) or meta.symbolic or meta.requires_grad:
        return False
    inputs = node.all_input_nodes
    if not inputs and (
        draft.family(node) not in FACTORIES or "empty" in str(getattr(node.target, "__name__", node.target))
    ):
        return False
    if not all(used in values for used in inputs) or meta.element_count > LARGEST_CONSTANT:
        return False
    storages = draft.storages([node])
    return not storages & draft.written and not any(map(draft.escapes, storages))


def _computed(node: Node, values: dict[Node, Any]) -> dict[Node, Any]:
    """The value of a call on constants; nothing where it cannot be computed now, or is not what was predicted."""
    modes: Modes = node.meta[MODES]
    args, kwargs = torch.fx.map_arg((node.args, dict(node.kwargs)), values.__getitem__)  # type: ignore[misc]
    try:
        with entered(modes):
            result = run_call(node, args, kwargs)
    except (ValueError, RuntimeError, TypeError, IndexError):
        return {}
    if not isinstance(result, torch.Tensor) or meta_of(result) != node.meta[META]:
        return {}
    return {node: result}


def run_call(node: Node, args: Any, kwargs: Any) -> Any:
    """The call of a node on real arguments."""
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]


DEAD_CODE: Final = GraphPass("dead code", dead_code)
COMMON: Final = GraphPass("common subexpressions", common_subexpressions)
FOLDING: Final = GraphPass("constant folding", constant_folding)
