"""Modules that are called through what `Module.compile`, or a program, has put in place of their own call."""

import torch

import tracer
from tests.check import check


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 4)

    def forward(self, x):
        return torch.relu(self.fc(x))


def program(model, x):
    return model(x) + 1


def thrice(x):
    return x * 3


def test_one_that_a_program_has_put_there_is_called():
    def make():
        torch.manual_seed(0)
        model = Layer()
        model._compiled_call_impl = thrice
        return model, torch.ones(2, 4)

    check(program, make=make, graphs=1, breaks=[])


def test_it_is_guarded():
    model, x = Layer(), torch.ones(2, 4)
    captured = tracer.capture(program, strict=True)
    for replacement in (None, thrice, lambda x: x * 5, None):
        model._compiled_call_impl = replacement
        for _ in range(2):
            assert torch.equal(captured(model, x), program(model, x))
    del model._compiled_call_impl
    assert torch.equal(captured(model, x), program(model, x))


def test_it_is_guarded_in_one_of_many_layers():
    model, x = torch.nn.Sequential(*(Layer() for _ in range(8))), torch.ones(2, 4)
    captured = tracer.capture(program, strict=True)
    assert torch.equal(captured(model, x), program(model, x))
    model[5]._compiled_call_impl = thrice
    assert torch.equal(captured(model, x), program(model, x))
    tracer.reset()
    assert torch.equal(captured(model, x), program(model, x))


def test_what_torch_has_compiled_is_traced_as_the_module():
    model, x = Layer(), torch.ones(2, 4)
    expected = program(model, x)
    captured = tracer.capture(program)
    assert torch.equal(captured(model, x), expected)
    model.compile(backend="eager")
    assert torch.equal(captured(model, x), expected)
    entry = captured.entries[0]
    assert entry.broke is None and entry.ops == 3
