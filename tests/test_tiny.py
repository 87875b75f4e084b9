"""Runs in seconds and touches every layer: bytecode, guards, graph, effects, breaks, dispatch, report."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from tests.check import check, one_graph
from tracer import capture, counters, explain, graph_break


class Mlp(nn.Module):
    """The example of the documentation: a linear layer, an activation, and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(16, 4)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.fc(x))


def test_function_becomes_one_graph():
    def program(x, y):
        return (x + y) * 2 - x

    one_graph(program, torch.ones(3), torch.arange(3.0), ops=3)


def test_module_becomes_one_graph_with_gradients():
    one_graph(Mlp(), torch.randn(2, 16), ops=2)


def test_mutation_is_replayed_on_both_sides_of_a_break():
    def program(model, items, x):
        model.calls += 1
        items.append(model(x))
        graph_break()
        model.calls += 1
        items.append(items[0] * 2)
        return len(items)

    check(program, Mlp(), [], torch.randn(2, 16), graphs=2, breaks=["explicit"])


def test_branch_on_data_goes_both_ways():
    def program(x):
        y = x * 3
        if y.sum() > 0:
            return y + 1
        return y - 1

    captured = capture(program, strict=True)
    for sign in (1.0, -1.0, 1.0):
        x = torch.full((2,), sign)
        assert torch.equal(captured(x), program(x))


def test_guards_decide_between_entries():
    captured = capture(lambda x, mode: x + 1 if mode == "add" else x * 3, strict=True)
    for _ in range(2):
        assert captured(torch.ones(1), "add").item() == 2
        assert captured(torch.ones(1), "scale").item() == 3
        assert captured(torch.ones(2), "scale").sum().item() == 6
    assert counters().captures == 3 and counters().hits == 3


def test_one_entry_serves_two_instances():
    captured = capture(lambda model, x: model(x), strict=True)
    model, x = Mlp(), torch.randn(2, 16)
    twin = copy.deepcopy(model)
    assert torch.equal(captured(model, x), captured(twin, x))
    assert counters().captures == 1


def test_exception_reaches_the_caller():
    def program(x):
        if x.shape[0] == 2:
            raise ValueError(f"two rows: {x.shape}")
        return x

    check(program, torch.ones(2), recaptures=None)
    one_graph(lambda x: program(x) + 1, torch.ones(3))


def test_nested_function_called_after_a_break_is_captured():
    def inner(x):
        return torch.sin(x) + 1

    def program(x):
        graph_break()
        return inner(x)

    check(program, torch.ones(2), graphs=1, breaks=["explicit"])


def test_explanation_reads_well():
    text = str(explain(Mlp(), torch.randn(2, 16)))
    for words in ("graphs", "f32[2, 16]", "self.fc.weight", "test_tiny.py"):
        assert words in text
