"""locals() and globals() in a captured function."""

import inspect
import sys
from collections import namedtuple

import pytest
import torch

from tests.check import BACKENDS, check, one_graph
from tracer import capture, counters, graph_break, reset

NUMBER = 3
X = torch.ones(2)


def test_variables_that_are_bound():
    def program(x, unused=2, *rest, **keywords):
        scale = 3
        bound = locals()
        late = 4
        return x * bound["scale"] + late, sorted(bound), bound["x"] is x, (lambda: scale)()

    for backend in BACKENDS.values():
        one_graph(program, X, 5, 6, keywords={"word": 7}, backend=backend)


def test_variables_of_an_inner_function_of_a_class_body_and_of_a_generator():
    def program(x):
        def inner(a, b=2, *c, **d):
            return locals()

        class Body:
            a = 1
            names = [name for name in locals() if name == "a"]

        def generator():
            first = 1
            yield sorted(locals())
            del first
            second = 2  # noqa: F841
            yield sorted(locals())

        return x + 1, inner(x, 3, 4, e=5), Body.names, list(generator()), "{scale}".format(**{"scale": 1, **locals()})

    one_graph(program, X)


def test_one_dictionary_for_a_frame_or_one_for_each_call():
    def program(x):
        first = locals()
        second = locals()
        first["other"] = late = x + 1
        third = locals()
        del x
        fourth = locals()
        return late, first is second, sorted(first), sorted(second), sorted(third), sorted(fourth)

    one_graph(program, X)


def test_variables_in_front_of_and_behind_a_break():
    def program(x):
        scale = 2
        before = dict(locals())
        graph_break()
        offset = 3
        after = locals()
        return before["x"] * after["scale"] + after["offset"], sorted(before), offset

    check(program, X, breaks=["explicit"])


def test_a_global_name_by_globals():
    def program(x):
        return x * globals()["NUMBER"], "NUMBER" in globals(), globals() is sys.modules[__name__].__dict__

    one_graph(program, X)


def test_a_global_name_that_changes():
    reset()
    captured = capture(lambda x: x * globals()["NUMBER"], fullgraph=True)
    space = globals()
    before = space["NUMBER"]
    try:
        for number in (3, 3, 4, 5):
            space["NUMBER"] = number
            assert captured(X)[0] == number
    finally:
        space["NUMBER"] = before
    assert counters().hits == 2  # the second of two equal numbers, and a symbol


def own_frame(x):
    frame = sys._getframe()
    late = 4
    return x + frame.f_locals["late"] + late


def current_frame_and_a_break(x):
    frame, late = inspect.currentframe(), 4
    graph_break()
    late = 5  # noqa: F841
    return x + frame.f_locals["late"]


def frame_of_the_caller(x):
    number = 1

    def caller():
        return sys._getframe(1)

    frame, number = caller(), 7
    return x + frame.f_locals["number"] + number


def lines_of_a_frame(x):
    frame = sys._getframe()
    before = frame.f_lineno
    y = x + 1
    return y, frame.f_lineno - before, frame.f_code.co_name


def written_through_a_frame(x):
    number = 1
    sys._getframe().f_locals["number"] = 9
    return x + number


@pytest.mark.parametrize(
    "program", [own_frame, current_frame_and_a_break, frame_of_the_caller, lines_of_a_frame, written_through_a_frame]
)
def test_frame_that_the_program_takes_hold_of(program):
    """It is the one in which the whole function runs: its variables and lines are seen, and from 3.13 on written."""
    reset()
    captured = capture(program)
    for _ in range(2):
        assert repr(captured(X)) == repr(program(X))
    assert dict(counters().breaks)["frame-object"] >= 1


def test_frame_whose_globals_a_library_reads():
    """`namedtuple` asks for the frame of its caller, to read the name of a module: there are graphs all the same."""

    def program(x):
        y = x + 1
        Pair = namedtuple("Pair", "a b")
        return tuple(Pair(y, y * 2)), Pair.__module__

    check(program, X)
    assert counters().graphs and not counters().breaks["frame-object"]
