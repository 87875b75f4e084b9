"""A batch normalisation with fixed statistics behind a convolution, folded into the convolution's weights.

Parameters are inputs of our graphs, so the folding is arithmetic of the graph: right whatever becomes of
the parameters, and differentiable. It pays where parameters do not change and frozen.py makes it once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from passes.rewrite.inputs import tensor
from passes.rewrite.rule import RewriteRule

CONVOLUTIONS: Final[dict[int, Callable[..., Tensor]]] = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}


def _rule(rank: int) -> RewriteRule:
    convolve = CONVOLUTIONS[rank]

    def convolution_then_norm(
        x: Tensor, w: Tensor, b: Tensor, stride: Any, padding: Any, dilation: Any, groups: Any,
        mean: Tensor, var: Tensor, gamma: Tensor, beta: Tensor, momentum: Any, eps: Any,
    ) -> Tensor:  # fmt: skip
        y = convolve(x, w, b, stride, padding, dilation, groups)
        return functional.batch_norm(y, mean, var, gamma, beta, False, momentum, eps)

    def unbiased_convolution_then_norm(
        x: Tensor, w: Tensor, stride: Any, padding: Any, dilation: Any, groups: Any,
        mean: Tensor, var: Tensor, gamma: Tensor, beta: Tensor, momentum: Any, eps: Any,
    ) -> Tensor:  # fmt: skip
        y = convolve(x, w, None, stride, padding, dilation, groups)
        return functional.batch_norm(y, mean, var, gamma, beta, False, momentum, eps)

    def folded_convolution(
        x: Tensor, w: Tensor, stride: Any, padding: Any, dilation: Any, groups: Any,
        mean: Tensor, var: Tensor, gamma: Tensor, beta: Tensor, eps: float, b: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        factor = gamma * torch.rsqrt(var + eps)
        shift = mean if b is None else mean - b
        weight = w * factor.view(-1, *(1,) * (w.dim() - 1))
        return convolve(x, weight, beta - shift * factor, stride, padding, dilation, groups)

    vector = tensor(6)
    return RewriteRule(
        f"convolution and batch norm, {rank}d",
        (convolution_then_norm, unbiased_convolution_then_norm),
        folded_convolution,
        {
            "x": tensor(2, 4, *(9,) * rank),
            "w": tensor(6, 2, *(3,) * rank),
            "b": vector,
            "gamma": vector,
            "beta": vector,
            "mean": tensor(6, gradient=False),
            "var": tensor(6, positive=True, gradient=False),
            "stride": (3,) * rank,
            "padding": (1,) * rank,
            "dilation": (2,) * rank,
            "groups": 2,
            "momentum": 0.0321,
            "eps": 0.0123,
        },
        dtypes=(torch.float32, torch.float64),
        zero_signs=False,
        finite=("w", "b", "gamma", "beta", "mean", "var"),
    )


CONVOLUTION_NORM: Final = tuple(map(_rule, CONVOLUTIONS))
