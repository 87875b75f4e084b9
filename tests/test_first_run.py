"""The first run of a residual program, while other threads call it and whatever the program's constants are called."""

import contextlib
import gc
import types
import weakref
from typing import Any

import pytest
import torch

from tests.check import one_graph
from tracer import capture, reset
from tracer.graph.builder import GraphBuilder
from tracer.interpret.evaluator import EVALUATOR
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


@contextlib.contextmanager
def without_collector():
    """A context in which only what no cycle holds dies."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def test_an_operator_that_is_found_to_refuse_leaves_no_version_and_no_cycle_behind():
    """Of a write that is undone since a later operator was mispredicted, no trace is left, whichever is asked first."""
    held: list[Any] = []

    def program(x, index):
        x.add_(1)
        return x.index_put((index,), held[0])

    held.append(torch.ones(2, dtype=torch.float64))
    versions = []
    with without_collector():
        for function in (program, capture(program)):
            EVALUATOR.forget()
            x = torch.ones(2, 2)
            with pytest.raises(RuntimeError):
                function(x, torch.tensor([0]))
            versions.append((x._version, x.tolist()))
            reference = weakref.ref(x)
            del x
            assert reference() is None
    assert versions[0] == versions[1]


@pytest.mark.parametrize(
    "program",
    [
        lambda x: x.expand(2, 2).view(-1),
        lambda x: x.sum().backward(),
        lambda x: torch.linalg.inv(x.expand(2, 2)),
        lambda x: x.detach().requires_grad_().exponential_(),
        lambda x: x.to_sparse().to_dense(),
    ],
    ids=["view", "backward", "inverse", "leaf", "sparse"],
)
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_trials_of_which_some_fail_leave_no_cycle_behind(program, backend):
    EVALUATOR.forget()
    with without_collector():
        x = torch.ones(1, 2)
        with contextlib.suppress(RuntimeError):
            capture(program, backend=backend)(x)
        reference = weakref.ref(x)
        del x
        assert reference() is None
