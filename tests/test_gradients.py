"""Gradients through captured programs, training steps, and autograd's own interfaces."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests import models
from tests.check import check, one_graph, tensors_in
from tracer import capture, counters, graph_break

TRAINED = ["resnet", "mlp", "gpt2", "bert", "t5", "torch-transformer", "lstm-tagger"]


class Square(torch.autograd.Function):
    """x * x with a backward of its own that scales by ten."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * x * 20


def test_gradients_of_arguments():
    def program(x, weight):
        return F.relu(x @ weight).pow(2).sum(), x * 2

    one_graph(program, torch.randn(3, 4, requires_grad=True), torch.randn(4, 2, requires_grad=True))


def test_gradients_through_in_place_and_views():
    def program(x):
        y = x * 2
        y[0] = 0
        y.view(-1)[1:].mul_(3)
        return y

    one_graph(program, torch.randn(2, 3, requires_grad=True))


def test_detach_and_stop_of_gradients():
    def program(x):
        return x * x.detach(), x.detach().requires_grad

    one_graph(program, torch.randn(3, requires_grad=True))


def test_gradients_across_a_break():
    def program(x):
        y = x * 2
        graph_break()
        return y * x

    check(program, torch.randn(3, requires_grad=True), graphs=2, breaks=["explicit"])


def test_gradient_needed_is_guarded():
    captured = capture(lambda x: x * 2, strict=True)
    assert not captured(torch.ones(2)).requires_grad
    assert captured(torch.ones(2, requires_grad=True)).requires_grad
    assert not captured(torch.ones(2)).requires_grad


def test_double_backward():
    def program(x):
        return (x**3).sum()

    captured = capture(program, strict=True)
    x = torch.randn(3, requires_grad=True)
    (first,) = torch.autograd.grad(captured(x), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    torch.testing.assert_close(second, 6 * x)


def test_backward_twice_needs_retain_graph():
    captured = capture(lambda x: (x * x).sum(), strict=True)
    loss = captured(torch.ones(2, requires_grad=True))
    loss.backward(retain_graph=True)
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_autograd_function():
    def program(x):
        return Square.apply(x) + 1

    check(program, torch.randn(3, requires_grad=True))


def test_autograd_grad_inside():
    def program(x):
        y = (x**2).sum()
        (gradient,) = torch.autograd.grad(y, x)
        return gradient * 2

    check(program, torch.randn(3, requires_grad=True), recaptures=None, gradients=False)


def test_requires_grad_set_inside():
    def program(x):
        y = x.clone()
        y.requires_grad_()
        return y * 2, y.requires_grad

    check(program, torch.randn(3), recaptures=None, gradients=False)


def test_hook_on_a_tensor():
    def program(x, log):
        y = x * 2
        y.register_hook(lambda gradient: log.append("hook") or gradient * 10)
        return y + 1

    check(program, torch.randn(3, requires_grad=True), [], recaptures=None)


def test_grad_attribute_is_read():
    def program(x):
        return None if x.grad is None else x.grad + 1

    captured = capture(program, strict=True)
    x = torch.ones(2, requires_grad=True)
    assert captured(x) is None
    x.grad = torch.ones(2)
    assert torch.equal(captured(x), torch.full((2,), 2.0))
    x.grad = None
    assert captured(x) is None


def test_zero_grad_and_set_to_none():
    def program(model, x):
        model.zero_grad()
        return model(x)

    check(program, nn.Linear(2, 2), torch.randn(3, 2), recaptures=None)


def test_func_grad_and_vmap():
    def program(x):
        return torch.func.grad(lambda v: (v**2).sum())(x), torch.func.vmap(lambda v: v * 2)(x)

    check(program, torch.randn(3), recaptures=None)


def loss_of(output):
    """One number that depends on every floating tensor of a model's output that has gradients."""
    return sum((tensor.float() ** 2).mean() for tensor in tensors_in(output) if tensor.requires_grad)


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_of_all_parameters_are_those_of_eager(name):
    gradients = []
    for wrap in (lambda model: model, lambda model: capture(model, strict=True)):
        model, args, kwargs = models.build(name)
        model.train()
        torch.manual_seed(5)
        loss = loss_of(wrap(model)(*args, **kwargs))
        loss.backward()
        gradients.append({key: parameter.grad for key, parameter in model.named_parameters()})
    plain, captured = gradients
    assert any(gradient is not None for gradient in plain.values())
    for key, expected in plain.items():
        found = captured[key]
        assert (expected is None) == (found is None), key
        assert expected is None or torch.equal(expected, found), key


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_training_loop(optimizer):
    def train(wrap):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.GELU(), nn.Linear(8, 1))
        step = wrap(lambda model, x, y: F.mse_loss(model(x), y))
        update = optimizer(model.parameters(), lr=0.1)
        losses = []
        for _ in range(5):
            update.zero_grad()
            loss = step(model, torch.randn(6, 4), torch.randn(6, 1))
            loss.backward()
            update.step()
            losses.append(loss.detach())
        return torch.stack(losses), [parameter.detach() for parameter in model.parameters()]

    plain_losses, plain_parameters = train(lambda step: step)
    losses, parameters = train(lambda step: capture(step, strict=True))
    assert torch.equal(losses, plain_losses)
    assert all(map(torch.equal, parameters, plain_parameters))
    assert counters().captures <= 2


def test_whole_training_step_captured():
    def program(model, update, x, y):
        update.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        update.step()
        return loss.detach()

    def make():
        model = nn.Linear(3, 1)
        return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), torch.randn(4, 3), torch.randn(4, 1)

    check(program, make=make, gradients=False, recaptures=None, fresh=False, calls=3)
