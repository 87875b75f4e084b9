"""Pieces of a program that set modes and compute nothing: they are no graphs."""

import pytest
import torch

from tests.check import BACKENDS, check
from tracer import capture, explain, graph_break


def computes():
    return torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")


def without_gradients(x):
    with torch.no_grad():
        graph_break()
        y = x * 2
        graph_break()
    return y, computes()


def twice(x):
    with torch.no_grad():
        with torch.enable_grad():
            pass
        graph_break()
        with torch.enable_grad():
            y = x * 2
    graph_break()
    return y, computes()


def under_autocast(x):
    with torch.autocast("cpu", torch.float16):
        graph_break()
        y = x @ torch.ones(2, 2)
        graph_break()
        seen = computes()
    graph_break()
    return y, seen, computes()


def a_setter_that_lasts(x):
    torch.set_grad_enabled(False)
    graph_break()
    y = x * 2
    torch.set_grad_enabled(True)
    return y, computes()


def after_an_error(x):
    try:
        with torch.no_grad():
            graph_break()
            raise ValueError
    except ValueError:
        return x * 2, computes()


def in_a_callee(x):
    @torch.no_grad()
    def callee(x):
        graph_break()
        return x * 2

    return callee(x), computes()


PROGRAMS = [without_gradients, twice, under_autocast, a_setter_that_lasts, after_an_error, in_a_callee]


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_only_computing_is_a_graph(program, backend, grad):
    x = torch.ones(2, 2, requires_grad=grad)
    check(program, x, backend=BACKENDS[backend], graphs=1, recaptures=None)


def test_the_piece_is_a_statement():
    def program(x):
        with torch.no_grad():
            graph_break()
            return x * 2

    captured = capture(program, backend="eager")
    captured(torch.ones(2))
    pieces = explain(captured, torch.ones(2)).entries
    assert "set_grad_enabled(False)" in pieces[0].program
    assert "graph(" not in pieces[0].program


def test_the_kernels_of_attention_stay_in_graphs():
    def program(x):
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            graph_break()
            y = torch.nn.functional.scaled_dot_product_attention(x, x, x)
        return y

    check(program, torch.rand(1, 2, 3, 4), recaptures=None)
