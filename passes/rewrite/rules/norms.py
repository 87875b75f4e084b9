"""Normalisations written out by hand, as models write them, to torch's fused operators.

The mean of squares and the variance are over the last dimension. Results may differ in the last digits; in
half precision the fused operators round once, where the written out ones round after every step.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from passes.rewrite.inputs import tensor
from passes.rewrite.match import Match
from passes.rewrite.rule import RewriteRule


def _last_dimension(match: Match) -> str:
    """Weight and bias must be vectors as long as the last dimension of what is normalised."""
    x = match.meta("x")
    assert x is not None
    for name in ("weight", "bias"):
        meta = match.meta(name)
        if meta is not None and meta.shape != x.shape[-1:]:
            return f"the {name} is {meta.name} for {x.name}"
        if meta is not None and meta.dtype != x.dtype:
            return f"the {name} is {meta.name}, what is normalised {x.name}"
    return ""


# RMSNorm -----------------------------------------------------------------------------------------


def rms_norm_weighted(x: Tensor, weight: Tensor, eps: Any) -> Tensor:
    """Root mean square normalization by `rsqrt`, with a weight in front."""
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def rms_norm_bare(x: Tensor, eps: Any) -> Tensor:
    """Root mean square normalization by `rsqrt`, without a weight."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)


def rms_norm_weighted_root(x: Tensor, weight: Tensor, eps: Any) -> Tensor:
    """Root mean square normalization as a division by the root, with a weight behind."""
    return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rms_norm_bare_root(x: Tensor, eps: Any) -> Tensor:
    """Root mean square normalization as a division by the root, without a weight."""
    return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + eps)


def rms_norm_factor_first(x: Tensor, weight: Tensor, eps: Any) -> Tensor:
    """Root mean square normalization with the factor of weight and root computed first."""
    return x * (torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight)


def rms_norm(x: Tensor, eps: float, weight: Tensor | None = None) -> Tensor:
    """The replacement: torch's operator over the last dimension."""
    return torch.rms_norm(x, (x.shape[-1],), weight, eps)


RMS_EXAMPLE: Final = {"x": tensor(2, 3, 8), "weight": tensor(8), "eps": 0.0123}
RMS_NORM: Final = RewriteRule(
    "RMSNorm",
    (rms_norm_weighted, rms_norm_bare, rms_norm_weighted_root, rms_norm_bare_root, rms_norm_factor_first),
    rms_norm,
    RMS_EXAMPLE,
    _last_dimension,
)


def rms_norm_in_float(x: Tensor, weight: Tensor, eps: Any) -> Tensor:
    """Llama's spelling: computed in float32, rounded to bfloat16, then weighted."""
    wide = x.to(torch.float32)
    return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(torch.bfloat16)


def rms_norm_in_float_late(x: Tensor, weight: Tensor, eps: Any) -> Tensor:
    """Gemma's spelling: computed and weighted in float32, then rounded to bfloat16."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps) * weight.float()).to(torch.bfloat16)


HALF_RMS_NORM: Final = RewriteRule(
    "RMSNorm in bfloat16",
    (rms_norm_in_float, rms_norm_in_float_late),
    rms_norm,
    RMS_EXAMPLE,
    _last_dimension,
    dtypes=(torch.bfloat16,),
)


def scaled_normalize_weighted(x: Tensor, weight: Tensor, scale: Any) -> Tensor:
    """Normalization to a length, with a scale and a weight."""
    return functional.normalize(x, dim=-1) * scale * weight


def scaled_normalize(x: Tensor, scale: Any) -> Tensor:
    """Normalization to a length, with a scale."""
    return functional.normalize(x, dim=-1) * scale


def rms_norm_of_length(x: Tensor, scale: float, weight: Tensor | None = None) -> Tensor:
    """The replacement of `functional.normalize`; its `eps` is the bound 1e-12 of the length, squared and rescaled."""
    return torch.rms_norm(x, (x.shape[-1],), weight, (1e-12 / scale) ** 2)


def _scaled_by_root(match: Match) -> str:
    x = match.meta("x")
    assert x is not None
    scale, length = match.constants["scale"], int(x.shape[-1])
    if not isinstance(scale, int | float) or abs(scale * scale - length) > 1e-6 * length:
        return f"the factor {scale} is not the root of the length {length}"
    return _last_dimension(match)


NORMALIZE: Final = RewriteRule(
    "RMSNorm from normalize",
    (scaled_normalize_weighted, scaled_normalize),
    rms_norm_of_length,
    {"x": tensor(2, 3, 8), "weight": tensor(8), "scale": 8**0.5},
    _scaled_by_root,
    dtypes=(torch.float32, torch.float64),
)


# LayerNorm ---------------------------------------------------------------------------------------


def layer_norm_by_squares(x: Tensor, weight: Tensor, bias: Tensor, eps: Any) -> Tensor:
    """The variance as the mean of centred squares, with weight and bias."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt(centred.pow(2).mean(-1, keepdim=True) + eps) * weight + bias


def layer_norm_by_squares_apart(x: Tensor, weight: Tensor, bias: Tensor, eps: Any) -> Tensor:
    """The variance as the mean of squares, the centred values computed twice; weight and bias."""
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt((x - mean).pow(2).mean(-1, keepdim=True) + eps) * weight + bias


def layer_norm_by_squares_inverse(x: Tensor, weight: Tensor, bias: Tensor, eps: Any) -> Tensor:
    """The variance as the mean of centred squares, multiplied by `rsqrt`; weight and bias."""
    centred = x - x.mean(-1, keepdim=True)
    return centred * torch.rsqrt(centred.pow(2).mean(-1, keepdim=True) + eps) * weight + bias


def layer_norm_by_variance(x: Tensor, weight: Tensor, bias: Tensor, eps: Any) -> Tensor:
    """The variance by `var`, divided by its root; weight and bias."""
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


def layer_norm_by_variance_inverse(x: Tensor, weight: Tensor, bias: Tensor, eps: Any) -> Tensor:
    """The variance by `var`, multiplied by `rsqrt`; weight and bias."""
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + eps) * weight + bias


def layer_norm_by_squares_bare(x: Tensor, eps: Any) -> Tensor:
    """The variance as the mean of centred squares, without weight and bias."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt(centred.pow(2).mean(-1, keepdim=True) + eps)


def layer_norm_by_squares_apart_bare(x: Tensor, eps: Any) -> Tensor:
    """The variance as the mean of squares, the centred values computed twice; no weight and bias."""
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt((x - mean).pow(2).mean(-1, keepdim=True) + eps)


def layer_norm_by_squares_inverse_bare(x: Tensor, eps: Any) -> Tensor:
    """The variance as the mean of centred squares, multiplied by `rsqrt`; no weight and bias."""
    centred = x - x.mean(-1, keepdim=True)
    return centred * torch.rsqrt(centred.pow(2).mean(-1, keepdim=True) + eps)


def layer_norm_by_variance_bare(x: Tensor, eps: Any) -> Tensor:
    """The variance by `var`, divided by its root; no weight and bias."""
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps)


def layer_norm_by_variance_inverse_bare(x: Tensor, eps: Any) -> Tensor:
    """The variance by `var`, multiplied by `rsqrt`; no weight and bias."""
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + eps)


def layer_norm(x: Tensor, eps: float, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """The replacement: torch's operator over the last dimension."""
    return torch.layer_norm(x, (x.shape[-1],), weight, bias, eps)


LAYER_NORM: Final = RewriteRule(
    "LayerNorm",
    (
        *(layer_norm_by_squares, layer_norm_by_squares_apart, layer_norm_by_squares_inverse),
        *(layer_norm_by_variance, layer_norm_by_variance_inverse),
        *(layer_norm_by_squares_bare, layer_norm_by_squares_apart_bare, layer_norm_by_squares_inverse_bare),
        *(layer_norm_by_variance_bare, layer_norm_by_variance_inverse_bare),
    ),
    layer_norm,
    {"x": tensor(2, 3, 8), "weight": tensor(8), "bias": tensor(8), "eps": 0.0123},
    _last_dimension,
    zero_signs=False,
)


# Instance norm -----------------------------------------------------------------------------------


def instance_norm_by_variance(x: Tensor, eps: Any) -> Tensor:
    """Each channel of each image less its mean, divided by the root of its variance by `var`."""
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps)


def instance_norm_by_variance_inverse(x: Tensor, eps: Any) -> Tensor:
    """The same, multiplied by `rsqrt`."""
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + eps)


def instance_norm_by_squares(x: Tensor, eps: Any) -> Tensor:
    """The variance as the mean of centred squares."""
    centred = x - x.mean((2, 3), keepdim=True)
    return centred / torch.sqrt(centred.pow(2).mean((2, 3), keepdim=True) + eps)


def instance_norm(x: Tensor, eps: float) -> Tensor:
    """The replacement: torch's operator."""
    return torch.instance_norm(x, None, None, None, None, True, 0.0, eps, False)


def _of_images(match: Match) -> str:
    x = match.meta("x")
    assert x is not None
    return "" if x.rank == 4 else f"of {x.name}"


INSTANCE_NORM: Final = RewriteRule(
    "instance norm",
    (instance_norm_by_variance, instance_norm_by_variance_inverse, instance_norm_by_squares),
    instance_norm,
    {"x": tensor(2, 3, 4, 5), "eps": 0.0123},
    _of_images,
    dtypes=(torch.float32, torch.float64),
    zero_signs=False,
)
