"""The graph that a captured function runs, with the graph's own inputs.

All that is known of captures is that they have `entries`, that an entry has a `function`, and that the function calls
its graph by the global name `graph`. The graph does not run, and a residual program has no effects before it calls its
graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch.fx import GraphModule
from torch.utils._pytree import tree_map

from backends.crosscheck.walk import undisturbed


class _Reached(BaseException):
    """Ends the call of a captured function at the point where its graph would run."""


def observed_graph(captured: Any, args: Sequence[Any]) -> tuple[GraphModule, list[Any]]:
    """The graph and its inputs, parameters included, of the call `captured(*args)`.

    A function that was not captured for such arguments yet is called once, on copies of them. Raises TypeError for an
    object that is not captured, ValueError for a call that is not one whole graph.
    """
    if not hasattr(captured, "entries"):
        raise TypeError(f"expected a captured function or a GraphModule, not a {type(captured).__name__}")
    with undisturbed():
        node = _reached(captured, args)
        if node is None:
            captured(*_copied(args))
            node = _reached(captured, args)
    if node is None:
        raise ValueError(f"the call of {captured!r} runs no graph, or is captured anew each time")
    return node


def _reached(captured: Any, args: Sequence[Any]) -> tuple[GraphModule, list[Any]] | None:
    """The graph module and inputs that the call reaches first among the existing entries; None if no entry fits it."""
    reached: list[tuple[Any, list[Any]]] = []
    entries = [entry for entry in captured.entries if entry.graph_module is not None]
    with ExitStack() as stack:
        for entry in entries:
            stack.enter_context(_intercepted(entry, reached))
        if entries:
            with suppress(_Reached):
                captured(*_copied(args))
    if not reached:
        return None
    entry, inputs = reached[0]
    if entry.broke is not None:
        raise ValueError(f"{captured!r} breaks ({entry.broke.reason.id}): the call is more than one graph")
    return entry.graph_module, inputs


@contextmanager
def _intercepted(entry: Any, reached: list[tuple[Any, list[Any]]]) -> Iterator[None]:
    namespace = entry.function.__globals__
    graph = namespace["graph"]

    def note(*inputs: Any) -> Any:
        reached.append((entry, list(inputs)))
        raise _Reached

    namespace["graph"] = note
    try:
        yield
    finally:
        namespace["graph"] = graph


def _copied(args: Sequence[Any]) -> list[Any]:
    def copied(leaf: Any) -> Any:
        return leaf.detach().clone().requires_grad_(leaf.requires_grad) if isinstance(leaf, torch.Tensor) else leaf

    return tree_map(copied, list(args))
