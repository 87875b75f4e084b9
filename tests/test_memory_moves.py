"""Tensors that are given the memory of another one, by `x.data = y` and `x.set_(y)`: in graphs that are replayed."""

import pytest
import torch
from torch import nn

from tests.check import BACKENDS, check, one_graph
from tests.same import differences
from tracer import capture, counters, reset


def views_keep_the_old_memory(x, y):
    view, detached = x.view(-1), x.data
    x.data = y * 2
    x.add_(1)
    view.add_(5)
    return x * 2, view, detached, x.data.sum()


def another_shape(x, y):
    x.data = y[1:].t()
    return x + 1, x.shape, x.is_contiguous()


def part_of_itself(x, y):
    x.data = x.data[:1]
    x.mul_(2)
    return x.sum() + y


def shared_with_an_argument(x, y):
    x.data = y
    y.add_(1)
    return x * 2, x.mul_(3)


def of_a_new_tensor(x, y):
    z = x.clone()
    z.data = y.t().clone().t()
    w = z.sum(0)
    z.set_(x)
    z.add_(1)
    return z, w


def moved_twice(x, y):
    x.data, y.data = y.data, x.data
    return x - y


PROGRAMS = (
    *(views_keep_the_old_memory, another_shape, part_of_itself, shared_with_an_argument, of_a_new_tensor),
    moved_twice,
)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_memory_moves_in_the_graph(program, backend):
    one_graph(program, torch.randn(2, 2), torch.randn(2, 2), fullgraph=True, backend=BACKENDS[backend])


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "eager"])
def test_graphs_for_compilers_end_in_front_of_it(backend):
    report = check(moved_twice, torch.randn(2), torch.randn(2), backend=BACKENDS[backend])
    assert set(report.first.breaks) == {"tensor-storage"}


def steps(wrap):
    """Training in which the parameters get other memory: a step by hand, an average of two models, a vector."""
    torch.manual_seed(0)
    model, average = nn.Linear(3, 2), nn.Linear(3, 2)

    def step(x):
        for parameter in model.parameters():
            parameter.grad = None
        loss = model(x).pow(2).mean()
        loss.backward()
        for parameter in model.parameters():
            parameter.data = parameter.data - 0.1 * parameter.grad.data
        for mean, parameter in zip(average.parameters(), model.parameters(), strict=True):
            mean.data = mean.data * 0.9 + parameter.data * 0.1
        vector = nn.utils.parameters_to_vector(average.parameters())
        nn.utils.vector_to_parameters(vector * 2, average.parameters())
        return loss.detach(), average(x)

    step, results = wrap(step), []
    for call in range(4):
        loss, output = step(torch.full((2, 3), call + 1.0))
        output.sum().backward()
        results += [loss, output.detach(), *(parameter.grad.clone() for parameter in average.parameters())]
        if call == 1:
            model.weight.data = torch.ones(2, 3)
    storages = {parameter.untyped_storage()._cdata for parameter in average.parameters()}
    return results, [parameter.detach() for parameter in model.parameters()], len(storages)


@pytest.mark.parametrize("backend", BACKENDS)
def test_parameters_get_other_memory_in_a_step_of_training(backend):
    reset()
    expected = steps(lambda function: function)
    observed = steps(lambda function: capture(function, fullgraph=True, strict=True, backend=BACKENDS[backend]))
    assert not differences(expected, observed, "run")
    assert counters().tracer_bugs == 0
    assert counters().graphs <= 2  # gradients are there from the second call on


def test_memory_of_another_dtype_is_left_to_torch():
    def program(x):
        x.data = x.double()
        return x + 1

    check(program, torch.ones(2), breaks=["tensor-storage"])


def test_set_refuses_what_torch_refuses():
    def program(x):
        x.set_(torch.ones(3))
        return x

    check(program, torch.ones(2, requires_grad=True))
    check(program, torch.ones(2))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tensor_that_is_set_to_one_that_requires_gradients_requires_them(backend):
    def program(x):
        y = x * 2
        before = y.requires_grad
        y.set_(torch.ones(3, requires_grad=True))
        return before, y.requires_grad, y.shape

    check(program, torch.ones(2), backend=BACKENDS[backend])


@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_of_another_shape_than_the_gradient_has(backend):
    """A compiler makes a stand-in for a leaf with its gradient, which refuses one of another shape."""

    def program(x, y):
        y.data = torch.cat([x, y])
        return y - 1

    results = []
    for wrap in (lambda function: function, lambda function: capture(function, backend=BACKENDS[backend])):
        call, y = wrap(program), torch.ones(2, 2, requires_grad=True)
        outcomes = []
        for x in (torch.zeros(2, 2), torch.zeros(1, 2)):
            result = call(x, y)
            outcomes.append((result.tolist(), tuple(y.shape), result.requires_grad))
            y.grad = torch.ones_like(y)
        results.append(outcomes)
    assert results[1] == results[0]
