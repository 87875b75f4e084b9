"""Blocks that differ in something subtle: what a template would get wrong if it did not know of it.

Each program is captured with and without templates, which must give the same; it must do what the plain program does;
and where its blocks are changed between calls, later calls must see that.
"""

import copy
import functools
from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn

import tracer
from tests.test_templates import same_as_interpreted
from tracer.interpret.templates import calls

BLOCKS = 8
Pair = namedtuple("Pair", ["left", "right"])


def made_by(factor):
    def act(x):
        return x * factor

    return act


def with_default(x, factor=2.0):
    return x * factor


class Rich(nn.Module):
    """A block that reads something of every kind."""

    offset = 0.5

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.other = nn.Linear(4, 4)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("shift", torch.tensor(0.25))
        self.table = {"a": 1.0, "b": 2.0}
        self.numbers = [1, 2]
        self.scale = 2.0
        self.flag = 1
        self.word = "mean"
        self.act = torch.relu
        self.bound = functools.partial(with_default, factor=3.0)
        self.parts = nn.ModuleDict({"one": nn.Identity(), "two": nn.Tanh()})
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4))])
        self.pair = Pair(1.0, 2.0)
        self.extra = None

    def forward(self, x):
        y = self.dropout(self.fc(x)) + self.shift + self.offset
        for key, value in self.table.items():
            y = y * value if key == "a" else y + value
        for number in self.numbers:
            y = y / number
        y = y * self.scale if self.scale > 1 else y - self.scale
        y = y.mean(-1, keepdim=True) if self.word == "mean" else y.sum(-1, keepdim=True)
        y = y + (1 if type(self.flag) is int else 3)
        y = self.bound(self.act(y))
        for part in self.parts.values():
            y = part(y)
        for weight in self.weights:
            y = y + weight
        if self.extra is not None:
            y = y + self.extra
        if self.fc is self.other:
            y = y * 7
        if self.fc.weight is self.other.weight:
            y = y * 5
        return x + self.other(y) * self.pair.left + self.pair[1]


class Stack(nn.Module):
    def __init__(self, make=Rich):
        super().__init__()
        self.blocks = nn.ModuleList(make() for _ in range(BLOCKS))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class OtherLinear(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2


class Called(nn.Linear):
    def __call__(self, x):
        return super().__call__(x) - 1


class Fallback(nn.Linear):
    def __getattr__(self, name):
        return 3.0 if name == "gain" else super().__getattr__(name)

    def forward(self, x):
        return super().forward(x) * self.gain


Linear = type("Linear", (nn.Linear,), {"forward": lambda self, x: nn.Linear.forward(self, x) + 4})


def strided_weight():
    return nn.Parameter(torch.randn(4, 8)[:, ::2])


def tie(model, block):
    block.other.weight = block.fc.weight


def tie_with_first(model, block):
    block.fc.weight = model.blocks[0].fc.weight


def views_of_one(model, block):
    base = torch.randn(8, 4)
    block.fc.weight = nn.Parameter(base[:4])
    block.other.weight = nn.Parameter(base[2:6])


def without_bias(model, block):
    block.fc.bias = None


def remove_scale(model, block):
    del block.scale
    type(block).scale = 0.5


CHANGES = {
    "forward hook": lambda model, block: block.fc.register_forward_hook(lambda module, args, out: out * 3),
    "forward pre-hook": lambda model, block: block.register_forward_pre_hook(lambda module, args: (args[0] + 1,)),
    "always called hook": lambda model, block: block.dropout.register_forward_hook(
        lambda module, args, out: out + 1, always_call=True
    ),
    "backward hook": lambda model, block: block.fc.register_full_backward_hook(
        lambda module, gradients, outputs: (gradients[0] * 2,)
    ),
    "training of a dropout": lambda model, block: block.dropout.train(not block.dropout.training),
    "training of a block": lambda model, block: block.train(not block.training),
    "probability of a dropout": lambda model, block: setattr(block.dropout, "p", 0.25),
    "dtype of a buffer": lambda model, block: block.register_buffer("shift", torch.tensor(0.25).double()),
    "integer buffer": lambda model, block: block.register_buffer("shift", torch.tensor(2)),
    "buffer that is a parameter": lambda model, block: (
        block._buffers.pop("shift"),
        setattr(block, "shift", nn.Parameter(torch.tensor(0.5))),
    ),
    "buffer of one size more": lambda model, block: block.register_buffer("shift", torch.tensor([0.25])),
    "requires_grad": lambda model, block: block.fc.bias.requires_grad_(False),
    "strides of a parameter": lambda model, block: setattr(block.fc, "weight", strided_weight()),
    "double parameter of another shape": lambda model, block: block.weights.__setitem__(0, nn.Parameter(torch.ones(1))),
    "tied parameters": tie,
    "tied blocks": tie_with_first,
    "parameters that are views of one": views_of_one,
    "shared submodule": lambda model, block: setattr(block, "other", block.fc),
    "shared submodule of the first": lambda model, block: setattr(block, "fc", model.blocks[0].fc),
    "shared list": lambda model, block: setattr(block, "numbers", model.blocks[0].numbers),
    "shared dictionary": lambda model, block: setattr(block, "table", model.blocks[1].table),
    "shared buffer": lambda model, block: block.register_buffer("shift", model.blocks[0].shift),
    "order of a dictionary": lambda model, block: setattr(block, "table", {"b": 2.0, "a": 1.0}),
    "ordered dictionary": lambda model, block: setattr(block, "table", OrderedDict(block.table)),
    "order of modules": lambda model, block: block.parts._modules.update({"one": block.parts._modules.pop("one")}),
    "longer list": lambda model, block: block.numbers.append(4),
    "tuple in place of a list": lambda model, block: setattr(block, "numbers", (1, 2)),
    "bool in place of an int": lambda model, block: setattr(block, "flag", True),
    "int in place of a float": lambda model, block: setattr(block, "scale", 2),
    "negative zero": lambda model, block: setattr(block, "scale", -0.0),
    "not a number": lambda model, block: setattr(block, "scale", float("nan")),
    "another word": lambda model, block: setattr(block, "word", "sum"),
    "equal word": lambda model, block: setattr(block, "word", "".join(["me", "an"])),
    "class attribute shadowed": lambda model, block: setattr(block, "offset", 1.5),
    "attribute removed": remove_scale,
    "closure": lambda model, block: setattr(block, "act", made_by(3.0)),
    "partial": lambda model, block: setattr(block, "bound", functools.partial(with_default, factor=4.0)),
    "partial without": lambda model, block: setattr(block, "bound", functools.partial(with_default)),
    "forward of the instance": lambda model, block: setattr(block.fc, "forward", lambda x: x * 5),
    "subclass": lambda model, block: setattr(block, "fc", OtherLinear(4, 4)),
    "subclass with a call of its own": lambda model, block: setattr(block, "fc", Called(4, 4)),
    "subclass of the same name": lambda model, block: setattr(block, "fc", Linear(4, 4)),
    "subclass with attributes of its own": lambda model, block: setattr(block, "fc", Fallback(4, 4)),
    "no bias": without_bias,
    "weights that are one": lambda model, block: block.weights.__setitem__(1, block.weights[0]),
    "weight of the first block": lambda model, block: block.weights.__setitem__(1, model.blocks[0].weights[1]),
    "another named tuple": lambda model, block: setattr(block, "pair", Pair(1.0, 3.0)),
    "extra number": lambda model, block: setattr(block, "extra", 1.0),
    "extra tensor": lambda model, block: setattr(block, "extra", torch.ones(4)),
    "extra tensor that is a parameter's": lambda model, block: setattr(block, "extra", block.fc.bias.data),
    "the block before": lambda model, block: model.blocks.__setitem__(5, model.blocks[4]),
    "no block": lambda model, block: model.blocks.__setitem__(5, nn.Identity()),
}


@pytest.fixture(autouse=True)
def class_attributes():
    yield
    if hasattr(Rich, "scale"):
        del Rich.scale


def observed(program, x):
    """Result, gradients of all parameters, and the next random number of a call."""
    torch.manual_seed(3)
    x = x.clone().requires_grad_()
    result = program(x)
    result.sum().backward()
    model = getattr(program, "__wrapped__", program)
    gradients = [None if each.grad is None else each.grad.clone() for each in model.parameters()]
    model.zero_grad(set_to_none=True)
    return [result, x.grad, torch.rand(1), *gradients]


def are_same(ones, others):
    return len(ones) == len(others) and all(
        one is other
        or (one is not None and other is not None and torch.equal(one, other) and one.dtype == other.dtype)
        or (
            one is not None
            and other is not None
            and torch.equal(one.isnan(), other.isnan())
            and bool(one.isnan().any())
        )
        for one, other in zip(ones, others, strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize("place", [2, 5])
@pytest.mark.parametrize("name", CHANGES)
def test_a_block_that_differs(monkeypatch, name, place):
    torch.manual_seed(0)
    model = Stack()
    CHANGES[name](model, model.blocks[place])
    same_as_interpreted(monkeypatch, model, torch.ones(2, 4))
    plain = copy.deepcopy(model)
    tracer.reset()
    captured = tracer.capture(model, backend="eager", strict=True)
    for _ in range(2):
        assert are_same(observed(captured, torch.ones(2, 4)), observed(plain, torch.ones(2, 4)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_block_that_is_changed_later(monkeypatch, name):
    monkeypatch.setattr(calls, "LEAST_WORK", 1)
    torch.manual_seed(0)
    model = Stack()
    tracer.reset()
    captured = tracer.capture(model, backend="eager", strict=True)
    observed(captured, torch.ones(2, 4))
    assert captured.entries[0].instantiated
    CHANGES[name](model, model.blocks[5])
    for _ in range(2):
        assert are_same(observed(captured, torch.ones(2, 4)), observed(model, torch.ones(2, 4)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_stored_capture_of_blocks_that_are_changed(monkeypatch, name, tmp_path):
    """In a later process one thing is changed: a stored capture answers only calls that it was made for."""
    torch.manual_seed(0)
    model = Stack()
    tracer.reset()
    observed(tracer.capture(model, backend="eager", cache=tmp_path), torch.ones(2, 4))
    tracer.reset()
    CHANGES[name](model, model.blocks[5])
    captured = tracer.capture(model, backend="eager", cache=tmp_path, strict=True)
    for _ in range(2):
        assert are_same(observed(captured, torch.ones(2, 4)), observed(model, torch.ones(2, 4)))
    tracer.reset()
    again = tracer.capture(model, backend="eager", cache=tmp_path, strict=True)
    assert are_same(observed(again, torch.ones(2, 4)), observed(model, torch.ones(2, 4)))
