"""Checks of finished graphs."""

import operator

import pytest
import torch

from passes.meta import meta_of
from passes.node_meta import META
from tests.graphs import EVALUATOR, Sketch
from tracer.graph.check import check_graph
from tracer.reasons import TracerBug

X = torch.arange(6.0).reshape(2, 3)


def finished(*outputs, sketch):
    sketch.builder.output(list(outputs))
    return sketch.builder.graph


def test_a_sound_graph_passes():
    sketch = Sketch(x=X, w=torch.ones(3, requires_grad=True))
    x, w = sketch.inputs
    y = sketch.call(torch.mul, sketch.call(operator.getitem, x, (slice(None), slice(0, 3))), w)
    parts = sketch.call(torch.max, y, 1)
    view = sketch.call(("method", "t_"), sketch.call(("method", "clone"), x))
    z = sketch.call(torch.cat, [view, view], dim=0)
    check_graph(finished(sketch.part(parts, 0), z, sketch=sketch), EVALUATOR)


def test_writes_change_what_later_calls_are_given():
    sketch = Sketch(x=X)
    (x,) = sketch.inputs
    y = sketch.call(("method", "clone"), x)
    sketch.call(("method", "t_"), y)
    z = sketch.builder.call(torch.relu, (y,), None, meta_of(X.t()), modes=sketch.modes)
    check_graph(finished(z, sketch=sketch), EVALUATOR)


def test_a_wrong_meta_is_found():
    sketch = Sketch(x=X)
    node = sketch.call(torch.relu, *sketch.inputs)
    node.meta[META] = meta_of(torch.ones(5))
    with pytest.raises(TracerBug, match=r"relu = torch.relu\(x\): recorded f32\[5\].*derived f32\[2, 3\]"):
        check_graph(finished(node, sketch=sketch), EVALUATOR)


def test_calls_without_a_meta_are_derived():
    sketch = Sketch(x=X)
    parts = sketch.call(torch.split, *sketch.inputs, 1)
    parts.meta[META] = None
    second = sketch.builder.call(operator.getitem, (parts, 1), None, meta_of(X[1:]), modes=sketch.modes)
    check_graph(finished(second, sketch=sketch), EVALUATOR)


@pytest.mark.parametrize("fault", ["no output", "no tuple", "input without meta"])
def test_malformed_graphs_are_found(fault):
    sketch = Sketch(x=X)
    (x,) = sketch.inputs
    if fault == "no tuple":
        sketch.builder.graph.output(x)
    elif fault == "input without meta":
        x.meta[META] = None
        sketch.builder.output([x])
    with pytest.raises(TracerBug):
        check_graph(sketch.builder.graph, EVALUATOR)
