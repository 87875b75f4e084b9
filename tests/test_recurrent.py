"""Recurrent networks are one graph: LSTM, GRU, RNN and their cells, with the gradients of parameters and inputs."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tracer import capture, counters, reset

BACKENDS: dict[str, Any] = {
    "eager": "eager",
    "aot_eager": "aot_eager",
    "forward": lambda module, inputs: module.forward,
}

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "LSTM": lambda: nn.LSTM(4, 6),
    "LSTM without biases": lambda: nn.LSTM(4, 6, bias=False),
    "LSTM of two layers in both directions": lambda: nn.LSTM(4, 6, num_layers=2, bidirectional=True, batch_first=True),
    "LSTM with projections": lambda: nn.LSTM(4, 6, proj_size=3),
    "GRU": lambda: nn.GRU(4, 6),
    "GRU in both directions": lambda: nn.GRU(4, 6, bidirectional=True, batch_first=True),
    "RNN": lambda: nn.RNN(4, 6),
    "RNN in both directions": lambda: nn.RNN(4, 6, nonlinearity="relu", bidirectional=True, batch_first=True),
}

CELLS: dict[str, Callable[[], nn.Module]] = {
    "LSTMCell": lambda: nn.LSTMCell(4, 6),
    "GRUCell": lambda: nn.GRUCell(4, 6),
    "RNNCell": lambda: nn.RNNCell(4, 6),
}

SIZES = ((2, 3, 4), (3, 2, 4))


def same_as_plain(network: nn.Module, captured: Any, size: tuple[int, ...], requires_grad: bool = False) -> None:
    """One step of both: results, and gradients of the parameters and, if asked for, of the input."""
    given = torch.randn(size, requires_grad=requires_grad)
    sources = [*network.parameters(), given] if requires_grad else list(network.parameters())
    steps = []
    for program in (network, captured):
        results = torch.utils._pytree.tree_leaves(program(given))
        total = sum(result.sin().sum() for result in results)
        steps.append((results, torch.autograd.grad(total, sources)))
    torch.testing.assert_close(steps[1], steps[0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", (*NETWORKS, *CELLS))
def test_recurrent_networks_are_one_graph(name, backend):
    reset()
    torch.manual_seed(0)
    network = (NETWORKS | CELLS)[name]()
    captured = capture(network, fullgraph=True, backend=BACKENDS[backend])
    for size in SIZES:
        same_as_plain(network, captured, size if name in NETWORKS else size[1:])
    assert not counters().breaks and not counters().tracer_bugs
    assert counters().graphs == counters().captures


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_of_the_input_of_an_lstm(backend):
    network = nn.LSTM(4, 6)
    same_as_plain(network, capture(network, fullgraph=True, backend=BACKENDS[backend]), SIZES[0], requires_grad=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lstm_with_state_in_a_larger_program(backend):
    network = nn.LSTM(4, 6)

    def program(x, h, c):
        with torch.enable_grad():
            out, (h, c) = network(x * 2, (h, c))
        return out + 1, h, c

    captured = capture(program, fullgraph=True, backend=BACKENDS[backend])
    inputs = torch.randn(2, 3, 4), torch.randn(1, 3, 6), torch.randn(1, 3, 6)
    for enabled in (True, False):
        gradients = []
        for run in (program, captured):
            with torch.set_grad_enabled(enabled):
                out, h, c = run(*inputs)
            gradients.append((out, torch.autograd.grad((h * c).sum(), list(network.parameters()))))
        torch.testing.assert_close(gradients[1], gradients[0])
    assert torch.backends.mkldnn.enabled


@pytest.mark.parametrize("name", ("LSTM", "LSTM with projections", "GRU"))
@pytest.mark.parametrize("requires_grad", [False, True])
def test_recurrent_networks_under_autocast(name, requires_grad):
    """The dtype of each result, which oneDNN's kernel for LSTMs gives otherwise than the operators it stands for."""
    torch.manual_seed(0)
    network = NETWORKS[name]()

    def program(x):
        with torch.autocast("cpu", torch.bfloat16):
            return torch.utils._pytree.tree_leaves(network(x))

    for trained, recorded in itertools.product((True, False), repeat=2):
        network.requires_grad_(trained)
        given = torch.randn(SIZES[0], requires_grad=requires_grad)
        with torch.set_grad_enabled(recorded):
            expected = program(given)
            for backend in BACKENDS.values():
                results = capture(program, fullgraph=True, backend=backend)(given)
                assert [result.dtype for result in results] == [result.dtype for result in expected]
                assert [result.requires_grad for result in results] == [result.requires_grad for result in expected]
                torch.testing.assert_close(results, expected, atol=0.02, rtol=0.02)
