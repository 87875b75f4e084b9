"""inspect.signature of functions from outside, of methods, and of functions that the captured function makes."""

import functools
import inspect
from typing import Any

import pytest
import torch

from tests.check import BACKENDS, check, one_graph
from tracer import capture


class Layer(torch.nn.Module):
    def forward(self, x: Any, mask: Any = None) -> Any:
        return x


layer = Layer()


def scaled(x: Any, factor: int = 2, *, shift: int = 1) -> Any:
    return x * factor + shift


@functools.wraps(scaled)
def around(*args: Any, **kwargs: Any) -> Any:
    return scaled(*args, **kwargs)


@pytest.mark.parametrize("backend", BACKENDS)
def test_signature_of_a_function_made_inside(backend: str):
    def program(x: Any, factor: int) -> Any:
        def inner(y: torch.Tensor, factor: int = factor, *rest: Any, shift: float = 1.5, **other: Any) -> torch.Tensor:
            return y * factor + shift

        signature = inspect.signature(inner)
        bound = signature.bind(x, shift=2)
        bound.apply_defaults()
        parameters = signature.parameters
        seen = list(parameters), parameters["shift"].default, parameters["y"].annotation, parameters["rest"].kind
        return inner(*bound.args, **bound.kwargs), seen, signature.return_annotation

    check(program, torch.randn(3, requires_grad=True), 3, graphs=1, breaks=[], backend=BACKENDS[backend])


def test_signature_of_methods_and_of_wrapped_functions():
    def program(x: Any) -> Any:
        class Local:
            def method(self, a: Any, b: Any) -> Any:
                return a

        seen = [list(inspect.signature(function).parameters) for function in (layer.forward, Layer.forward, around)]
        return (
            x + 1,
            seen,
            list(inspect.signature(Local().method).parameters),
            list(inspect.signature(Local.method).parameters),
        )

    one_graph(program, torch.ones(2))


def test_what_a_signature_consists_of_is_guarded():
    def fresh() -> Any:
        def function(x: Any, factor: int = 2, *, shift: int = 1) -> Any:
            return x

        return function

    def program(x: Any) -> Any:
        parameters = inspect.signature(scaled).parameters
        return x * parameters["factor"].default + parameters["shift"].default

    def of_argument(x: Any, function: Any) -> Any:
        return x * inspect.signature(function).parameters["factor"].default

    captured, other = capture(program, backend="eager"), capture(of_argument, backend="eager")
    x, function = torch.ones(2), fresh()
    target: Any = scaled
    wrapper: Any = around
    try:
        for factor, shift in ((2, 1), (3, 1), (3, 5)):
            target.__defaults__ = function.__defaults__ = (factor,)
            target.__kwdefaults__["shift"] = shift
            assert captured(x).tolist() == [factor + shift] * 2
            assert other(x, function).tolist() == [factor] * 2
        wrapper.__wrapped__ = lambda a: a
        assert list(capture(lambda x: (x + 1, list(inspect.signature(around).parameters)))(x)[1]) == ["a"]
    finally:
        target.__defaults__, target.__kwdefaults__["shift"] = (2,), 1
        wrapper.__wrapped__ = scaled


def test_defaults_that_the_program_makes_break():
    def program(x: Any) -> Any:
        def inner(y: Any, items: Any = []) -> Any:  # noqa: B006
            return y

        inspect.signature(inner).parameters["items"].default.append(1)
        function: Any = inner
        return x + len(function.__defaults__[0])

    check(program, torch.ones(2), breaks=["unsupported-call"], recaptures=None)
