"""Stretches of a graph that repeat: each is compiled once, and does what the flat graph does."""

import gc
import traceback
import weakref

import pytest
import torch

import backends.eager as eager
import tracer
from backends.eager import compile_graph
from backends.repeats import repetitions
from tests.check import check
from tests.graphs import Sketch

X = torch.arange(6.0).view(2, 3)


class Block(torch.nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.norm = torch.nn.LayerNorm(8)
        self.rate = rate

    def forward(self, x, gate):
        y = torch.relu(self.first(self.norm(x))) * gate
        y = torch.tanh(self.second(y)) * self.rate + y.sum(-1, keepdim=True)
        y = y - y.mean(-1, keepdim=True)
        return x + torch.sigmoid(y) * gate


class Stack(torch.nn.Module):
    def __init__(self, rates):
        super().__init__()
        self.blocks = torch.nn.ModuleList(map(Block, rates))

    def forward(self, x):
        gate = x.exp()
        for block in self.blocks:
            x = block(x, gate)
        return x, gate


def stack(rates=(0.5,) * 12):
    torch.manual_seed(0)
    return Stack(rates)


def calls_and_lines(model, x):
    program = tracer.capture(model)
    program(x)
    (entry,) = program.entries
    return entry.ops, entry.compiled.source.count("\n"), entry


def test_layers_are_one_function():
    ops, lines, _ = calls_and_lines(stack(), torch.randn(2, 8))
    assert ops > 150 and lines < 60


def test_a_stack_computes_what_it_does():
    check(stack(), torch.randn(2, 8, requires_grad=True), graphs=1)


@pytest.mark.parametrize(
    "rates",
    [(0.5,) * 12 + (0.25,) * 12, (0.0,) * 12 + (-0.0,) * 12, (1,) * 12 + (1.0,) * 12, (True,) * 12 + (1,) * 12],
    ids=lambda rates: f"{rates[0]} and {rates[-1]}",
)
def test_layers_with_other_constants_are_others(rates):
    model, x = stack(rates), torch.randn(2, 8)
    captured = tracer.capture(model)
    for one, other in zip(captured(x), model(x), strict=True):
        assert torch.equal(one, other)
    source = captured.entries[0].compiled.source
    assert source.count("def ") == 3


def many(turns=40):
    """A graph in which three calls repeat, each turn on a value that dies in it."""
    sketch = Sketch(x=X)
    (node,) = sketch.inputs
    for _ in range(turns):
        node = sketch.call(torch.mul, node, 1.5)
        other = sketch.call(torch.softmax, node, dim=-1)
        for function in (torch.sin, torch.cos, torch.exp, torch.neg, torch.abs, torch.tanh):
            node = sketch.call(function, node)
        node = sketch.call(torch.add, node, other)
    sketch.builder.output([node])
    return sketch


def flat(graph, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(eager, "repetitions", lambda calls: ())
        return compile_graph(graph)


def test_values_die_where_they_do_in_the_flat_program(monkeypatch):
    graph = many().builder.graph
    programs = compile_graph(graph), flat(graph, monkeypatch)
    assert "_block" in programs[0].source and "_block" not in programs[1].source
    alive = []
    for program in programs:
        tensors, counts = [], []

        class Mode(torch.overrides.TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                counts.append(sum(each() is not None for each in tensors))
                result = function(*args, **(kwargs or {}))
                tensors.append(weakref.ref(result))
                return result

        with Mode():
            (result,) = program(X)
        alive.append((counts, result.tolist()))
        gc.collect()
        del result
    assert alive[0] == alive[1] and max(alive[0][0]) < 6


def test_an_error_in_a_repetition_names_its_node_there():
    sketch = Sketch(x=X)
    (node,) = sketch.inputs
    for _ in range(20):
        for _ in range(9):
            node = sketch.call(torch.sin, node)
        node = sketch.call(torch.add, node, node)
    sketch.builder.output([node])
    calls = [(node, []) for node in sketch.builder.graph.nodes if node.op == "call_function"]
    assert len(list(repetitions(calls))) == 1
    program = compile_graph(sketch.builder.graph, origin=lambda node: node.name)
    count = 0

    class Failing(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            nonlocal count
            count += 1
            if count == 137:
                raise KeyError("here")
            return function(*args, **(kwargs or {}))

    with pytest.raises(KeyError) as error, Failing():
        program(X)
    name = calls[136][0].name
    assert error.value.__notes__ == [f"raised by {name}, captured from\n{name}"]
    assert [frame.name[:6] for frame in traceback.extract_tb(error.value.__traceback__)][1:3] == ["graph", "_block"]
