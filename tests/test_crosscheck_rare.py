"""Faults that show at few inputs, or in a fact besides the values: each is found without being asked for, as the first
wrong operator of its graph.
"""

import pytest
import torch
from torch.nn import functional

from tests.compiler_faults import replaying, running
from tests.faults import INTEGERS, X, swap
from tests.test_crosscheck_faults import first_finding

BYTES = torch.tensor([5, 9, 200], dtype=torch.uint8)


def trained(tensor):
    return tensor.clone().requires_grad_()


def in_blocks(x):
    """The elements after the last whole block of sixteen are a thousandth off."""
    flat = x.flatten().exp()
    flat[flat.numel() // 16 * 16 :] *= 1.001
    return flat.reshape(x.shape)


def beyond_a_block(x, dim):
    """A sum that goes on wrongly in its second block of 128."""
    shape = [-1 if place == dim % x.dim() else 1 for place in range(x.dim())]
    return torch.cumsum(x, dim) + (torch.arange(x.shape[dim]) >= 128).reshape(shape)


class LastOfGathered(torch.autograd.Function):
    """A gather whose gradient keeps the last of several for one element."""

    @staticmethod
    def forward(ctx, x, index):
        ctx.save_for_backward(x, index)
        return x.gather(1, index)

    @staticmethod
    def backward(ctx, gradient):
        x, index = ctx.saved_tensors
        return torch.zeros_like(x).scatter(1, index, gradient), None


class SineOnce(torch.autograd.Function):
    """A sine that is differentiable once."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].cos()


class ExponentialOfSmall(torch.autograd.Function):
    """An exponential whose slope grows no more beyond 2.9."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].clamp(max=2.9).exp()


def applying(function):
    return running(lambda module, inputs: (function.apply(*inputs),))


def changing(change):
    return running(lambda module, inputs: [change(part) for part in module(*inputs)])


# What is captured, its inputs, the compiler, the operator that is to be named.
FAULTS = {
    "the end of a loop by blocks": (lambda x: torch.exp(x), [torch.linspace(0, 1, 35)], swap("exp", in_blocks), "exp"),
    "an end that there is not": (lambda x: torch.exp(x), [torch.linspace(0, 1, 32)], swap("exp", in_blocks), "exp"),
    "a second block": (lambda x: torch.cumsum(x, 0), [torch.ones(30)], swap("cumsum", beyond_a_block), "cumsum"),
    "denormal numbers are zero": (
        lambda x: x * 0.5, [X], changing(lambda part: torch.where(part.abs() < 1.2e-38, 0.0, part)), "mul"),
    "large numbers saturate": (lambda x: x * 2, [X], changing(lambda part: part.clamp(max=1e4)), "mul"),
    "the middle of two": (
        lambda x: torch.median(x), [torch.arange(4.0)], swap("median", lambda x: x.quantile(0.5)), "median"),
    "truths that are added are one": (
        lambda x, y: x + y, [torch.tensor([True, False]), torch.tensor([True, True])],
        swap("add", torch.logical_xor), "add"),
    "a maximum without NaN": (
        lambda x: torch.amax(x, 1), [X], swap("amax", lambda x, dim: x.nan_to_num(nan=-1e30).amax(dim)), "amax"),
    "a sum without NaN": (lambda x: torch.sum(x, 1), [X], swap("sum", lambda x, dim: x.nansum(dim)), "sum"),
    "a softmax without NaN": (
        lambda x: torch.softmax(x, -1), [X],
        swap("softmax", lambda x, dim, *_: torch.softmax(x, dim).nan_to_num(0.0)), "softmax"),
    "labels that are not smoothed": (
        lambda x, labels: functional.cross_entropy(x, labels, label_smoothing=0.1), [X, torch.arange(4)],
        swap("cross_entropy_loss", lambda x, labels, *_: functional.cross_entropy(x, labels)), "cross_entropy_loss"),
    "an index of 32 bits": (lambda x: torch.argmax(x), [X], swap("argmax", lambda x: x.argmax().int()), "argmax"),
    "a write to a copy of a view": (
        lambda x: (x[:2].mul_(2), x)[1], [X], swap("mul_", lambda x, factor: x.clone().mul_(factor)), "mul_"),
    "a gradient of one of several": (
        lambda x, index: torch.gather(x, 1, index), [trained(X), torch.zeros(4, 3, dtype=torch.long)],
        applying(LastOfGathered), "gather"),
    "no second derivative": (lambda x: x.sin(), [trained(X)], applying(SineOnce), "sin"),
    "a slope that ends": (lambda x: x.exp(), [trained(X)], applying(ExponentialOfSmall), "exp"),
    "a count that is part of the program": (
        lambda x: x.mean(), [X], running(lambda module, inputs: (inputs[0].sum() / X.numel(),)), "mean"),
    "a conjugate resolved twice": (
        lambda x: torch.conj(x) * 2, [torch.complex(X, X + 1)],
        swap("mul", lambda x, factor: x.resolve_conj().conj() * factor if x.is_conj() else x * factor), "mul"),
    "negative quotients towards zero": (
        lambda x: torch.div(x, 3, rounding_mode="floor"), [INTEGERS.abs()],
        swap("div", lambda x, by, rounding_mode: torch.div(x, by, rounding_mode="trunc")), "div"),
    "halves are rounded up": (
        lambda x: torch.round(x), [X], swap("round", lambda x: torch.floor(x + 0.5)), "round"),
    "bytes that do not wrap": (
        lambda x: x - 3, [BYTES], swap("sub", lambda x, by: (x.int() - by).clamp(min=0).to(torch.uint8)), "sub"),
    "an exponential that overflows in a sum": (
        lambda x: torch.logsumexp(x, 1), [X], swap("logsumexp", lambda x, dim: x.exp().sum(dim).log()), "logsumexp"),
    "a view that is a copy": (lambda x: x.t(), [X], changing(torch.clone), "t"),
}  # fmt: skip


def found(name, candidate, folder):
    program, inputs, _, _ = FAULTS[name]
    copies = [one.detach().clone().requires_grad_(one.requires_grad) for one in inputs]
    return first_finding(program, copies, folder, candidate=candidate, shrink=0.0)


@pytest.mark.parametrize("name", FAULTS)
def test_found_and_named(name, tmp_path):
    finding = found(name, FAULTS[name][2], tmp_path)
    assert finding is not None and FAULTS[name][3] in finding.operator


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_said_of_the_graph_itself(name, tmp_path):
    assert found(name, replaying, tmp_path) is None
