"""torch.autograd.Function in captured programs: one node, with the gradients that its author wrote."""

import torch

from tests.check import check, one_graph
from tracer import capture


class Scaled(torch.autograd.Function):
    """x * x * factor, with a backward of its own that is not the derivative."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * x * factor

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * x * 7 * ctx.factor, None


class Both(torch.autograd.Function):
    """Two results, one of which has no gradient; its context is set up on the side."""

    @staticmethod
    def forward(x, factor=3):
        return x * factor, x > 0

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.factor = inputs[1]
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx, gradient, _):
        return gradient * ctx.factor * 5, None


class Doubling(torch.autograd.Function):
    """Doubles its argument in place."""

    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


CALLS = []
FACTOR = 2


class Counting(torch.autograd.Function):
    """Notes every call."""

    @staticmethod
    def forward(ctx, x):
        CALLS.append(len(CALLS))
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Reading(torch.autograd.Function):
    """What it returns has a shape that hangs on a global."""

    @staticmethod
    def forward(ctx, x):
        return x.new_ones(FACTOR)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.new_zeros(3)


def test_one_node_with_its_own_backward():
    def program(x):
        return Scaled.apply(x, 3) + 1

    one_graph(program, torch.randn(3, requires_grad=True), ops=2)
    one_graph(program, torch.randn(3), ops=2)


def test_context_set_up_on_the_side():
    def program(x):
        scaled, positive = Both.apply(x)
        return scaled, positive, Both.apply(x, factor=2)

    one_graph(program, torch.randn(3, requires_grad=True))


def test_argument_written_to():
    def program(x):
        y = x + 1
        z = Doubling.apply(y)
        return y, z, y is z

    one_graph(program, torch.randn(3, requires_grad=True))


def test_effects_in_forward_break():
    def program(x):
        return Counting.apply(x) + len(CALLS)

    check(program, torch.randn(3, requires_grad=True), recaptures=None)


def test_globals_read_by_forward_are_guarded():
    captured = capture(lambda x: Reading.apply(x) * 2, strict=True)
    try:
        for size in (2, 4, 2):
            globals()["FACTOR"] = size
            assert captured(torch.ones(3)).shape == (size,)
    finally:
        globals()["FACTOR"] = 2


def test_code_of_the_graph_module_finds_the_function():
    """Backends run the module that they are handed, whose code FX prints."""
    check(lambda x: Scaled.apply(x, 2) + 1, torch.ones(3, requires_grad=True), backend=lambda module, _: module.forward)
