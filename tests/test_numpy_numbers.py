"""Numbers of numpy that vary: one graph for all of them where operators take them, as for numbers of Python."""

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

from tests.check import BACKENDS
from tests.same import differences
from tracer import capture, counters, reset

ONE_GRAPH = {
    "arithmetic": lambda x, n: (x * n, n * x, x - n, n / x, x**n, x > n),
    "methods": lambda x, n: (x.mul(n), torch.add(x, x, alpha=n), x.clamp(max=n)),
    "other dtypes": lambda x, n: (x.double() * n, torch.arange(3) * n, x.half() + n),
    "given back": lambda x, n: (x * n, n, [n, n]),
    "in place": lambda x, n: x.clone().add_(n).mul_(n),
}
"""After the first call with another number."""

MORE_GRAPHS = {
    "tensors of its dtype": lambda x, n: (torch.tensor(n), torch.tensor([n]), torch.full((2,), n), x.new_tensor(n)),
    "its class": lambda x, n: (x * 2, type(n), n.dtype, isinstance(n, np.generic)),
    "Python": lambda x, n: (x * (n + 1), int(n), str(n), n == 3, x * n.item()),
    "branches": lambda x, n: x + 1 if n > 2 else x * n,
    "inside": lambda x, n: checkpoint(lambda y: y * n, x, use_reentrant=False),
}

NUMBERS = (np.int64, np.int32, np.float64, np.float32, np.float16)


def compare(program, arguments, backend):
    """Calls of a program and of its capture agree; returns how many graphs there were."""
    reset()
    captured = capture(program, strict=True, backend=BACKENDS[backend])
    for argument in arguments:
        x = torch.tensor([1.5, -2.0, 3.0])
        assert not differences(program(x, argument), captured(x, argument), f"{argument!r}")
    assert counters().tracer_bugs == 0
    return counters().graphs


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.__name__)
@pytest.mark.parametrize("name", ONE_GRAPH)
def test_numbers_that_vary_have_one_graph(name, number, backend):
    arguments = [number(value) for value in (2, 3, 4, 5, 2)]
    assert compare(ONE_GRAPH[name], arguments, backend) == 2  # the first capture is of the number itself


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.__name__)
@pytest.mark.parametrize("name", MORE_GRAPHS)
def test_what_hangs_on_the_number_itself(name, number, backend):
    compare(MORE_GRAPHS[name], [number(value) for value in (2, 1, 3, 2)], backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_positions(backend):
    positions = [np.int64(value) for value in (2, 1, 3, 2, -1)]
    compare(lambda x, n: (x[:n], x[n:], x.sum() * torch.arange(4)[:n].sum()), positions, backend)
    compare(lambda x, n: (x[n - n], torch.arange(abs(n)), [1, 2, 3][n - n]), positions, backend)


SIZES = {
    "zeros": lambda x, n: x.new_zeros(n) + 1,
    "several": lambda x, n: x.new_empty(n, 2).zero_(),
    "view": lambda x, n: x.new_ones(12).view(n, -1) * 2,
    "reshape": lambda x, n: x.new_ones(12).reshape(n, -1) * 2,
    "narrow": lambda x, n: torch.arange(12).narrow(0, n, 2),
    "select": lambda x, n: torch.arange(12).select(0, n),
    "repeat": lambda x, n: x.repeat(n),
    "expand": lambda x, n: x.expand(n, 3) * 2,
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SIZES)
def test_sizes(name, backend):
    assert compare(SIZES[name], [np.int64(value) for value in (2, 3, 4, 6, 2)], backend) == 2
    compare(
        SIZES[name], [np.int32(value) for value in (2, 3, 1, 0, 4)] if name not in ("view", "reshape") else [], backend
    )


def test_other_classes_are_captured_again():
    arguments = [
        np.int64(2),
        np.int64(3),
        4,
        np.float32(2.5),
        np.float64(2.5),
        np.bool_(True),
        np.int64(7),
        np.int64(8),
    ]
    compare(lambda x, n: x * n, arguments, "eager")


def test_numbers_as_attributes():
    class Scale:
        factor = np.float64(1.0)

    def program(x, scale):
        scale.factor = scale.factor * 2
        return x * scale.factor

    reset()
    captured, one, other = capture(program, strict=True), Scale(), Scale()
    for _ in range(4):
        assert not differences(program(torch.ones(2), one), captured(torch.ones(2), other), "call")
    assert type(other.factor) is np.float64
