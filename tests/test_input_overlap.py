"""Inputs that share memory, or become one tensor, on a later call than the one captured, while the graph writes."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_map

from tests.check import BACKENDS, is_compiler
from tests.same import differences
from tracer import capture, counters, reset

WEIGHT = torch.ones(4, requires_grad=True)
Pair = tuple[torch.Tensor, torch.Tensor]


def apart() -> Pair:
    return torch.arange(4.0), torch.arange(4.0) + 10


def one() -> Pair:
    x = torch.arange(4.0)
    return x, x


def overlapping() -> Pair:
    base = torch.arange(6.0)
    return base[:4], base[2:]


def detached() -> Pair:
    x = torch.arange(4.0)
    return x, x.detach()


def halves() -> Pair:
    base = torch.arange(8.0)
    return base[:4], base[4:]


def adds(a, b):
    a.add_(1)
    return b * 2


def writes_through_a_view(a, b):
    a.view(2, 2)[0].mul_(3)
    return b * 2, b.view(-1)


def writes_a_chunk(a, b):
    first, second = a.chunk(2)
    second.sub_(3)
    return b * first.sum()


def gives_out(a, b):
    torch.add(b, 1, out=a)
    return b - 1


def sets_an_item(a, b):
    a[1] = 7
    return b.sum()


def copies(a, b):
    a[:2].copy_(b[2:])
    return b + a


def writes_both(a, b):
    a.add_(1)
    b.mul_(2)
    return a + b


def writes_a_list(a, b):
    torch._foreach_add_([a], [b])
    return b * 1


def writes_after_a_read(a, b):
    before = b * 2
    a.zero_()
    return before, b + 0


def asks_the_shape(a, b):
    a.unsqueeze_(0)
    return b * 1, b.shape


def asks_for_gradients(a, b):
    a.mul_(WEIGHT)
    return b * 2, b.requires_grad


def outcomes(function: Callable[..., Any], calls: list[Callable[[], Pair]]) -> list[Any]:
    """What each call returns or raises, and its arguments afterwards, apart from how autograd names its nodes."""
    seen: list[Any] = []
    for make in calls:
        arguments = make()
        try:
            result = function(*arguments)
        except RuntimeError as error:
            result = type(error)
        seen += [tree_map(facts, result), tree_map(facts, arguments)]
    return seen


def facts(value: Any) -> Any:
    return (value.detach(), value.requires_grad) if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "program",
    [
        adds,
        writes_through_a_view,
        writes_a_chunk,
        gives_out,
        sets_an_item,
        copies,
        writes_both,
        writes_a_list,
        writes_after_a_read,
        asks_the_shape,
        asks_for_gradients,
    ],
)
def test_aliasing_changes_between_calls(program, backend):
    for first, second in itertools.permutations((apart, one, overlapping, detached), 2):
        reset()
        calls = [first, second, first, second]
        captured = capture(program, backend=BACKENDS[backend], strict=True)
        wrong = differences(
            outcomes(program, calls),
            outcomes(captured, calls),
            f"{first.__name__}, {second.__name__}",
            is_compiler(backend),
        )
        assert not wrong, wrong
        assert counters().tracer_bugs == 0


def test_aliasing_is_guarded_where_a_graph_writes():
    captured = capture(adds, strict=True)
    for make in (apart, apart, halves):
        captured(*make())
    assert counters().captures == 1, "halves of one storage do not overlap"
    captured(*overlapping())
    captured(*overlapping())
    assert counters().captures == 2
    captured(*apart())
    assert counters().captures == 2


def test_aliasing_is_not_guarded_where_no_graph_writes():
    captured = capture(lambda a, b: (a + 1) * b, strict=True)
    captured(*apart())
    captured(*overlapping())
    assert counters().captures == 1


def test_miss_names_the_tensors():
    captured = capture(adds, strict=True)
    captured(*apart())
    captured(*overlapping())
    assert any("it does not hold that a shares no memory with b" in entry.why for entry in captured.entries)


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(3))
        self.register_buffer("last", torch.zeros(3))
        self.weight = torch.nn.Parameter(torch.ones(3))

    def forward(self, x):
        self.total += x
        return self.last * 2 + self.weight


@pytest.mark.parametrize("backend", BACKENDS)
def test_buffers_that_become_one(backend):
    def results(wrap):
        layer = Layer()
        call, seen = wrap(layer), []
        for _ in range(2):
            seen.append(call(torch.ones(3)).detach().clone())
        layer.last.data = layer.total
        seen.append(call(torch.ones(3)).detach().clone())
        layer.last = layer.total
        seen.append(call(torch.ones(3)).detach().clone())
        with torch.no_grad():
            seen.append(call(layer.weight).detach().clone())
            seen.append(call(layer.total[:]).detach().clone())
        return seen

    captured = results(lambda layer: capture(layer, backend=BACKENDS[backend], strict=True))
    assert not differences(results(lambda layer: layer), captured, "calls", is_compiler(backend))


KEPT = torch.arange(4.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_argument_that_is_a_global_or_in_a_closure(backend):
    held = torch.arange(4.0)
    items = {"x": torch.arange(4.0)}

    def program(x):
        x.add_(1)
        return KEPT * 2, held * 3, items["x"] * 4

    def results(call):
        seen = []
        for tensor in (torch.ones(4), KEPT, held, items["x"], KEPT[1:3], torch.ones(2), held.view(2, 2)[0]):
            for given in (KEPT, held, items["x"], tensor):
                given.fill_(2)
            seen.append([part.clone() for part in call(tensor)])
        return seen

    captured = results(capture(program, backend=BACKENDS[backend], strict=True, dynamic=False))
    assert not differences(results(program), captured, "calls", is_compiler(backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_write_and_read_in_two_graphs(backend):
    def program(a, b):
        view = a.view(-1)
        a.add_(1)
        print(end="")
        view.mul_(2)
        return b + 1, view

    for first, second in itertools.permutations((apart, one, overlapping, detached), 2):
        calls = [first, second, first]
        captured = capture(program, backend=BACKENDS[backend], strict=True)
        assert not differences(outcomes(program, calls), outcomes(captured, calls), "calls", is_compiler(backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_statistics_of_batch_norm_and_its_weight(backend):
    def program(x, mean, variance, weight):
        y = torch.nn.functional.batch_norm(x, mean, variance, weight, None, True)
        return y, mean * 2, weight + 1

    def results(call):
        torch.manual_seed(0)
        x, shared, seen = torch.randn(5, 3), torch.ones(3), []
        for mean, variance, weight in (
            (torch.zeros(3), torch.ones(3), torch.ones(3)),
            (shared, torch.ones(3), shared),
            (shared, shared, torch.ones(3)),
            (torch.zeros(3), torch.ones(3), torch.ones(3)),
        ):
            seen.append((call(x, mean, variance, weight), mean.clone(), variance.clone()))
        return seen

    captured = results(capture(program, backend=BACKENDS[backend], strict=True))
    assert not differences(results(program), captured, "calls", is_compiler(backend))
