"""Functions and modules that torch.compile has made, called inside a captured function: what they compile is traced."""

import functools
from typing import Any

import pytest
import torch
import torch._dynamo

from tests.check import BACKENDS, check
from tracer import capture

SCALE = {"factor": 2.0}


@torch.compile(backend="eager")
def compiled(x: Any, shift: Any = 1) -> Any:
    return x.sin() * SCALE["factor"] + shift


@functools.wraps(compiled)
def around(x: Any) -> Any:
    return x - 100


class Layer(torch.nn.Module):
    """A module with a method that is compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)

    @torch.compile(backend="eager", fullgraph=True)
    def mix(self, x: Any) -> Any:
        return self.linear(x).relu()

    def forward(self, x: Any) -> Any:
        return self.mix(x) + x


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_compiled_function_is_part_of_the_graph(backend: str):
    def program(x: Any) -> Any:
        return compiled(x, shift=3) * 2 + around(x)

    check(program, torch.randn(3, requires_grad=True), graphs=1, breaks=[], backend=BACKENDS[backend])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("hooks", [False, True])
def test_a_compiled_module_is_part_of_the_graph(backend: str, hooks: bool):
    module: Any = torch.compile(Layer(), backend="eager")
    if hooks:
        module.register_forward_hook(lambda module, args, result: result * 3)
    captured = capture(lambda x: module(x) * 2, backend=BACKENDS[backend], fullgraph=True)
    x = torch.randn(2, 3)
    with torch.no_grad():
        expected = module._orig_mod(x) * (6 if hooks else 2)
        assert torch.equal(captured(x), expected) and torch.equal(captured(x), expected)
        module._orig_mod.linear.weight.mul_(2)
        assert torch.equal(captured(x), module._orig_mod(x) * (6 if hooks else 2))


def test_what_a_compiled_function_reads_is_guarded():
    captured = capture(lambda x: compiled(x), backend="eager", fullgraph=True)
    x = torch.randn(3)
    assert torch.equal(captured(x), x.sin() * 2.0 + 1)
    SCALE["factor"] = 5.0
    try:
        assert torch.equal(captured(x), x.sin() * 5.0 + 1)
    finally:
        SCALE["factor"] = 2.0


def test_a_disabled_function_still_breaks():
    @torch.compiler.disable
    def hidden(x: Any) -> Any:
        return x + 1

    check(lambda x: hidden(x) * 2, torch.ones(3), breaks=["disabled"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_torch_compile_called_inside_is_part_of_the_graph(backend: str):
    def program(x: Any, factor: int) -> Any:
        def scaled(y: Any) -> Any:
            return y.sin() * factor

        def shifted(y: Any) -> Any:
            return scaled(y) + 1

        decorated: Any = torch.compile(backend="eager", fullgraph=True)(shifted)
        again: Any = torch.compile(compiled, dynamic=False, backend="eager")
        other: Any = torch.compile(scaled, backend="aot_eager")
        return other(x) + decorated(x) + again(x)

    check(program, torch.randn(3, requires_grad=True), 2, graphs=1, breaks=[], backend=BACKENDS[backend])


def test_a_function_compiled_inside_leaves_as_torch_makes_it():
    def program(x: Any) -> Any:
        def inner(y: Any) -> Any:
            return y + x

        made: Any = torch.compile(inner, backend="eager")
        made.note = 3
        return made(x) * 2, made

    x = torch.randn(3)
    captured = capture(program, backend="eager", fullgraph=True)
    for _ in range(2):
        result, made = captured(x)
        assert torch.equal(result, x * 4) and torch.equal(made(x), x * 2)
        assert made.note == 3 and made.__name__ == "inner" and made._torchdynamo_orig_callable is not made


@torch._dynamo.config.patch(issue_3_13_0_warning=False)  # of the guards of torch alone
def test_torch_compile_called_inside_with_other_arguments_breaks():
    def refused(program: Any) -> None:
        check(program, torch.ones(2), breaks=["function-transform"], recaptures=None)

    refused(lambda x: torch.compile(torch.nn.ReLU(), backend="eager")(x))
    refused(lambda x: torch.compile(lambda y: y, mode="default", options={})(x))
    refused(lambda x: torch.compile(lambda y: y + 1, backend="unheard of")(x))
