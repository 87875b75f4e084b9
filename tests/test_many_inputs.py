"""Graphs with more inputs than CPython calls a function with from its stack: a program hands them over as one tuple."""

import gc
import weakref

import pytest
import torch

import tracer
from tests.check import check
from tests.stored import kinds
from tracer import capture, graph_break

MANY = 40


def tensors(count=MANY):
    return [torch.full((2,), float(number)) for number in range(count)]


def added(xs):
    total = xs[0] * 2
    for x in xs[1:]:
        total = total + x
    return total


def source_of(program, *args):
    captured = capture(program)
    captured(*args)
    return captured.dump(what="program")


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_inputs_of_the_graph_alone(backend):
    check(added, tensors(), graphs=1, breaks=[], backend=backend)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_inputs_that_the_program_reads_elsewhere(backend):
    def program(xs, x):
        xs[2].add_(1)
        xs.append(xs[3])
        return added(xs) + x, xs[1], x, {"last": xs[-1]}

    check(program, tensors(), torch.ones(2), graphs=1, breaks=[], backend=backend)


def test_inputs_on_both_sides_of_a_break():
    def program(xs):
        total = added(xs)
        graph_break()
        return total + added(xs[::-1]), xs[5]

    check(program, tensors(), graphs=2, breaks=["explicit"])


def test_original_runs_when_the_graph_raises():
    def program(xs, index):
        try:
            return added(xs)[index], xs[1]
        except IndexError:
            return xs[0], xs[2]

    check(program, tensors(), torch.tensor([5]), graphs=None)


def test_parameters_of_a_model_with_gradients():
    model = torch.nn.Sequential(*[torch.nn.Linear(2, 2) for _ in range(20)])
    check(lambda model, x: model(x).sum(), model, torch.ones(1, 2), graphs=1, breaks=[])
    text = source_of(model, torch.ones(1, 2))
    assert "graph(*graph_inputs)" in text and "*graph_inputs):" in text
    assert "self_0_weight" in text and "self_7_weight" not in text


def test_few_inputs_have_names():
    assert "graph_inputs" not in source_of(added, tensors(30))
    assert "graph(*graph_inputs)" in source_of(added, tensors(31))


def test_program_of_a_user_with_that_name():
    def program(graph_inputs):
        return added(graph_inputs), graph_inputs

    check(program, tensors(), graphs=1, breaks=[])


def test_text_that_looks_like_the_call_of_the_graph():
    def program(xs):
        print("graph(x)")
        return added(xs), "graph(y)"

    check(program, tensors(), graphs=1, breaks=[])


def test_tensors_end_as_plainly():
    ends = []

    def program(xs):
        for number in (0, 1, 2):
            weakref.finalize(xs[number], ends.append, number)
        total = added(xs)
        graph_break()
        return total

    def ended(function):
        ends.clear()
        function(tensors())
        gc.collect()
        return list(ends)

    assert ended(program) == ended(capture(program)) != []


def test_program_from_a_file(tmp_path):
    model = torch.nn.Sequential(*[torch.nn.Linear(2, 2) for _ in range(20)])
    x = torch.ones(1, 2)
    assert torch.equal(capture(model, cache=tmp_path)(x), model(x))
    tracer.reset()
    captured = capture(model, cache=tmp_path)
    assert torch.equal(captured(x), model(x))
    assert kinds() == ["loaded"]
    assert "graph(*graph_inputs)" in captured.dump(what="program")
