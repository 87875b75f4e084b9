"""`tensor.grad = gradient` in captured functions: what torch refuses, it refuses where the program assigns it."""

from typing import Any

import pytest
import torch

from tests.check import BACKENDS, check


def of_another_shape(x: Any, leaf: Any) -> Any:
    leaf.grad = torch.ones(5)


def of_another_dtype(x: Any, leaf: Any) -> Any:
    leaf.grad = torch.ones(2, 2, dtype=torch.float64)


def number(x: Any, leaf: Any) -> Any:
    leaf.grad = 3


def itself(x: Any, leaf: Any) -> Any:
    leaf.grad = leaf


@pytest.mark.parametrize("assign", [of_another_shape, of_another_dtype, number, itself])
def test_refused_gradient_reaches_the_handler(assign: Any):
    def program(x: Any, leaf: Any, log: Any) -> Any:
        try:
            assign(x, leaf)
            log.append("assigned")
        except (RuntimeError, TypeError) as error:
            return x + 5, type(error).__name__
        return x + 1, None

    check(program, torch.ones(2), torch.ones(2, 2, requires_grad=True), [], recaptures=None)


def in_place(x: Any, leaf: Any, gradient: Any) -> Any:
    leaf.grad = gradient
    leaf.unsqueeze_(0)
    return x + leaf.sum()


def by_its_gradient(x: Any, leaf: Any, gradient: Any) -> Any:
    leaf.grad = gradient
    gradient.unsqueeze_(0)
    return x + leaf.grad.sum()


def by_its_data(x: Any, leaf: Any, gradient: Any) -> Any:
    leaf.grad = gradient
    leaf.data = torch.ones(3)
    return x + leaf.sum()


def shape_first(x: Any, leaf: Any, gradient: Any) -> Any:
    leaf.unsqueeze_(0)
    leaf.grad = gradient[None]
    return x + leaf.grad.sum()


@pytest.mark.parametrize("program", [in_place, by_its_gradient, by_its_data, shape_first])
@pytest.mark.parametrize("backend", ["eager", "forward"])
def test_shape_that_changes_beside_an_assignment(program: Any, backend: str):
    check(program, torch.ones(2), torch.ones(2, 2), torch.ones(2, 2), backend=BACKENDS[backend], recaptures=None)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_that_fits_is_part_of_one_graph(backend: str):
    def program(x: Any, leaf: Any) -> Any:
        leaf.grad = x * 2
        leaf.grad = leaf.grad + 1
        return leaf.detach() - leaf.grad

    check(program, torch.ones(2), torch.ones(2, requires_grad=True), graphs=1, breaks=[], backend=BACKENDS[backend])
