"""Products that a bias, a residual or another product is added to, written out by hand, to one operator each.

A tensor that is added to a product of tensors is `addcmul` (rotary embeddings, layer scales, modulation by a scale
and a shift), one that is added to a multiple of a tensor is `add` with an `alpha` (half residuals, guidance), and a
product of matrices with a bias is a linear layer. Each saves a pass over memory.

What is not here was measured: a linear layer with a residual, as `addmm`, and a weighted sum of rows, as a product of
matrices, are faster for some sizes and slower for others.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from passes.rewrite.inputs import tensor
from passes.rewrite.match import Match
from passes.rewrite.rule import RewriteRule

# Products of elements ----------------------------------------------------------------------------


def _one_dtype(match: Match) -> str:
    """Tensors must have the floating point dtype of the result: promoted ones are rounded elsewhere."""
    result = match.result
    assert result is not None
    if not result.dtype.is_floating_point:
        return f"the result is {result.name}"
    for name in match.inputs:
        meta = match.meta(name)
        if meta is not None and meta.dtype != result.dtype:
            return f"{name} is {meta.name}, the result {result.name}"
    return ""


def sum_with_product(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """A tensor and a product of two."""
    return x + y * z


def multiplied_add(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return torch.addcmul(x, y, z)


def difference_of_product(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """A tensor less a product of two."""
    return x - y * z


def multiplied_sub(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return torch.addcmul(x, y, z, value=-1)


FACTORS: Final = {"x": tensor(3, 8), "y": tensor(3, 8), "z": tensor(3, 8)}
PRODUCT_AND_SUM: Final = RewriteRule("product and sum", (sum_with_product,), multiplied_add, FACTORS, _one_dtype)
PRODUCT_AND_DIFFERENCE: Final = RewriteRule(
    "product and difference", (difference_of_product,), multiplied_sub, FACTORS, _one_dtype
)


def sum_with_multiple(x: Tensor, y: Tensor, factor: Any) -> Tensor:
    """A tensor and a multiple of another."""
    return x + y * factor


def scaled_add(x: Tensor, y: Tensor, factor: float) -> Tensor:
    """The replacement: torch's operator."""
    return torch.add(x, y, alpha=factor)


def _by_a_number(match: Match) -> str:
    factor = match.constants["factor"]
    return _one_dtype(match) if isinstance(factor, int | float) else "the factor is no number"


MULTIPLE_AND_SUM: Final = RewriteRule(
    "multiple and sum",
    (sum_with_multiple,),
    scaled_add,
    {"x": tensor(3, 8), "y": tensor(3, 8), "factor": 0.4375},
    _by_a_number,
)


# Products of matrices ----------------------------------------------------------------------------


def linear_of_weight(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear layer with its weight transposed."""
    return torch.matmul(x, weight.transpose(-2, -1)) + bias


def linear_of_einsum(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear layer over rows of a batch, by Einstein's sum."""
    return torch.einsum("bsd,hd->bsh", x, weight) + bias


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The replacement: torch's linear layer."""
    return functional.linear(x, weight, bias)


def _is_linear(match: Match) -> str:
    x, weight, bias = match.meta("x"), match.meta("weight"), match.meta("bias")
    assert x is not None and weight is not None and bias is not None
    if x.rank < 2 or weight.rank != 2 or bias.shape != weight.shape[:1]:
        return f"of {x.name}, {weight.name} and {bias.name}"
    return _one_dtype(match)


LINEAR: Final = RewriteRule(
    "linear",
    (linear_of_weight, linear_of_einsum),
    linear,
    {"x": tensor(2, 3, 8), "weight": tensor(5, 8), "bias": tensor(5)},
    _is_linear,
)

PRODUCTS: Final = (LINEAR, PRODUCT_AND_SUM, PRODUCT_AND_DIFFERENCE, MULTIPLE_AND_SUM)
