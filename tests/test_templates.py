"""Calls that repeat an earlier one: a template makes what interpretation makes, and anything else is interpreted."""

import copy
import sys

import pytest
import torch
from torch import nn

import tracer
from passes.node_meta import META, MODES, line_of, module_of, source_of
from tests import models
from tests.check import check
from tracer.interpret.templates import calls


def described(captured):
    """All that a capture made: guards with their lines, nodes with names, metas, modes, lines and modules, programs."""
    return [
        (
            [(words, line and line.text) for words, line in entry.guards.words],
            [_node(node) for node in entry.builder.graph.nodes] if entry.builder is not None else None,
            entry.program,
            [source.text for source in entry.inputs],
            str(entry.end and entry.end.message),
        )
        for entry in captured.entries
    ]


def _node(node):
    line = line_of(node)
    call = node.name, node.op, str(node.target), str(node.args), str(node.kwargs)
    facts = str(node.meta.get(META)), str(node.meta.get(MODES)), module_of(node), source_of(node), sorted(node.meta)
    return *call, line and (line.file, line.line), *facts


def captured_with(monkeypatch, least_work, program, args, keywords=None):
    """(what was captured, how many calls a template stood for), where calls of so much work are worth a template."""
    monkeypatch.setattr(calls, "LEAST_WORK", least_work)
    tracer.reset()
    captured = tracer.capture(copy.deepcopy(program), backend="eager")
    captured(*copy.deepcopy(args), **copy.deepcopy(keywords or {}))
    return described(captured), sum(entry.instantiated for entry in captured.entries)


def same_as_interpreted(monkeypatch, program, *args, keywords=None, least_work=1):
    """How many calls a template stood for, if what was captured is what interpretation alone captures."""
    captured_with(monkeypatch, sys.maxsize, program, args, keywords)  # fills the caches that the program has itself
    interpreted, none = captured_with(monkeypatch, sys.maxsize, program, args, keywords)
    assert none == 0
    replayed, count = captured_with(monkeypatch, least_work, program, args, keywords)
    assert replayed == interpreted
    return count


class Block(nn.Module):
    def __init__(self, scale=2.0):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.scale = scale

    def forward(self, x):
        y = self.norm(x)
        if self.scale > 1:
            y = y * self.scale
        return x + torch.relu(self.fc(y))


class Stack(nn.Module):
    def __init__(self, count=8, make=Block):
        super().__init__()
        self.blocks = nn.ModuleList(make() for _ in range(count))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def test_equal_blocks(monkeypatch):
    assert same_as_interpreted(monkeypatch, Stack(), torch.ones(2, 4)) >= 5
    check(Stack(), torch.ones(2, 4), graphs=1, breaks=[])


def test_growth_is_a_fraction(monkeypatch):
    """Of the blocks behind the third only the call itself is interpreted."""
    monkeypatch.setattr(calls, "LEAST_WORK", 8)
    counts = [captured_with(monkeypatch, 8, Stack(count), (torch.ones(2, 4),))[1] for count in (10, 20)]
    assert counts == [7, 17]


def test_explain_counts_them():
    report = tracer.explain(Stack(10), torch.ones(2, 4))
    assert report.instantiated == 7
    assert "repeated calls" in report.numbers


def test_equal_steps(monkeypatch):
    def step(x, rate):
        y = x.sin() * rate
        return y.relu() + x, y.sum()

    def program(x):
        total = 0
        for _ in range(20):
            x, part = step(x, 0.5)
            total = total + part
        return x, total

    assert same_as_interpreted(monkeypatch, program, torch.ones(3)) == 17
    check(program, torch.ones(3), graphs=1, breaks=[])


@pytest.mark.parametrize("name", ["gpt2", "qwen3", "llama-no-cache", "torch-transformer", "vit", "x-decoder"])
def test_model(monkeypatch, name):
    model, args, keywords = models.build(name)
    with torch.no_grad():
        same_as_interpreted(monkeypatch, model, *args, keywords=keywords)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for family in models.NAMES.values() for name in family])
def test_zoo(monkeypatch, name):
    model, args, keywords = models.build(name)
    same_as_interpreted(monkeypatch, model, *args, keywords=keywords)
    same_as_interpreted(monkeypatch, model.train(), *args, keywords=keywords)


def test_gradients_and_changes_between_calls(monkeypatch):
    """Each block is guarded by itself: whatever changes in one of them is seen at the next call."""
    monkeypatch.setattr(calls, "LEAST_WORK", 1)
    model = Stack()
    captured = tracer.capture(model, backend="eager")

    def agree():
        x, y = torch.randn(2, 4, requires_grad=True), None
        y = x.detach().clone().requires_grad_()
        captured(x).sum().backward()
        of_captured = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
        model.zero_grad()
        model(y).sum().backward()
        of_model = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
        model.zero_grad()
        assert torch.equal(x.grad, y.grad)
        assert len(of_captured) == len(of_model)
        assert all(map(torch.equal, of_captured, of_model))

    agree()
    assert captured.entries[0].instantiated
    model.blocks[6].scale = 0.5
    agree()
    model.blocks[5].fc.bias.requires_grad_(False)
    agree()
    model.blocks[7].norm = nn.Identity()
    agree()
    model.blocks[4].fc.register_forward_hook(lambda module, args, out: out * 3)
    agree()
    model.blocks[3].fc.weight = nn.Parameter(torch.randn(4, 4).double().float().t())
    agree()


def changed_attribute(model):
    model.blocks[5].scale = 0.5


def changed_type(model):
    model.blocks[5].norm = nn.Identity()


def shared_module(model):
    model.blocks[5].fc = model.blocks[1].fc


def shared_parameter(model):
    model.blocks[6].fc.weight = model.blocks[5].norm.weight = nn.Parameter(torch.ones(4, 4))
    model.blocks[5].norm = nn.Identity()


def same_block_again(model):
    model.blocks[5] = model.blocks[4]


def hooked(model):
    model.blocks[5].fc.register_forward_pre_hook(lambda module, args: (args[0] + 1,))


def other_layout(model):
    model.blocks[5].fc.weight = nn.Parameter(torch.randn(4, 4).t())


def frozen(model):
    model.blocks[5].fc.weight.requires_grad_(False)


def no_bias(model):
    model.blocks[5].fc = nn.Linear(4, 4, bias=False)


def own_forward(model):
    model.blocks[5].forward = lambda x: x * 5


def other_dtype_of_scale(model):
    model.blocks[5].scale = 2


@pytest.mark.parametrize(
    "change",
    [
        *(changed_attribute, changed_type, shared_module, shared_parameter, same_block_again, hooked, other_layout),
        *(frozen, no_bias, own_forward, other_dtype_of_scale),
    ],
)
def test_a_block_that_differs(monkeypatch, change):
    model = Stack(10)
    change(model)
    assert same_as_interpreted(monkeypatch, model, torch.ones(2, 4)) > 0
    check(model, torch.ones(2, 4), graphs=1, breaks=[])


class Global(nn.Module):
    """A block whose facts are also reached from elsewhere."""

    current = None

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        known = type(self).current
        return self.fc(x) + known.fc.bias if known is not self else self.fc(x) * 2


@pytest.mark.parametrize("place", range(6))
def test_a_block_that_is_also_reached_from_elsewhere(monkeypatch, place):
    model = Stack(6, Global)
    monkeypatch.setattr(Global, "current", model.blocks[place])
    monkeypatch.setattr(calls, "LEAST_WORK", 1)
    tracer.reset()
    captured = tracer.capture(model, backend="eager")
    x = torch.randn(2, 4)
    assert torch.equal(captured(x), model(x))


def test_a_global_written_in_between(monkeypatch):
    def step(x):
        return x.sin() * FACTOR

    def program(x):
        global FACTOR
        FACTOR = 1
        for turn in range(12):
            if turn == 8:
                FACTOR = 3
            x = step(x) + 1
        return x

    count = same_as_interpreted(monkeypatch, program, torch.ones(3))
    assert count
    check(program, torch.ones(3), graphs=1, breaks=[])


FACTOR = 1


def test_lists_dicts_and_objects_that_calls_change(monkeypatch):
    def step(x, seen, table):
        seen.append(x)
        table["last"] = x.shape
        return x.sin() + len(seen)

    def program(x):
        seen, table = [], {}
        for _ in range(6):
            x = step(x, seen, table)
        return x, seen, table

    assert same_as_interpreted(monkeypatch, program, torch.ones(3)) == 0
    check(program, torch.ones(3), graphs=1, breaks=[])


def test_containers_that_differ(monkeypatch):
    def step(x, numbers, table):
        for number in numbers:
            x = x * number
        return {"x": x + table["a"], "both": [x, numbers[0]]}

    def program(x):
        for turn in range(12):
            result = step(x, [1, 2] if turn < 6 else [1, 3, 2], {"a": 1 if turn % 2 else 2})
            x = result["x"] + result["both"][0] + result["both"][1]
        return x

    assert same_as_interpreted(monkeypatch, program, torch.ones(3))
    check(program, torch.ones(3), graphs=1, breaks=[])


def test_views_are_views_of_the_same(monkeypatch):
    def step(x):
        return x.view(-1), x.t(), x

    def program(x):
        kept = []
        for _ in range(6):
            x = x + 1
            flat, turned, same = step(x)
            kept += [flat, turned, same is x]
        flat.mul_(2)
        return kept, x

    assert same_as_interpreted(monkeypatch, program, torch.ones(2, 3)) == 3
    check(program, torch.ones(2, 3), graphs=1, breaks=[])


def test_writes_to_tensors_are_interpreted(monkeypatch):
    def step(x, total):
        total.add_(x.sin())
        return x.relu() * 2

    def program(x, total):
        for _ in range(6):
            x = step(x, total)
        return x

    assert same_as_interpreted(monkeypatch, program, torch.ones(3), torch.zeros(3)) == 0
    check(program, torch.ones(3), torch.zeros(3), graphs=1, breaks=[])


def test_handlers_around_a_call_count(monkeypatch):
    def step(x):
        return x.sin().reshape(3, 1).relu()

    def program(x):
        for turn in range(10):
            if turn < 6:
                x = step(x).view(3)
            else:
                try:
                    x = step(x).view(3)
                except ValueError:
                    x = x + 1
        return x

    assert same_as_interpreted(monkeypatch, program, torch.ones(3)) == 3 + 2  # of four calls with a handler, two
    check(program, torch.ones(3), graphs=1, breaks=[])


def test_modes_that_differ(monkeypatch):
    def step(x, weight):
        return (x * weight).sin().relu()

    def program(x, weight):
        for turn in range(12):
            with torch.set_grad_enabled(turn < 6):
                x = step(x, weight)
        return x

    same_as_interpreted(monkeypatch, program, torch.ones(3), torch.ones(3, requires_grad=True))
    check(program, torch.ones(3), torch.ones(3, requires_grad=True), graphs=1, breaks=[])


def test_random_numbers_are_drawn_in_the_same_order(monkeypatch):
    class Dropping(Block):
        def forward(self, x):
            return nn.functional.dropout(super().forward(x), 0.5, self.training)

    model = Stack(8, Dropping).train()
    assert same_as_interpreted(monkeypatch, model, torch.ones(2, 4)) >= 5
    check(model, torch.ones(2, 4), graphs=1, breaks=[])


def test_sizes_that_vary(monkeypatch):
    """With symbols among the metas nothing is replayed; later captures see what they would have seen."""
    monkeypatch.setattr(calls, "LEAST_WORK", 1)
    tracer.reset()
    model = Stack()
    captured = tracer.capture(model, backend="eager")
    for size in (2, 3, 5, 7):
        x = torch.randn(size, 4)
        assert torch.allclose(captured(x), model(x))
    assert len(captured.entries) == 2
    for number, block in enumerate(model.blocks):
        block.scale = 3.0 + number
    assert torch.allclose(captured(x), model(x))


def test_recursion(monkeypatch):
    def nest(x, depth):
        return x if depth == 0 else nest(x.sin() + 1, depth - 1) * 2

    def program(x):
        for depth in (3, 3, 3, 5, 5, 5, 5, 2):
            x = nest(x, depth)
        return x

    same_as_interpreted(monkeypatch, program, torch.ones(3))
    check(program, torch.ones(3), graphs=1, breaks=[])


def test_nothing_of_a_trace_is_kept(monkeypatch):
    monkeypatch.setattr(calls, "LEAST_WORK", 1)
    tracer.reset()
    captured = tracer.capture(Stack(), backend="eager")
    captured(torch.ones(2, 4))
    assert captured.entries[0].instantiated and not captured.entries[0].builder.made
