"""functools.lru_cache around functions that a captured function makes: each run's cache begins empty."""

import functools
from typing import Any

import pytest
import torch

from tests.check import BACKENDS, check
from tracer import capture


def recursion(x: Any) -> Any:
    @functools.lru_cache(None)
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    return x * fibonacci(20), fibonacci.__name__, fibonacci.cache_parameters()["maxsize"]


def tensors(x: Any) -> Any:
    calls = []

    @functools.cache
    def scaled(n: Any, shift: Any = 0) -> Any:
        calls.append(n)
        return x * n + shift

    same = scaled(2) is scaled(2) and scaled(2.0) is scaled(2)
    return scaled(1) + scaled(2, shift=1) + scaled(shift=1, n=2), same, calls


def few(x: Any) -> Any:
    calls = []

    @functools.lru_cache(maxsize=2, typed=True)
    def noted(n: Any) -> Any:
        calls.append(n)
        return n

    for n in (1, 2, 1, 3, 2, 1.0, 1):
        noted(n)
    noted.cache_clear()
    noted(1)
    return x + 1, calls


def method(x: Any) -> Any:
    class Layer:
        def __init__(self) -> None:
            self.count = 0

        @functools.lru_cache
        def run(self, n: int) -> Any:
            self.count += 1
            return x * n

    layer = Layer()
    return layer.run(2) + layer.run(2), layer.count


def unhashable(x: Any) -> Any:
    @functools.lru_cache
    def first(items: Any) -> Any:
        return items[0]

    try:
        return first([x])
    except TypeError as error:
        return x + 1, str(error)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", [recursion, tensors, few, method, unhashable], ids=lambda program: program.__name__)
def test_a_cache_made_inside_is_part_of_the_graph(program: Any, backend: str):
    check(program, torch.randn(3, requires_grad=True), graphs=1, breaks=[], backend=BACKENDS[backend])


def test_a_cached_function_that_leaves_uncalled():
    def program(x: Any) -> Any:
        @functools.lru_cache(maxsize=3)
        def plus(n: int) -> Any:
            """Adds."""
            return x + n

        return plus

    captured, x = capture(program, backend="eager", fullgraph=True), torch.ones(2)
    first, second = captured(x), captured(x)
    assert first is not second and first.__doc__ == "Adds." and first.cache_info().maxsize == 3
    assert first(1) is first(1) and torch.equal(first(1), x + 1) and first.__wrapped__.__name__ == "plus"


def test_a_cached_function_that_leaves_with_results_is_made_natively():
    def program(x: Any) -> Any:
        @functools.cache
        def plus(n: int) -> Any:
            return x + n

        return plus, plus(1)

    captured, x = capture(program, backend="eager"), torch.ones(2)
    for _ in range(2):
        plus, result = captured(x)
        assert plus(1) is result and plus.cache_info().hits == 1
