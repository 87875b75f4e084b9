"""locals() and globals() in a captured function."""

import sys

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
