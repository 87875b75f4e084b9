"""AOTAutograd and Inductor on our graphs: the same as eager, and, with random numbers, as under torch.compile."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

import tracer
from tests.check import check
from tracer import capture, counters


@pytest.fixture(autouse=True)
def forget():
    yield
    tracer.reset()
    torch.compiler.reset()


class Net(nn.Module):
    """Buffers that change, random numbers, a region under autocast, one without gradients, an output that is a view."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.5)
        self.second = nn.Linear(16, 4)

    def forward(self, x):
        hidden = torch.relu(self.norm(self.first(x)))
        with torch.no_grad():
            scale = hidden.mean()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = self.second(self.drop(hidden))
        return out.float() * scale, hidden.t()


def trained(net, call, x):
    """Two steps of training under a seed: outputs, gradients and buffers."""
    found = []
    for seed in range(2):
        torch.manual_seed(seed)
        out, view = call(x)
        (out.square().sum() + view.sum()).backward()
        found += [out.detach(), view.detach()]
    return found + [parameter.grad for parameter in net.parameters()] + list(net.buffers()) + [x.grad]


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_training_is_as_under_torch_compile(backend):
    torch.manual_seed(0)
    net, x = Net(), torch.randn(5, 8)
    runs = []
    from torch._inductor import config  # here, as importing it takes a second

    with config.patch(fallback_random=True):  # bytegraph's inductor draws the numbers of the plain run
        for compile in (capture, torch.compile):
            own, own_x = copy.deepcopy(net), x.clone().requires_grad_()
            runs.append(trained(own, compile(own.forward, backend=backend, fullgraph=True), own_x))
    for ours, theirs in zip(*runs, strict=True):
        assert ours.stride() == theirs.stride()
        torch.testing.assert_close(ours, theirs)


def test_inductor_with_sizes_that_vary_and_inputs_that_change():
    def program(x, y):
        x.mul_(2)
        return (x @ y.t()).softmax(-1), x[1:], x.shape[0] * 2

    captured = capture(program, backend="inductor", fullgraph=True)
    for size in (4, 6, 9, 13):
        torch.manual_seed(size)
        x, y = torch.randn(size, 8), torch.randn(5, 8)
        own = x.clone()
        expected, found = program(x, y), captured(own, y)
        torch.testing.assert_close(found, expected)
        assert torch.equal(own, x) and found[1].data_ptr() == own[1:].data_ptr()
    assert counters().captures == 2


# What AOTAutograd must be told -------------------------------------------------------------------------


def test_views_and_changed_inputs():
    def program(x, y):
        x.add_(y)
        top = x[0]
        top.mul_(3)
        return top, x.view(-1), x, y + 1

    check(program, torch.randn(3, 4), torch.randn(3, 4), backend="aot_eager", graphs=1)


def test_inputs_that_overlap():
    def program(x, y):
        x.add_(1)
        return y * 2, x

    def make():
        base = torch.arange(12.0)
        return base[:8], base[4:]

    check(program, make=make, backend="aot_eager", graphs=1)


def test_overlapping_inputs_of_varying_sizes():
    captured = capture(lambda x, y: (x.add_(1), y * 2), backend="aot_eager", fullgraph=True)
    for size in (8, 10, 12):
        base = torch.arange(float(size))
        captured(base[: size - 4], base[2:])
        expected = torch.arange(float(size))
        expected[: size - 4] += 1
        assert torch.equal(base, expected)


def test_inputs_that_are_views_or_have_a_history():
    def program(x, weight):
        return (x * weight).sum(), x.t()

    gradients = []
    for call in (program, capture(program, backend="aot_eager", fullgraph=True)):
        whole, weight = torch.arange(12.0, requires_grad=True), torch.ones(3, requires_grad=True)
        total, view = call((whole * 2).view(3, 4)[:, 1:], weight)
        gradients.append(torch.autograd.grad(total + view.sum(), (whole, weight)))
    torch.testing.assert_close(*gradients)


def test_modes_are_as_they_were_at_the_capture():
    @torch.no_grad()
    def quiet(x):
        return x * 2

    def mixed(x):
        return x @ x.t()

    x = torch.randn(3, 3, requires_grad=True)
    assert not capture(quiet, backend="aot_eager")(x).requires_grad
    captured = capture(mixed, backend="aot_eager")
    for enabled in (False, True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            assert captured(x).dtype == (torch.bfloat16 if enabled else torch.float32)


def test_a_break_inside_of_a_mode():
    def program(x):
        with torch.no_grad():
            y = x * 2
            tracer.graph_break()
            z = y + 1
        return z, x * 3, torch.is_grad_enabled()

    captured = capture(program, backend="aot_eager")
    x = torch.randn(3, requires_grad=True)
    for _ in range(2):
        quiet, loud, enabled = captured(x)
        assert (quiet.requires_grad, loud.requires_grad, enabled, torch.is_grad_enabled()) == (False, True, True, True)
        assert torch.equal(torch.autograd.grad(loud.sum(), x)[0], torch.full((3,), 3.0))


def test_a_break_inside_of_autocast():
    def program(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = x @ x
            tracer.graph_break()
            z = x @ y
        return y, z, x @ x

    check(program, torch.randn(3, 3), backend="aot_eager", breaks=["explicit"])


@pytest.mark.parametrize("dynamic", [True, None])
def test_sizes_as_numbers_of_the_graph(dynamic):
    def program(x, n):
        y = x.view(n, -1)
        return y.sum(0) * y.shape[1], torch.arange(n), y.new_zeros(n + 1, y.shape[1] // 2)

    captured = capture(program, backend="aot_eager", dynamic=dynamic, fullgraph=True)
    for rows, columns in ((2, 6), (3, 6), (4, 8), (5, 10)):
        x = torch.randn(rows * columns)
        torch.testing.assert_close(captured(x, rows), program(x, rows))
    assert counters().captures <= 3


def test_symbols_of_transposed_inputs():
    def program(x):
        return x.t().contiguous().view(-1), x.stride()

    captured = capture(program, backend="aot_eager", fullgraph=True)
    for size in (3, 4, 5, 7):
        for x in (torch.randn(size, 6).t(), torch.randn(6, size), torch.randn(size, 6, 2)[..., 0]):
            torch.testing.assert_close(captured(x), program(x))


def test_compiling_draws_no_random_numbers():
    torch.manual_seed(0)
    captured = capture(lambda x: x + 1, backend="aot_eager")
    state = torch.get_rng_state()
    captured(torch.ones(3))
    assert torch.equal(torch.get_rng_state(), state)


def test_compiling_uses_up_no_numbers_of_hooks():
    """A program sees them as the keys of its hooks."""
    captured = capture(torch.nn.Linear(2, 2), backend="aot_eager")
    number = RemovableHandle.next_id
    captured(torch.ones(3, 2)).sum().backward()
    assert RemovableHandle.next_id == number
