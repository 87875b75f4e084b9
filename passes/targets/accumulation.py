"""What a graph calls for `backward()`: a function of tensors, which leaves all attributes as they are.

The gradients that it returns are set by the program that called the graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def accumulated(
    roots: Sequence[torch.Tensor],
    seeds: Sequence[torch.Tensor | None] | None,
    leaves: Sequence[torch.Tensor],
    before: Sequence[torch.Tensor | None],
    keeps_graph: bool,
) -> tuple[torch.Tensor | None, ...]:
    """What `grad` of each leaf is after torch.autograd.backward, by torch itself, if it was `before`.

    `seeds` are the gradients of the roots, and `keeps_graph` says whether they can be differentiated again. Tensors in
    `before` are added to in place.
    """
    kept = [leaf.grad for leaf in leaves]
    try:
        for leaf, gradient in zip(leaves, before, strict=True):
            leaf.grad = gradient
        torch.autograd.backward(roots, seeds, keeps_graph, inputs=leaves)  # type: ignore[arg-type]
        return tuple(leaf.grad for leaf in leaves)
    finally:
        for leaf, gradient in zip(leaves, kept, strict=True):
            leaf.grad = gradient
