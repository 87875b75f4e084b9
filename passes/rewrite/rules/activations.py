"""Activations and softmax written out by hand, as models write them, to torch's one operator for each.

Each replaces several passes over memory by one. Results may differ in the last digits; in half precision torch's
operators round once, where the written out ones round after every step.

What is not here was measured or tried: Mish, a mean squared error and a product with a bias are not faster on a CPU,
and torch's GELU by the error function gives 0.0 for -0.0.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from passes.rewrite.inputs import tensor
from passes.rewrite.match import Match
from passes.rewrite.rule import RewriteRule

X: Final = {"x": tensor(3, 8)}


def sigmoid_by_exponential(x: Tensor) -> Tensor:
    """The logistic function as it is defined."""
    return 1 / (1 + torch.exp(-x))


def sigmoid(x: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return torch.sigmoid(x)


# The exponential overflows for what is far below zero: then the gradient by hand is NaN, that of torch's operator zero.
SIGMOID: Final = RewriteRule("sigmoid", (sigmoid_by_exponential,), sigmoid, X, gradients=False)


def silu_as_product(x: Tensor) -> Tensor:
    """The value times its sigmoid."""
    return x * torch.sigmoid(x)


def silu_as_quotient(x: Tensor) -> Tensor:
    """The value over one plus the exponential of its negative."""
    return x / (1 + torch.exp(-x))


def silu(x: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return functional.silu(x)


SILU: Final = RewriteRule("SiLU", (silu_as_product,), silu, X)
SILU_AS_QUOTIENT: Final = RewriteRule("SiLU as a quotient", (silu_as_quotient,), silu, X, gradients=False)


def gelu_by_tanh(x: Tensor) -> Tensor:
    """GELU by tanh, as GPT-2 has it."""
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


def gelu_by_tanh_of_product(x: Tensor) -> Tensor:
    """GELU by tanh, as BLOOM has it: the value taken out of the sum."""
    return x * 0.5 * (1.0 + torch.tanh(0.79788456 * x * (1 + 0.044715 * x * x)))


def gelu_of_tanh(x: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return functional.gelu(x, approximate="tanh")


GELU_BY_TANH: Final = RewriteRule("GELU by tanh", (gelu_by_tanh, gelu_by_tanh_of_product), gelu_of_tanh, X)


def hardswish_by_clamp(x: Tensor) -> Tensor:
    """The value times its hard sigmoid, by a clamp."""
    return x * torch.clamp(x + 3, 0, 6) / 6


def hardswish_by_relu6(x: Tensor) -> Tensor:
    """The value times its hard sigmoid, by relu6."""
    return x * functional.relu6(x + 3) / 6


def hardswish(x: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return functional.hardswish(x)


# At NaN the slope of torch's operator is NaN or 1, whichever of its loops the element falls to; by hand it is NaN.
HARDSWISH: Final = RewriteRule("hard swish", (hardswish_by_relu6,), hardswish, X, gradients=False)
# Where its pieces meet, at -3 and 3, a clamp has the slope 1, torch's operator the slope 0.
HARDSWISH_BY_CLAMP: Final = RewriteRule("hard swish by a clamp", (hardswish_by_clamp,), hardswish, X, gradients=False)


def hardsigmoid_by_clamp(x: Tensor) -> Tensor:
    """A line between 0 and 1, by a clamp."""
    return torch.clamp(x + 3, 0, 6) / 6


def hardsigmoid_by_relu6(x: Tensor) -> Tensor:
    """A line between 0 and 1, by relu6."""
    return functional.relu6(x + 3) / 6


def hardsigmoid(x: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return functional.hardsigmoid(x)


HARDSIGMOID: Final = RewriteRule("hard sigmoid", (hardsigmoid_by_relu6,), hardsigmoid, X)
# At its ends, -3 and 3, a clamp has the slope 1, torch's operator the slope 0.
HARDSIGMOID_BY_CLAMP: Final = RewriteRule(
    "hard sigmoid by a clamp", (hardsigmoid_by_clamp,), hardsigmoid, X, gradients=False
)


def leaky_relu_by_where(x: Tensor, slope: Any) -> Tensor:
    """The value, or a part of it where it is not positive."""
    return torch.where(x > 0, x, x * slope)


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    """The replacement: torch's operator."""
    return functional.leaky_relu(x, slope)


LEAKY_RELU: Final = RewriteRule("leaky ReLU", (leaky_relu_by_where,), leaky_relu, {**X, "slope": 0.2345})


def leaky_relu_by_maximum(x: Tensor, slope: Any) -> Tensor:
    """The larger one of the value and a part of it."""
    return torch.maximum(x, x * slope)


def _is_part(match: Match) -> str:
    slope = match.constants["slope"]
    return "" if isinstance(slope, int | float) and 0 < slope <= 1 else f"{slope} of a value may be more than the value"


# At zero, a maximum shares the gradient between the two.
LEAKY_RELU_BY_MAXIMUM: Final = RewriteRule(
    "leaky ReLU by a maximum",
    (leaky_relu_by_maximum,),
    leaky_relu,
    {**X, "slope": 0.2345},
    _is_part,
    gradients=False,
)


def elu_by_where(x: Tensor, alpha: Any) -> Tensor:
    """The value, or the multiple of an exponential less one where it is not positive."""
    return torch.where(x > 0, x, alpha * torch.expm1(x))


def elu(x: Tensor, alpha: float) -> Tensor:
    """The replacement: torch's operator."""
    return functional.elu(x, alpha)


# The exponential overflows for what is far above zero: then the gradient by hand is NaN, that of torch's operator one.
ELU: Final = RewriteRule("ELU", (elu_by_where,), elu, {**X, "alpha": 1.234}, gradients=False)


def softplus_by_log1p(x: Tensor) -> Tensor:
    """The logarithm of one plus an exponential, which cannot overflow as it is written."""
    return functional.relu(x) + torch.log1p(torch.exp(-torch.abs(x)))


def softplus_by_clamp(x: Tensor) -> Tensor:
    """The same with the positive part by a clamp."""
    return x.clamp(min=0) + torch.log1p(torch.exp(-torch.abs(x)))


def softplus(x: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return functional.softplus(x)


# At zero, both parts have the gradient zero by hand, where the slope is a half.
SOFTPLUS: Final = RewriteRule("softplus", (softplus_by_log1p, softplus_by_clamp), softplus, X, gradients=False)


def softmax_by_amax(x: Tensor, dim: Any) -> Tensor:
    """Softmax over one dimension, made safe by the largest value."""
    powers = torch.exp(x - x.amax(dim, keepdim=True))
    return powers / powers.sum(dim, keepdim=True)


def softmax_by_max(x: Tensor, dim: Any) -> Tensor:
    """Softmax over one dimension, made safe by the largest value, which comes with its place."""
    powers = torch.exp(x - x.max(dim, keepdim=True)[0])
    return powers / powers.sum(dim, keepdim=True)


def softmax(x: Tensor, dim: int) -> Tensor:
    """The replacement: torch's operator."""
    return torch.softmax(x, dim)


SOFTMAX: Final = RewriteRule("softmax", (softmax_by_amax, softmax_by_max), softmax, {"x": tensor(3, 8, 4), "dim": -2})


def log_softmax_by_logsumexp(x: Tensor, dim: Any) -> Tensor:
    """The values less the logarithm of the sum of their exponentials."""
    return x - torch.logsumexp(x, dim, keepdim=True)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    """The replacement: torch's operator."""
    return torch.log_softmax(x, dim)


# Beside an infinity, the others are minus infinity by hand, NaN by torch's operator.
LOG_SOFTMAX: Final = RewriteRule(
    "log softmax", (log_softmax_by_logsumexp,), log_softmax, {"x": tensor(3, 8, 4), "dim": -2}, finite=("x",)
)


ACTIVATIONS: Final = (
    *(SIGMOID, SILU, SILU_AS_QUOTIENT, GELU_BY_TANH, HARDSWISH, HARDSWISH_BY_CLAMP),
    *(HARDSIGMOID, HARDSIGMOID_BY_CLAMP),
    *(LEAKY_RELU, LEAKY_RELU_BY_MAXIMUM, ELU, SOFTPLUS, SOFTMAX),
)
