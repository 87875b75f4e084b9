"""`capture(allocate=...)`: where outputs end up, which are left where they are, and what is refused."""

import pytest
import torch
from torch import nn

from tests.same import differences
from tracer import capture


class Pool:
    """Gives memory, and remembers what it gave and what it was asked for."""

    def __init__(self):
        self.given, self.asked = [], []

    def __call__(self, meta):
        self.asked.append(meta)
        self.given.append(torch.empty_strided(meta.shape, meta.stride, dtype=meta.dtype, device=meta.device))
        return self.given[-1]

    def has(self, tensor):
        return any(tensor.data_ptr() == given.data_ptr() for given in self.given)


def provisions(captured):
    return {one.node: one for view in captured.entries if view.memory for one in view.memory.allocation.provisions}


def test_results_are_written_where_they_are_told():
    def program(x, w):
        return torch.mm(x, w), torch.tanh(x), x.sum(0)

    pool = Pool()
    captured = capture(program, allocate=pool)
    x, w = torch.randn(4, 4), torch.randn(4, 4)
    for call in range(2):
        results = captured(x, w)
        assert not differences(program(x, w), results, "results")
        assert all(any(result is given for given in pool.given[3 * call :]) for result in results)
    assert {one.how for one in provisions(captured).values()} == {"written"}
    assert [meta.shape for meta in pool.asked[:3]] == [(4, 4), (4, 4), (4,)]


def test_other_results_are_copied():
    def program(x):
        return torch.nn.functional.layer_norm(x, (4,)), (x * 2)[1]

    pool = Pool()
    captured = capture(program, allocate=pool)
    x = torch.randn(4, 4)
    results = captured(x)
    assert all(map(pool.has, results)) and all(map(torch.equal, program(x), results))
    found = provisions(captured)
    assert found["layer_norm"].how == "copied" and "no variant with out=" in found["layer_norm"].why
    assert found["getitem"].how == "copied" and "a view of what mul made" in found["getitem"].why


def test_what_shares_memory_is_left():
    def program(x):
        h = x * 2
        return x[0], h, h[1], torch.ones(1).expand(3)

    pool = Pool()
    captured = capture(program, allocate=pool)
    x = torch.randn(4, 4)
    first, whole, part, expanded = captured(x)
    assert first.data_ptr() == x.data_ptr() and part.data_ptr() == whole[1].data_ptr() and not pool.given
    reasons = {one.why for one in provisions(captured).values()}
    assert reasons == {
        "it is an input or a view of one",
        "it shares memory with another output",
        "several of its elements share one place in memory",
    }


def test_under_autograd_results_are_copied_and_gradients_flow():
    layer, buffer = nn.Linear(4, 4), torch.empty(2, 4)
    captured = capture(layer, allocate=lambda meta: buffer)
    x = torch.randn(2, 4)
    layer(x).sum().backward()
    expected = layer.weight.grad.clone()
    for _ in range(2):
        layer.zero_grad()
        result = captured(x)
        assert result.data_ptr() == buffer.data_ptr() and result.requires_grad and not buffer.requires_grad
        result.sum().backward()
        assert torch.equal(layer.weight.grad, expected)


def cross_entropy(x, y):
    return nn.functional.binary_cross_entropy(x.sigmoid(), y.sigmoid())  # its out= is wrong


@pytest.mark.parametrize(
    "loss", [nn.functional.smooth_l1_loss, nn.functional.huber_loss, nn.functional.mse_loss, cross_entropy]
)
def test_nothing_is_resized(loss):
    x, y, buffer = torch.randn(4, 6), torch.randn(4, 6), torch.empty(())
    with torch.no_grad():
        result = capture(lambda x, y: loss(x, y), allocate=lambda meta: buffer)(x, y)
    assert result is buffer and torch.equal(result, loss(x, y))  # copied, where out= resizes on its way


def test_strides_are_asked_for():
    pool = Pool()
    captured = capture(lambda x: x.t() + 1, allocate=pool)
    x = torch.randn(3, 4)
    result = captured(x)
    assert result.stride() == (1, 4) and pool.has(result) and torch.equal(result, x.t() + 1)


def test_sizes_that_vary():
    pool = Pool()
    captured = capture(lambda x: (x + 1).relu(), allocate=pool, dynamic=True)
    for size in (3, 5, 6):
        x = torch.randn(size)
        assert pool.has(result := captured(x)) and torch.equal(result, (x + 1).relu())
    assert [meta.shape for meta in pool.asked] == [(3,), (5,), (6,)]


def test_together_with_donate():
    pool = Pool()
    captured = capture(lambda x: torch.relu(x + 1) * 2, allocate=pool, donate=("x",))
    x = torch.randn(4)
    expected = torch.relu(x + 1) * 2
    result = captured(x)
    assert torch.equal(result, expected) and result is pool.given[0]
    assert [done.node for done in captured.entries[0].memory.reuse.overwrites] == ["add", "relu"]


@pytest.mark.parametrize(
    "given, error, words",
    [
        (3, TypeError, r"must give a tensor for output 0 \(add\), f32\[2, 2\] stride \(2, 1\), not int"),
        (torch.empty(4), ValueError, "differs in shape, stride"),
        (torch.empty(2, 2, dtype=torch.float64), ValueError, "differs in dtype"),
        (torch.empty(2, 2).t(), ValueError, "differs in stride"),
        (torch.empty(2, 2, device="meta"), ValueError, "differs in device"),
        (torch.empty(2, 2, requires_grad=True), ValueError, "differs in requires_grad"),
    ],
    ids=["no tensor", "shape", "dtype", "stride", "device", "requires grad"],
)
def test_wrong_memory(given, error, words):
    captured = capture(lambda x: x + 1, allocate=lambda meta: given)
    with pytest.raises(error, match=words):
        captured(torch.ones(2, 2))


def test_memory_of_an_input_or_given_twice():
    x, one = torch.ones(3), torch.empty(3)
    with pytest.raises(ValueError, match=r"output 0 \(add\) is that of an input"):
        capture(lambda x: x + 1, allocate=lambda meta: x)(x)
    with pytest.raises(ValueError, match=r"output 1 \(mul\) is that of an input or of another output"):
        capture(lambda x: (x + 1, x * 2), allocate=lambda meta: one)(x)
    assert torch.equal(x, torch.ones(3))


def test_no_callable():
    with pytest.raises(TypeError, match="allocate must be a callable"):
        capture(lambda x: x, allocate=3)
