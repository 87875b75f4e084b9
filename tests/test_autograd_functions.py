"""torch.autograd.Function in captured programs: one node, with the gradients that its author wrote."""

import pytest
import torch
from torch.autograd.function import once_differentiable

from tests.check import BACKENDS, check, one_graph
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


# Compilers, which run `backward` once ------------------------------------------------------------------


STATE = {"scale": 2, "calls": 0}
SCALE = 2


class Settings:
    scale = 2


def forward(ctx, x):
    ctx.settings = Settings
    return x * 1


def plain_forward(ctx, x):
    ctx.save_for_backward(x)
    ctx.factor = 3
    return x * 3


def by_dictionary(ctx, gradient):
    STATE["calls"] += 1
    return gradient * STATE["scale"]


def by_global(ctx, gradient):
    return gradient * SCALE


def by_helper(ctx, gradient):
    return by_global(ctx, gradient)


def by_class(ctx, gradient):
    return gradient * Settings.scale


def by_context(ctx, gradient):
    return gradient * ctx.settings.scale


def by_default(ctx, gradient, state=STATE):
    return gradient * state["scale"]


def printing(ctx, gradient):
    print("backward")
    return gradient * 2


def by_closure():
    scale = STATE
    return lambda ctx, gradient: gradient * scale["scale"]


def plain(ctx, gradient):
    (x,) = ctx.saved_tensors
    if not ctx.needs_input_grad[0]:
        return None
    result = torch.zeros_like(gradient)
    result[gradient > 0] = ctx.factor
    with torch.no_grad():
        result = result + torch.relu(x).sum(dim=0)
    return max(result, gradient, key=len) * gradient


def function(backward, forward=forward):
    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Function", (torch.autograd.Function,), methods)


def set_scale(scale):
    STATE["scale"] = Settings.scale = scale
    globals()["SCALE"] = scale


def gradients_while_scales_change(program):
    """Gradients at each of four calls: the scale is set before some calls, and between a call and its backward."""
    STATE["calls"] = 0
    gradients = []
    for before, between in ((2, 2), (3, 3), (3, 5), (2, 4)):
        x = torch.ones(2, requires_grad=True)
        set_scale(before)
        result = program(x)
        set_scale(between)
        result.backward()
        gradients.append(x.grad.tolist())
    set_scale(2)
    return gradients, STATE["calls"]


IMPURE = (by_dictionary, by_global, by_helper, by_class, by_context, by_default, printing, by_closure())


@pytest.mark.parametrize("backward", IMPURE, ids=lambda backward: backward.__name__)
@pytest.mark.parametrize("once", [False, True])
def test_backward_sees_what_it_reads_when_it_runs(backward, once):
    applied = function(once_differentiable(backward) if once else backward)

    def program(x):
        return applied.apply(x * 1).sum() + 1

    expected = gradients_while_scales_change(program)
    for backend in ("eager", "aot_eager", lambda module, _: module.forward):
        assert gradients_while_scales_change(capture(program, backend=backend, strict=True)) == expected


@pytest.mark.parametrize("once", [False, True])
def test_backward_that_reads_only_what_cannot_change_stays_in_the_graph(once):
    applied = function(once_differentiable(plain) if once else plain, plain_forward)
    for backend in ("eager", "aot_eager"):
        one_graph(lambda x: applied.apply(x * 1).sum() + 1, torch.ones(2, requires_grad=True), backend=backend)


class OfItsClass(torch.autograd.Function):
    """Both of its methods are class methods, as those of the package `entmax` are."""

    @classmethod
    def forward(cls, ctx, x):
        ctx.save_for_backward(x)
        ctx.factor = 3
        return x * 3

    @classmethod
    def backward(cls, ctx, gradient):
        return plain(ctx, gradient)


class ByItsClass(OfItsClass):
    dim = 2

    @classmethod
    def backward(cls, ctx, gradient):
        return gradient * cls.dim


def test_class_methods():
    for backend in BACKENDS.values():
        one_graph(lambda x: OfItsClass.apply(x * 1).sum() + 1, torch.ones(2, requires_grad=True), backend=backend)


def test_class_method_that_reads_its_class_sees_what_that_has_when_it_runs():
    for backend in BACKENDS.values():
        captured = capture(lambda x: ByItsClass.apply(x * 1).sum(), backend=backend, strict=True)
        try:
            for factor in (2, 5):
                x = torch.ones(2, requires_grad=True)
                result = captured(x)
                ByItsClass.dim = factor
                result.backward()
                assert x.grad.tolist() == [factor, factor]
        finally:
            ByItsClass.dim = 2


def test_replaced_backward_and_replaced_helper_are_seen():
    def helper(gradient):
        return gradient * 2

    applied = function(lambda ctx, gradient: globals_helper(gradient))

    def gradients(program):
        found = []
        globals()["globals_helper"] = helper
        applied.backward = staticmethod(lambda ctx, gradient: globals_helper(gradient))
        for change in (lambda: None, lambda: globals().update(globals_helper=torch.neg), lambda: replace(applied)):
            change()
            x = torch.ones(2, requires_grad=True)
            program(x).backward()
            found.append(x.grad.tolist())
        return found

    def program(x):
        return applied.apply(x * 1).sum()

    expected = gradients(program)
    assert expected == [[2, 2], [-1, -1], [7, 7]]
    for backend in ("eager", "aot_eager"):
        assert gradients(capture(program, backend=backend, strict=True)) == expected


def globals_helper(gradient):
    """Replaced by the test above."""
    return gradient


def replace(applied):
    applied.backward = staticmethod(lambda ctx, gradient: gradient * 7)


def test_without_gradients_no_backward_is_asked():
    for backend in ("eager", "aot_eager"):
        one_graph(lambda x: function_by_global.apply(x) + 1, torch.ones(2), backend=backend)


function_by_global = function(by_global, plain_forward)
