"""`backward()` and `torch.autograd.grad` inside a captured function: a call of its graph."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tests.check import BACKENDS, check
from tests.same import differences
from tracer import capture, counters, reset


def leaf():
    return torch.linspace(-1.0, 1.0, 6).reshape(2, 3).requires_grad_()


def backward(w, x):
    ((w * x).sum()).backward()
    return w.grad * 2


def twice(w, x):
    loss = (w * x).sin().sum()
    loss.backward(retain_graph=True)
    loss.backward()
    return w.grad


def seeded(w, x):
    (w * x).backward(x)
    torch.autograd.backward([(w * 2).sum(), w * 3], [None, x])
    return w.grad


def only_one(w, x):
    v = (x * 2).requires_grad_()
    (w * v).sum().backward(inputs=[w])
    return v.grad, w.grad


def leaf_inside(w, x):
    v = x.clone().requires_grad_()
    (w * v).sum().backward()
    return v, v.grad + 1


def in_place(w, x):
    y = torch.zeros(2, 3)
    y[0] = w[0] * 2
    y += x
    F.relu(y, inplace=True)
    y.sum().backward()


def unused(w, x):
    (x * 2 + w.detach()).sum().requires_grad_().backward()
    return w.grad


def transposed(w, x):
    (x.t() @ w).sum().backward()
    return w.grad.stride()


def hooked(w, x):
    y = w * 2
    y.register_hook(lambda gradient: gradient * 10)
    (y * x).sum().backward()


def cleared(w, x):
    w.grad = None
    (w * x).sum().backward()
    old = w.grad
    w.grad = torch.ones_like(w)
    (w * x).sum().backward()
    return old, w.grad is old


def by_hand(w, x):
    (w * x).square().sum().backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
        w.grad.zero_()


def checkpointed(w, x):
    checkpoint(lambda y: (y * x).sin(), w, use_reentrant=False).sum().backward()


def dropped(w, x):
    F.dropout(w * x, 0.5).sum().backward()


def gradients(w, x):
    return torch.autograd.grad((w * x).sin().sum(), w)


def unused_gradient(w, x):
    v = (x * 2).requires_grad_()
    return torch.autograd.grad((w * x).sum(), [w, v], allow_unused=True)


def zero_gradient(w, x):
    v = (x * 2).requires_grad_()
    return torch.autograd.grad((w * x).sum(), [v, w], allow_unused=True, materialize_grads=True)


def of_a_result(w, x):
    y = w * x
    return torch.autograd.grad(y.sin(), y, grad_outputs=x)


def penalty(w, x):
    (gradient,) = torch.autograd.grad((w**3 * x).sum(), w, create_graph=True)
    return gradient.square().sum()


def penalty_and_backward(w, x):
    (gradient,) = torch.autograd.grad((w**3 * x).sum(), w, create_graph=True)
    gradient.square().sum().backward()


PROGRAMS = [
    *(backward, twice, seeded, only_one, leaf_inside, in_place, unused, transposed, hooked, cleared, by_hand),
    *(checkpointed, dropped, gradients, unused_gradient, zero_gradient, of_a_result, penalty, penalty_and_backward),
]


MAKE_LEAVES = [only_one, leaf_inside, unused, unused_gradient, zero_gradient]
"""Graphs for compilers end in front of what makes a leaf."""

WHOLE = [(p, b) for p in PROGRAMS for b in BACKENDS if b == "eager" or p not in MAKE_LEAVES]


@pytest.mark.parametrize(("program", "backend"), WHOLE, ids=[f"{p.__name__}-{b}" for p, b in WHOLE])
def test_backward_is_part_of_one_graph(program, backend):
    check(
        program,
        *(leaf(), torch.ones(2, 3) / 3),
        graphs=1,
        breaks=[],
        calls=4,
        recaptures=None,
        fresh=False,
        gradients=program is penalty,
        fullgraph=True,
        backend=BACKENDS[backend],
    )


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.__name__ for program in PROGRAMS])
def test_a_compiler_is_given_graphs_without_backward(program):
    check(
        program,
        *(leaf(), torch.ones(2, 3) / 3),
        calls=3,
        recaptures=None,
        fresh=False,
        gradients=program is penalty,
        backend="aot_eager",
    )


def test_whether_there_is_a_gradient_is_guarded():
    captured = capture(backward, strict=True, fullgraph=True)
    plain, traced, x = leaf(), leaf(), torch.ones(2, 3)
    reset()
    for call in range(6):
        if call == 4:
            plain.grad = traced.grad = None
        assert torch.equal(backward(plain, x), captured(traced, x))
        assert torch.equal(plain.grad, traced.grad)
    assert (counters().captures, counters().graphs) == (2, 2)


def test_an_added_gradient_is_the_same_tensor():
    captured = capture(backward, fullgraph=True)
    w, x = leaf(), torch.ones(2, 3)
    captured(w, x)
    gradient = w.grad
    captured(w, x)
    assert w.grad is gradient


BREAKING = {
    "hooks": lambda w: w.register_hook(lambda gradient: gradient * 2),
    "hooks after": lambda w: w.register_post_accumulate_grad_hook(lambda w: w.grad.mul_(3)),
}


@pytest.mark.parametrize("name", BREAKING)
def test_hooks_on_inputs_run(name):
    def make():
        w = leaf()
        BREAKING[name](w)
        return w, torch.ones(2, 3)

    check(backward, make=make, breaks=["backward"], recaptures=None)


def test_hooks_that_are_registered_later_run():
    captured = capture(backward)
    plain, traced, x = leaf(), leaf(), torch.ones(2, 3)
    for w, function in ((plain, backward), (traced, captured)):
        function(w, x)
        handle = w.register_hook(lambda gradient: gradient * 2)
        function(w, x)
        handle.remove()
        function(w, x)
    assert torch.equal(plain.grad, traced.grad)


def test_gradients_reach_leaves_outside_of_the_graph():
    def program(y, x):
        (y * x).sum().backward()

    def make():
        w = leaf()
        return w * 2, torch.ones(2, 3), w

    def outside(function):
        y, x, w = make()
        function(y, x)
        return w.grad

    reset()
    assert torch.equal(outside(program), outside(capture(program)))
    assert dict(counters().breaks) == {"backward": 1}


class Loud(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        print("backward")
        return gradient * 2


def test_a_backward_of_the_program_runs_in_its_place():
    def program(w, x):
        Loud.apply(w * x).sum().backward()
        print("after")

    check(program, leaf(), torch.ones(2, 3), breaks=["backward"], recaptures=None)


def test_an_error_of_autograd_is_raised_in_its_place():
    def program(w, x):
        loss = (w * x).sin().sum()
        loss.backward()
        x.add_(1)
        loss.backward()

    check(program, leaf(), torch.ones(2, 3), recaptures=None)


def test_a_handler_around_backward_sees_its_error():
    def program(w, x):
        try:
            (w * x).backward()
        except RuntimeError as error:
            return str(error)

    check(program, leaf(), torch.ones(2, 3), recaptures=None)


def train(wrap, make, calls=5):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    optimizer = make(model.parameters())

    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    function, losses = wrap(step), []
    for call in range(calls):
        generator = torch.Generator().manual_seed(call)
        losses.append(function(torch.randn(5, 3, generator=generator), torch.randn(5, 2, generator=generator)))
    return losses, list(model.state_dict().values()), [value.grad for value in model.parameters()]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_a_whole_step_of_training_is_one_graph(name, backend):
    def make(parameters):
        return getattr(torch.optim, name)(parameters, lr=0.01)

    reset()
    expected = train(lambda step: step, make)
    observed = train(lambda step: capture(step, strict=True, fullgraph=True, backend=BACKENDS[backend]), make)
    assert not differences(expected, observed, "training")
    assert dict(counters().breaks) == {}
    assert counters().graphs <= 3  # without state and gradients, with state, with gradients


@pytest.mark.parametrize("backend", ["aot_eager", "forward"])
def test_a_compiled_step_of_training_is_two_graphs(backend):
    def make(parameters):
        return torch.optim.SGD(parameters, lr=0.01)

    reset()
    expected = train(lambda step: step, make)
    observed = train(lambda step: capture(step, strict=True, backend=BACKENDS[backend]), make, calls=5)
    assert not differences(expected, observed, "training", backend == "aot_eager")
    assert set(counters().breaks) == {"backward"}
