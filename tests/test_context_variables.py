"""contextvars: reads are guarded, changes are made behind the graph in the context of the caller."""

from contextvars import ContextVar, copy_context
from typing import Any

import pytest
import torch

from tests.check import BACKENDS, check, one_graph
from tracer import capture, counters, graph_break, reset

DEFAULT: ContextVar[Any] = ContextVar("DEFAULT", default=2)
BARE: ContextVar[Any] = ContextVar("BARE")


def in_a_copy(program, *args):
    """The result of a program, and what the variables hold after it, in a context of its own."""

    def run():
        return program(*args), DEFAULT.get(), BARE.get(None)

    return copy_context().run(run)


def assert_agrees(program, calls=2, graphs=1, **options):
    """A program gives the same, and leaves the same behind, plainly and captured; it is one graph."""
    reset()
    captured = capture(program, strict=True, **options)
    for _ in range(calls):
        expected, observed = in_a_copy(program, torch.ones(3)), in_a_copy(captured, torch.ones(3))
        assert torch.equal(expected[0], observed[0]) and expected[1:] == observed[1:]
    assert (counters().graphs, dict(counters().breaks)) == (graphs, {})


def own_default(x):
    return x + DEFAULT.get()


def default_of_the_call(x):
    return x + BARE.get(5) + DEFAULT.get(7)


def set_and_reset(x):
    token = DEFAULT.set(7)
    y = x * DEFAULT.get()
    DEFAULT.reset(token)
    return y + DEFAULT.get()


def nested_changes(x):
    outer = BARE.set(3)
    inner = BARE.set(4)
    y = x * BARE.get()
    BARE.reset(inner)
    y = y + BARE.get()
    BARE.reset(outer)
    return y + BARE.get(1)


def left_set(x):
    BARE.set("text")
    DEFAULT.set(DEFAULT.get() + 1)
    return x * DEFAULT.get()


PROGRAMS = [own_default, default_of_the_call, set_and_reset, nested_changes, left_set]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_program_is_one_graph(program, backend):
    assert_agrees(program, backend=BACKENDS[backend])


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_value_of_the_variable_is_guarded(program):
    captured = capture(program, strict=True)
    for value in (2, 9, 2, 11, 2):
        context = copy_context()
        context.run(DEFAULT.set, value)
        expected = context.copy().run(in_a_copy, program, torch.ones(3))
        observed = context.copy().run(in_a_copy, captured, torch.ones(3))
        assert torch.equal(expected[0], observed[0]) and expected[1:] == observed[1:]


def test_variable_that_comes_to_have_a_value():
    captured = capture(lambda x: x + BARE.get(5), strict=True)
    assert captured(torch.zeros(1)).item() == 5

    def later():
        BARE.set(8)
        return captured(torch.zeros(1)).item()

    assert copy_context().run(later) == 8
    assert captured(torch.zeros(1)).item() == 5


def test_tensor_in_a_variable():
    def program(x):
        before = BARE.get()
        BARE.set(before + x)
        return BARE.get() * 2

    captured = capture(program, strict=True, fullgraph=True)

    def run(function):
        BARE.set(torch.ones(2))
        return [function(torch.ones(2)) for _ in range(3)], BARE.get()

    expected, observed = copy_context().run(run, program), copy_context().run(run, captured)
    assert torch.equal(torch.stack(expected[0]), torch.stack(observed[0])) and torch.equal(expected[1], observed[1])


def test_change_before_an_error():
    def program(x):
        DEFAULT.set(30)
        return x + torch.ones(4)

    def run(function):
        with pytest.raises(RuntimeError):
            function(torch.ones(3))
        return DEFAULT.get()

    captured = capture(program)
    assert [copy_context().run(run, captured) for _ in range(2)] == [30, 30]


def test_variable_without_a_value_raises():
    def program(x):
        try:
            return x + BARE.get()
        except LookupError:
            return x - 1

    check(program, torch.ones(2), graphs=None)


def test_token_across_a_break():
    def program(x):
        token = DEFAULT.set(5)
        y = x + DEFAULT.get()
        graph_break()
        DEFAULT.reset(token)
        return y * DEFAULT.get()

    captured = capture(program)
    assert [captured(torch.ones(1)).item() for _ in range(2)] == [12, 12]
    assert DEFAULT.get() == 2


def test_token_that_is_used_twice():
    def program(x):
        token = DEFAULT.set(5)
        DEFAULT.reset(token)
        try:
            DEFAULT.reset(token)
        except RuntimeError:
            return x + 1
        return x

    check(program, torch.ones(2), graphs=None, recaptures=None)


def test_variable_reached_by_other_ways():
    class Settings:
        scale = ContextVar("scale", default=3)

    def program(x, variables):
        read = DEFAULT.get
        return x * read() + sum(variable.get() for variable in variables) + Settings.scale.get() + len(DEFAULT.name)

    captured = capture(program, fullgraph=True, strict=True)
    assert captured(torch.ones(1), [DEFAULT, Settings.scale]).item() == 2 + 5 + 3 + 7


def test_compiled_function_of_a_module():
    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(2, 2)

        def forward(self, x):
            return self.linear(x) * DEFAULT.get()

    one_graph(lambda x, layer=Layer(): layer(x), torch.ones(2))
