"""Activations and softmax written out by hand, as models write them, to torch's one operator for each.

Each replaces several passes over memory by one. Results may differ in the last digits; in half precision torch's
operators round once, where the written out ones round after every step.

What is not here was measured or tried: Mish, a mean squared error and a product with a bias are not faster on a CPU,
and torch's GELU by the error function gives 0.0 for -0.0.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from passes.rewrite.inputs import tensor
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


HARDSWISH: Final = RewriteRule("hard swish", (hardswish_by_clamp, hardswish_by_relu6), hardswish, X)


def softmax_by_amax(x: Tensor) -> Tensor:
    """Softmax over the last dimension, made safe by the largest value."""
    powers = torch.exp(x - x.amax(-1, keepdim=True))
    return powers / powers.sum(-1, keepdim=True)


def softmax(x: Tensor) -> Tensor:
    """The replacement: torch's operator."""
    return torch.softmax(x, -1)


SOFTMAX: Final = RewriteRule("softmax", (softmax_by_amax,), softmax, X)


ACTIVATIONS: Final = (SIGMOID, SILU, SILU_AS_QUOTIENT, GELU_BY_TANH, HARDSWISH, SOFTMAX)
