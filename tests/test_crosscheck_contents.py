"""Faults that only other contents show, other gradients, or inputs that are one another: each is found by such a
variation of the call, and nothing is said of what is right.
"""

import pytest
import torch
from torch.nn import functional

from tests.compiler_faults import SavingSine, replaying, running, wrong_where
from tests.faults import IMAGE, INTEGERS, X, inf, swap
from tests.test_crosscheck_faults import assert_fails, first_finding

MASK = torch.tensor([True, False, True, False, True, True])


def trained(tensor):
    return tensor.clone().requires_grad_()


def applying(function):
    return running(lambda module, inputs: (function.apply(*inputs),))


def last(name):
    """The last of equal elements in the place of the first."""

    def chosen(x, dim):
        found = getattr(torch, name)(x.flip(dim), dim)
        return x.shape[dim] - 1 - found

    return swap(name, chosen)


def last_maximum(x, dim):
    values, places = torch.max(x.flip(dim), dim)
    return values, x.shape[dim] - 1 - places


def turned_around(x, dim, stable):
    values, places = torch.sort(x.flip(dim), dim=dim, stable=stable)
    return values, x.shape[dim] - 1 - places


def writes_and_reads(x, y):
    x.add_(1)
    return y * 2


def writes_to_both(x, y):
    x.mul_(2)
    y.add_(1)
    return x + y


def reading_first(module, inputs):
    """Reads before it writes, which is the same unless it is the same memory."""
    result = inputs[-1] * 2
    inputs[0].add_(1)
    return (result,)


def writing_last(module, inputs):
    x, y = inputs[0].clone(), inputs[-1].clone()
    inputs[0].copy_(x * 2)
    inputs[-1].copy_(y + 1)
    return (x * 2 + y + 1,)


class SineOfContiguous(SavingSine):
    """Takes the gradient that it is given for contiguous."""

    @staticmethod
    def backward(ctx, gradient):
        memory = gradient if gradient.is_contiguous() else gradient.mT.contiguous().view(gradient.shape)
        return memory * ctx.saved_tensors[0].cos()


class SineOfExpanded(SavingSine):
    """Counts a gradient that was expanded twice."""

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].cos() * (2 if 0 in gradient.stride() else 1)


class ProductOfBoth(torch.autograd.Function):
    """Right only if both factors get gradients."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx, gradient):
        x, y = ctx.saved_tensors
        first, second = ctx.needs_input_grad
        return gradient * y * (1 if second else 2), gradient * x if second else None


def guarded_tanh(x):
    return 1 - 2 / ((2 * x).exp() + 1) if not x.isinf().any() else x


# What is captured, its inputs, the compiler, what was varied, and how.
FAULTS = {
    "the last maximum": (lambda x: torch.argmax(x, 1), [X], last("argmax"), "size content"),
    "the last minimum": (lambda x: torch.argmin(x, 1), [X], last("argmin"), "size content"),
    "the last maximum, with its value": (lambda x: torch.max(x, 1), [X], swap("max", last_maximum), "size content"),
    "a stable order turned around": (
        lambda x: torch.sort(x, dim=1, stable=True), [X], swap("sort", turned_around), "size content"),
    "a NaN is lost": (
        lambda x: torch.clamp(x, -1, 1), [X],
        swap("clamp", lambda x, low, high: torch.where(x > low, torch.where(x < high, x, high), low)), "content"),
    "infinities pass": (lambda x: torch.tanh(x), [X], swap("tanh", guarded_tanh), "content"),
    "an exponential overflows": (
        lambda x: functional.softplus(x), [X], swap("softplus", lambda x, *_: torch.log1p(torch.exp(x))), "content"),
    "negative integers": (
        lambda x: torch.remainder(x, 3), [INTEGERS.abs()], swap("remainder", torch.fmod), "content"),
    "negative indices": (
        lambda x, index: x[index], [X, torch.tensor([0, 1])],
        running(lambda module, inputs: (inputs[0][inputs[1].clamp(min=0)],)), "content"),
    "a mask that hides all": (
        lambda x, mask: x.masked_fill(mask, 0.0), [X, MASK], wrong_where(lambda inputs: bool(inputs[1].all())),
        "layout content"),
    "a mask that hides nothing": (
        lambda x, mask: x.masked_fill(mask, 0.0), [X, MASK],
        wrong_where(lambda inputs: inputs[0].dim() > 1 and not inputs[1].any()), "content"),
    "the sign of zero": (
        lambda x: x * 2, [X + 0.1], running(lambda module, inputs: [part + 0.0 for part in module(*inputs)]),
        "content"),
    "copysign takes -0.0 for positive": (
        lambda x, y: torch.copysign(x, y), [X + 0.1, X + 0.2],
        swap("copysign", lambda x, y: torch.where(y < 0, -x.abs(), x.abs())), "content"),
    "copysign inside of a graph": (
        lambda x, y: torch.copysign(x / 2 + 7, y * 3), [X + 0.1, X + 0.2],
        swap("copysign", lambda x, y: torch.where(y < 0, -x.abs(), x.abs())), "content"),
    "1 / -0.0 is positive": (
        lambda x: torch.reciprocal(x), [X + 0.2], swap("reciprocal", lambda x: torch.where(x == 0, inf, 1 / x)),
        "content"),
    "-0.0 has no sign bit": (
        lambda x: torch.signbit(x), [X + 0.2], swap("signbit", lambda x: x < 0), "content"),
    "0 is greater than 0": (lambda x: x > 0, [X + 0.2], swap("gt", lambda x, y: x >= y), "content"),
    "the angle of -0.0": (
        lambda x, y: torch.atan2(x, y), [X + 0.1, X + 0.2], swap("atan2", lambda x, y: torch.atan2(x + 0.0, y + 0.0)),
        "content"),
    "one tensor twice": (
        lambda x, y: x * y, [X, X + 1],
        wrong_where(lambda inputs: len(inputs) > 1 and inputs[0] is inputs[1]), "joined"),
    "reads what is written to": (writes_and_reads, [X, X + 1], running(reading_first), "joined"),
    "writes to one memory twice": (writes_to_both, [X, X + 1], running(writing_last), "joined"),
    "a gradient in other strides": (lambda x: x.sin(), [trained(X)], applying(SineOfContiguous), "gradients"),
    "a gradient that was expanded": (lambda x: x.sin(), [trained(X)], applying(SineOfExpanded), "gradients"),
    "a gradient for one of two": (
        lambda x, y: x * y, [trained(X), trained(X + 1)], applying(ProductOfBoth), "gradients"),
}  # fmt: skip
SCRIPTS = ("a NaN is lost", "negative integers", "a gradient in other strides")


def found(name, folder, shrink=0.0):
    program, inputs, candidate, _ = FAULTS[name]
    copies = [one.detach().clone().requires_grad_(one.requires_grad) for one in inputs]
    return first_finding(program, copies, folder, candidate=candidate, shrink=shrink)


@pytest.mark.parametrize("name", FAULTS)
def test_found(name, tmp_path):
    finding = found(name, tmp_path)
    assert finding is not None, "not found"
    assert finding.variation.kind in FAULTS[name][3].split(), finding


def test_scripts_fail_by_their_own_assertion(tmp_path):
    assert_fails(*(found(name, tmp_path, shrink=1.0).path for name in SCRIPTS))


@pytest.mark.parametrize(
    "program, inputs",
    [
        (lambda x: torch.argmax(x.sum(0)), [torch.ones(7, 5) / 3]),
        (lambda x: (torch.topk(x, 2), torch.median(x, 1), torch.sort(x, 1)), [X.round()]),
        (lambda x: torch.argmax(torch.softmax(x, -1), -1), [X.round()]),
        (lambda x: functional.max_pool2d(x, 2, return_indices=True), [IMAGE.round()]),
        (lambda x: torch.nan_to_num(x) + torch.frexp(x)[0], [torch.tensor([float("inf"), float("nan"), 1.0])]),
        (writes_to_both, [X, X + 1]),
        (lambda x: (1 / torch.relu(x), torch.copysign(x, x.relu()), torch.sign(x.sum(0) - x.mean(0) * 4)), [X + 0.2]),
        (lambda x, y: (torch.copysign(x, y), torch.atan2(x, y), x / y, x.floor() > y, x // y), [X + 0.1, X + 0.2]),
        (lambda x: functional.layer_norm(x, (6,)) / x.std(), [trained(X)]),
        (lambda x, mask: functional.scaled_dot_product_attention(x, x, x, mask), [X, torch.ones(4, 4).bool()]),
    ],
)
@pytest.mark.parametrize("candidate", [replaying, "aot_eager", "eager"], ids=["graph", "aot_eager", "eager"])
def test_no_false_alarm(program, inputs, candidate, tmp_path):
    copies = [one.detach().clone().requires_grad_(one.requires_grad) for one in inputs]
    assert first_finding(program, copies, tmp_path, candidate=candidate, shrink=0.0) is None


def test_what_was_not_tried_is_told():
    finding = first_finding(FAULTS["a NaN is lost"][0], [X], "", candidate=FAULTS["a NaN is lost"][2], contents=False)
    assert finding is None
