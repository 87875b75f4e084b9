"""The first run of a residual program, while other threads call it and whatever the program's constants are called."""

import types
from typing import Any

import torch

from tests.check import one_graph
from tracer import capture, reset
from tracer.graph.builder import GraphBuilder
from tracer.output.first_run import FirstRun


def first_run(x: torch.Tensor) -> torch.Tensor:
    """A function of the program with the name of a global of residual programs."""
    return x


def test_thread_that_entered_before_the_first_run_ended_goes_on():
    first = FirstRun(GraphBuilder(), lambda number: number + 1)
    namespace: dict[str, Any] = {"graph": first.graph}
    exec("def program(number):\n    return graph(number) * 2", namespace)
    program = namespace["program"]
    first.stand_before(program)
    entered = types.FunctionType(program.__code__, program.__globals__)  # a frame keeps its code
    assert program(1) == 4
    assert program.__code__ is first.code
    assert entered(1) == 4


def test_function_of_the_program_called_first_run():
    def program(x):
        return first_run, first_run(x) + 1

    one_graph(program, torch.ones(2))
    reset()
    captured = capture(program)
    for rows in (2, 3, 4):
        function, result = captured(torch.ones(rows))
        assert function is first_run
        assert torch.equal(result, torch.full((rows,), 2.0))
