"""Distances between all pairs of rows, written out by hand with a table of all differences, to `cdist`.

The table has an entry for each pair and each column; torch's operator keeps none. Its ways to compute by a product of
matrices lose digits, so they are not used. The rules are for inference: a NaN in one row makes torch's gradients of
others NaN, and the gradient of a root is NaN by hand where two rows are equal, that of torch's operator zero.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from passes.rewrite.inputs import tensor
from passes.rewrite.match import Match
from passes.rewrite.rule import RewriteRule

EXACT: Final = "donot_use_mm_for_euclid_dist"
EXAMPLE: Final = {"a": tensor(5, 8), "b": tensor(6, 8)}
DTYPES: Final = (torch.float32, torch.float64)
"""Those that `cdist` computes in."""


def _of_matrices(match: Match) -> str:
    a, b = match.meta("a"), match.meta("b")
    assert a is not None and b is not None
    if a.rank != 2 or b.rank != 2 or a.dtype != b.dtype or a.shape[1] != b.shape[1]:
        return f"of {a.name} and {b.name}"
    return ""


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """The sums of the squares of differences, rows put against each other by `unsqueeze`."""
    return (a.unsqueeze(1) - b.unsqueeze(0)).pow(2).sum(-1)


def squared_distances_indexed(a: Tensor, b: Tensor) -> Tensor:
    """The sums of the squares of differences, rows put against each other by indices."""
    return (a[:, None] - b[None]).pow(2).sum(-1)


def squared_distances_sliced(a: Tensor, b: Tensor) -> Tensor:
    """The sums of the squares of differences, rows put against each other by indices with every slice named."""
    return (a[:, None, :] - b[None, :, :]).pow(2).sum(-1)


def squares_of_distances(a: Tensor, b: Tensor) -> Tensor:
    """The replacement: the squares of torch's distances."""
    return torch.cdist(a, b, 2.0, EXACT).pow(2)


SQUARED_DISTANCES: Final = RewriteRule(
    "squared distances",
    (squared_distances, squared_distances_indexed, squared_distances_sliced),
    squares_of_distances,
    EXAMPLE,
    _of_matrices,
    DTYPES,
    gradients=False,
)


def absolute_distances(a: Tensor, b: Tensor) -> Tensor:
    """The sums of absolute differences, rows put against each other by `unsqueeze`."""
    return (a.unsqueeze(1) - b.unsqueeze(0)).abs().sum(-1)


def absolute_distances_indexed(a: Tensor, b: Tensor) -> Tensor:
    """The sums of absolute differences, rows put against each other by indices."""
    return (a[:, None] - b[None]).abs().sum(-1)


def absolute_distances_sliced(a: Tensor, b: Tensor) -> Tensor:
    """The sums of absolute differences, rows put against each other by indices with every slice named."""
    return (a[:, None, :] - b[None, :, :]).abs().sum(-1)


def distances_by_one(a: Tensor, b: Tensor) -> Tensor:
    """The replacement: torch's distances by the sum of absolute differences."""
    return torch.cdist(a, b, 1.0)


ABSOLUTE_DISTANCES: Final = RewriteRule(
    "absolute distances",
    (absolute_distances, absolute_distances_indexed, absolute_distances_sliced),
    distances_by_one,
    EXAMPLE,
    _of_matrices,
    DTYPES,
    gradients=False,
)


def distances_by_root(a: Tensor, b: Tensor) -> Tensor:
    """The roots of the sums of squares of differences."""
    return (a.unsqueeze(1) - b.unsqueeze(0)).pow(2).sum(-1).sqrt()


def distances_by_root_indexed(a: Tensor, b: Tensor) -> Tensor:
    """The roots of the sums of squares of differences, rows put against each other by indices."""
    return (a[:, None] - b[None]).pow(2).sum(-1).sqrt()


def distances(a: Tensor, b: Tensor) -> Tensor:
    """The replacement: torch's distances."""
    return torch.cdist(a, b, 2.0, EXACT)


DISTANCES: Final = RewriteRule(
    "distances",
    (distances_by_root, distances_by_root_indexed),
    distances,
    EXAMPLE,
    _of_matrices,
    DTYPES,
    gradients=False,
)

PAIRWISE: Final = (DISTANCES, SQUARED_DISTANCES, ABSOLUTE_DISTANCES)
