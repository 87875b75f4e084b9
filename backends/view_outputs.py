"""The views that a compiled graph returns: autograd knows of them what it knows of those that the program makes.

Where no gradients are wanted, AOTAutograd runs a graph with gradients off, whatever the mode of the program. A view
that is made then may not be written to later together with a tensor that requires gradients. Knows nothing of captures.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import Graph, Node

from passes.node_meta import prediction_of
from passes.operators.outcome import New

_autograd: Any = torch._C._autograd  # type: ignore[attr-defined]
_NO_GRAD = _autograd.CreationMeta.NO_GRAD_MODE
_ONE_OF_ONE = _autograd.CreationMeta.DEFAULT
_ONE_OF_MANY = _autograd.CreationMeta.MULTI_OUTPUT_NODE


def with_views_of_program(program: Callable[..., Any], graph: Graph) -> Callable[..., Any]:
    """`program`, a compiled `graph`, whose outputs are made as views as in the graph's own mode."""
    outputs: Sequence[Node] = graph.output_node().args[0]  # type: ignore[assignment]
    views = [(place, kind) for place, node in enumerate(outputs) if (kind := _kind_of_view(node)) is not None]
    if not views:
        return program

    def with_views(*inputs: Any) -> Any:
        results = program(*inputs)
        for place, kind in views:
            view = results[place]
            if view._is_view() and not view.is_inference() and _autograd._get_creation_meta(view) == _NO_GRAD:
                _autograd._set_creation_meta(view, kind)
        return results

    return with_views


def _kind_of_view(node: Node) -> Any:
    """How autograd calls a view that a node makes with gradients on; None for any other node."""
    kind = _ONE_OF_ONE
    if node.target is operator.getitem and isinstance(node.args[0], Node):
        maker = prediction_of(node.args[0])
        if maker is not None and isinstance(maker.outcome.result, tuple | list):
            node, kind = node.args[0], _ONE_OF_MANY
    call = prediction_of(node)
    if call is None or not call.modes.grad or call.modes.inference:
        return None
    result = call.outcome.result
    first = result[0] if kind is _ONE_OF_MANY and result else result
    return kind if type(first) is New and first.alias_of is not None else None
