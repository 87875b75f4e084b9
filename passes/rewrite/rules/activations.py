"""Activations, softmax and losses written out by hand, as models write them, to torch's one operator for each.

Each replaces several passes over memory by one. Results may differ in the last digits; in half precision torch's
operators round once, where the written out ones round after every step.
"""

from __future__ import annotations

import math
from typing import Final

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


SIGMOID: Final = RewriteRule("sigmoid", (sigmoid_by_exponential,), torch.sigmoid, X)


def silu_as_product(x: Tensor) -> Tensor:
    """The value times its sigmoid."""
    return x * torch.sigmoid(x)


def silu_as_quotient(x: Tensor) -> Tensor:
    """The value over one plus the exponential of its negative."""
    return x / (1 + torch.exp(-x))


def silu(x: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return functional.silu(x)


SILU: Final = RewriteRule("SiLU", (silu_as_product, silu_as_quotient), silu, X)


def mish_by_softplus(x: Tensor) -> Tensor:
    """The value times the tanh of its softplus."""
    return x * torch.tanh(functional.softplus(x))


def mish(x: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return functional.mish(x)


MISH: Final = RewriteRule("Mish", (mish_by_softplus,), mish, X)


def gelu_by_quotient(x: Tensor) -> Tensor:
    """GELU by the error function, as BERT has it."""
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def gelu_by_product(x: Tensor) -> Tensor:
    """GELU by the error function, its argument multiplied."""
    return 0.5 * x * (1.0 + torch.erf(x * math.sqrt(0.5)))


def gelu_by_halves(x: Tensor) -> Tensor:
    """GELU by the error function, the half taken of the sum."""
    return x * (0.5 * (1.0 + torch.erf(x / math.sqrt(2.0))))


def gelu(x: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return functional.gelu(x)


GELU: Final = RewriteRule("GELU", (gelu_by_quotient, gelu_by_product, gelu_by_halves), gelu, X)


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


HARDSWISH: Final = RewriteRule("hard swish", (hardswish_by_clamp, hardswish_by_relu6), hardswish, X)


def softmax_by_amax(x: Tensor) -> Tensor:
    """Softmax over the last dimension, made safe by the largest value."""
    powers = torch.exp(x - x.amax(-1, keepdim=True))
    return powers / powers.sum(-1, keepdim=True)


def softmax(x: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return torch.softmax(x, -1)


SOFTMAX: Final = RewriteRule("softmax", (softmax_by_amax,), softmax, X)


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """The mean of squared differences."""
    return (x - y).pow(2).mean()


def mse_loss(x: Tensor, y: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return functional.mse_loss(x, y)


def _alike(match: Match) -> str:
    x, y = match.meta("x"), match.meta("y")
    assert x is not None and y is not None
    return "" if (x.shape, x.dtype) == (y.shape, y.dtype) else f"{x.name} and {y.name} are broadcast"


MSE: Final = RewriteRule("mean squared error", (squared_error,), mse_loss, X | {"y": tensor(3, 8)}, _alike)


def biased_product(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """A linear layer as a product and a sum."""
    return torch.matmul(x, w.t()) + b


def linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return functional.linear(x, w, b)


def _is_linear(match: Match) -> str:
    x, w, b = match.meta("x"), match.meta("w"), match.meta("b")
    assert x is not None and w is not None and b is not None
    if w.rank != 2 or x.rank < 2 or b.shape != w.shape[:1]:
        return f"{x.name}, {w.name} and {b.name} are no linear layer"
    return "" if x.dtype == w.dtype == b.dtype else f"{x.name}, {w.name} and {b.name} are of several dtypes"


LINEAR: Final = RewriteRule(
    "linear", (biased_product,), linear, {"x": tensor(3, 8), "w": tensor(5, 8), "b": tensor(5)}, _is_linear
)


ACTIVATIONS: Final = (SILU, SIGMOID, MISH, GELU, GELU_BY_TANH, HARDSWISH, SOFTMAX, MSE, LINEAR)
