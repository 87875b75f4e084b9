"""Inference mode inside of a captured function: which results are inference tensors, whatever runs the graph."""

import pytest
import torch
from torch.fx import Graph, GraphModule

from backends.inference_graphs import keeping_inference
from passes.operators.modes import enter_inference, leave_inference
from tests.check import BACKENDS, check
from tracer import graph_break


@torch.inference_mode()
def view(x):
    return x.t()


@torch.inference_mode()
def detached(x):
    return x.detach(), x.reshape(-1), x.split(1)


@torch.inference_mode()
def sum_of_diagonal(x):
    return torch.diagonal(x).sum()


@torch.inference_mode()
def linear(x):
    return torch.nn.functional.linear(x, x)


def in_one_block(x):
    with torch.inference_mode():
        y = x * 2
        return y.t(), y + 1


def with_what_follows(x):
    with torch.inference_mode():
        y = x.t() * 2
    return y + 1, x + 1


def given_back(x):
    with torch.inference_mode():
        y = x.t()
        z = y + 1
    return y, z, x * 2


def behind_a_break(x):
    with torch.inference_mode():
        y = x.t() + 1
        graph_break()
        return y.t(), x.t()


def none_inside(x):
    with torch.inference_mode():
        size = len(x)
    return x * size


def outside_of_it(x):
    with torch.inference_mode(), torch.inference_mode(False):
        return x.t(), x + 1


def gradients_left_off(x):
    torch.set_grad_enabled(False)
    with torch.inference_mode():
        return x + 1


PROGRAMS = [view, detached, sum_of_diagonal, linear, in_one_block, with_what_follows, given_back, behind_a_break]
PROGRAMS += [none_inside, outside_of_it, gradients_left_off]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_results_are_inference_tensors_where_the_plain_ones_are(program, backend, requires_grad):
    x = torch.ones(2, 2, requires_grad=requires_grad)
    report = check(program, x, backend=BACKENDS[backend], recaptures=None)
    for outcome in report.outcomes:
        results = outcome.result if isinstance(outcome.result, tuple) else (outcome.result,)
        plain = program(x) if program is not gradients_left_off else torch.inference_mode()(lambda: x + 1)()
        plain = plain if isinstance(plain, tuple) else (plain,)
        for one, other in zip(results, plain, strict=True):
            if isinstance(one, torch.Tensor):
                assert one.is_inference() == other.is_inference()
    assert not torch.is_inference_mode_enabled()


def test_a_graph_by_hand_is_compiled_in_the_mode_that_it_enters():
    """Nothing is noted at its nodes of the modes under which they were captured."""
    graph = Graph()
    x = graph.placeholder("x")
    graph.call_function(enter_inference, (True,))
    product = graph.call_function(torch.matmul, (x, x))
    graph.call_function(leave_inference)
    graph.output((product,))
    compiler = keeping_inference(lambda module, inputs: module.forward)
    (result,) = compiler(GraphModule({}, graph), [torch.ones(2, 2)])(torch.ones(2, 2))
    assert result.is_inference() and not torch.is_inference_mode_enabled()
