"""Lazy modules: the first call initialises them, as it does plainly, and is one capture of what they become."""

import pytest
import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from tests.check import BACKENDS, check
from tracer import capture, counters, export, graph_break, reset


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.LazyLinear(6), nn.LazyLinear(2)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


def convolutions():
    layers = nn.LazyConv1d(6, 3), nn.LazyBatchNorm1d(), nn.Flatten(), nn.LazyLinear(2)
    return nn.Sequential(*layers), torch.randn(2, 3, 8)


def call(model, *args):
    return model(*args)


class LazyScale(LazyModuleMixin, nn.Module):
    """Initialises itself with what its input holds, its keywords, and random numbers."""

    cls_to_become = None

    def __init__(self):
        super().__init__()
        self.weight = nn.UninitializedParameter()
        self.initialised = 0

    def initialize_parameters(self, x, *, shift):
        graph_break()
        with torch.no_grad():
            self.weight.materialize(x.shape[1:])
            self.weight.copy_(x.mean(0) + torch.rand(x.shape[1:]) + shift)
        self.initialised += 1

    def forward(self, x, *, shift):
        return x * self.weight + shift


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_layers_are_initialised_and_captured_at_once(backend):
    check(Layers(), torch.randn(3, 5), graphs=1, breaks=[], backend=backend)
    check(call, make=convolutions, graphs=1, breaks=[], recaptures=None, backend=backend)
    check(nn.LazyLinear(2), torch.randn(3, 5), graphs=1, breaks=[], backend=backend)


def test_the_whole_graph_is_one_in_the_first_call():
    reset()
    model = Layers()
    captured = capture(model, fullgraph=True)
    captured(torch.randn(3, 5)).sum().backward()
    assert type(model.first) is nn.Linear and model.first.weight.shape == (6, 5)
    assert model.first.weight.grad is not None
    captured(torch.randn(3, 5))
    assert (counters().graphs, counters().captures) == (1, 1)


def test_an_initialiser_is_given_the_values_of_its_input():
    def program(scale, x):
        return scale(torch.sin(x) * 2, shift=3.0) + 1

    check(program, LazyScale(), torch.randn(3, 5), graphs=1, breaks=[], recaptures=None)
    x = torch.randn(3, 5, requires_grad=True)
    check(program, LazyScale(), x, graphs=1, breaks=[], recaptures=None)


def test_a_change_before_the_call_stays_before_it():
    def program(seen, layer, x):
        seen.append(x + 1)
        return layer(x)

    check(program, [], nn.LazyLinear(2), torch.randn(3, 5), recaptures=None)

    def writing(layer, x):
        x.add_(1)
        return layer(x)

    check(writing, nn.LazyLinear(2), torch.randn(3, 5), recaptures=None)


def test_random_numbers_are_drawn_in_the_order_of_the_program():
    def program(layer, x):
        return layer(torch.dropout(x, 0.5, True))

    check(program, nn.LazyLinear(2), torch.randn(3, 5), recaptures=None)


class Refusing(LazyScale):
    def initialize_parameters(self, x, *, shift):
        self.initialised += 1
        raise ValueError("a shape that does not fit")


def test_an_error_of_the_initialiser_is_raised_once():
    reset()
    layer = Refusing()
    with pytest.raises(ValueError, match="does not fit") as raised:
        capture(lambda layer, x: layer(x, shift=1.0))(layer, torch.randn(3, 5))
    assert layer.initialised == 1 and raised.value.__context__ is None
    assert layer.has_uninitialized_params()


def test_an_error_of_the_initialiser_reaches_the_handler_of_the_program():
    def program(layer, x):
        try:
            return layer(x, shift=1.0)
        except ValueError as error:
            return str(error), layer.initialised

    reset()
    assert capture(program)(Refusing(), torch.randn(3, 5)) == ("a shape that does not fit", 1)


def test_an_operator_that_raises_before_leaves_the_layer_as_it_is():
    reset()
    captured = capture(lambda table, index, layer: layer(nn.functional.embedding(index, table)))
    layer = nn.LazyLinear(2)
    with pytest.raises(IndexError):
        captured(torch.randn(3, 5), torch.tensor([7]), layer)
    assert layer.has_uninitialized_params()


def test_another_lazy_module_is_initialised_in_its_own_first_call():
    reset()
    captured = capture(lambda layer, x: layer(x) + 1, fullgraph=True)
    x = torch.randn(3, 5)
    first, second = nn.LazyLinear(2), nn.LazyLinear(2)
    for layer in (first, second, first):
        torch.testing.assert_close(captured(layer, x), layer(x) + 1)
    assert type(second) is nn.Linear


def test_a_lazy_module_is_exported_as_what_it_becomes():
    model = Layers()
    program = export(model, torch.randn(3, 5))
    x = torch.randn(3, 5)
    torch.testing.assert_close(program(x), model(x))
