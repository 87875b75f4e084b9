"""Parameters, buffers and modules that a captured function makes: one graph, and leaves of autograd like any other."""

import copy

import pytest
import torch
from torch import nn

from tests.check import check, one_graph
from tracer import capture

COMPILERS = {"aot_eager": "aot_eager", "forward": lambda module, inputs: module.forward}


class Scaled(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.register_buffer("shift", torch.ones(3))
        self.other = nn.Buffer(weight.detach() * 2, persistent=False)

    def forward(self, x):
        return x * self.weight + self.shift + self.other


def parameter(x):
    made = nn.Parameter(torch.full((3,), 2.0))
    return made, made * x, made.is_leaf, made.requires_grad, isinstance(made, nn.Parameter), type(made), made.grad


def frozen(x):
    made = nn.Parameter(x.detach(), requires_grad=False)
    with torch.no_grad():
        made.add_(1)
    return made, x, made * 2, isinstance(made, nn.Buffer), made.data


def buffer(x):
    made = nn.Buffer(x * 2)
    return made, made.persistent, isinstance(made, nn.Buffer), isinstance(made, nn.Parameter), made + x


def module(x):
    made = Scaled(x)
    return made(x), [name for name, _ in made.named_parameters()], [*made.state_dict()]


def linear(x):
    made = nn.Linear(3, 2)
    return made(x), made


def attention(x):
    made = nn.MultiheadAttention(4, 2)
    query = x.expand(4, 3).t()[:, None]
    return made(query, query, query), sorted(made.state_dict())


def nested(x):
    made = nn.Sequential(nn.Conv1d(1, 2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 1))
    return made(x.expand(2, 1, 3)), made[1].running_mean, len(list(made.parameters()))


def assigned(x):
    made = nn.Module()
    made.register_parameter("a", nn.Parameter(x))
    made.b = nn.Parameter()
    made.c = None
    made.list = nn.ParameterList([x, torch.ones(2)])
    return made.a + x, made.b.shape, [name for name, _ in made.named_parameters()], made.list[0] is made.a


PROGRAMS = [parameter, frozen, buffer, module, linear, attention, nested, assigned]


@pytest.mark.parametrize("program", PROGRAMS)
def test_one_graph(program):
    one_graph(program, torch.arange(3.0), fullgraph=True)
    one_graph(program, torch.arange(3.0, requires_grad=True), fullgraph=True)


@pytest.mark.parametrize("backend", COMPILERS.values(), ids=COMPILERS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_compilers_are_not_given_parameters_to_make(program, backend):
    check(program, torch.arange(3.0), backend=backend, recaptures=None)


def test_gradients_reach_a_parameter_that_is_returned():
    def program(x):
        weight = nn.Parameter(x * 2)
        return weight, (weight * x).sum()

    captured, x = capture(program, fullgraph=True, strict=True), torch.arange(3.0)
    for _ in range(3):
        weight, loss = captured(x)
        assert type(weight) is nn.Parameter
        loss.backward()
        assert torch.equal(weight.grad, x)


def test_a_step_of_a_model_that_is_made_inside():
    def program(x):
        model = nn.Linear(3, 1)
        loss = model(x).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight -= 0.1 * weight.grad
        return model.weight.detach().clone(), model.bias.grad, loss.detach()

    check(program, torch.arange(3.0), gradients=False)


def test_a_parameter_is_its_own_leaf_beside_the_tensor_whose_memory_it_has():
    def program(x):
        y = x * 2
        weight = nn.Parameter(y)
        with torch.no_grad():
            weight.mul_(3)
        return y, weight, weight.data_ptr() == y.data_ptr(), y.requires_grad

    check(program, torch.arange(3.0), recaptures=None)


@pytest.mark.parametrize("data", [torch.arange(3), torch.eye(2).to_sparse(), [1.0]])
def test_what_torch_refuses_or_no_graph_makes(data):
    def program(data):
        try:
            return nn.Parameter(data) * 2
        except (RuntimeError, TypeError, AttributeError) as error:
            return type(error)

    check(program, data, recaptures=None)


def test_copies_of_a_module_that_is_made_inside():
    def program(x):
        model = nn.Linear(3, 3)
        twin = copy.deepcopy(model)
        return twin(model(x)), torch.equal(twin.weight, model.weight), twin.weight is model.weight

    check(program, torch.arange(3.0), recaptures=None)
