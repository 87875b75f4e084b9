"""GraphBuilder: appending, naming, pruning, and what torch's tools find on the nodes."""

import operator

import torch
from torch.fx import Graph, GraphModule

from passes.meta import meta_of
from passes.node_meta import META, SOURCE
from tests.graphs import Sketch
from tracer.graph.annotate import fill_torch_metas
from tracer.graph.builder import GraphBuilder

X = torch.arange(6.0).reshape(2, 3)


def names(sketch):
    return [node.name for node in sketch.builder.graph.nodes]


def test_a_graph_runs_as_a_module():
    sketch = Sketch(x=X)
    (x,) = sketch.inputs
    doubled = sketch.call(torch.mul, x, 2)
    sketch.builder.output([sketch.call(("method", "sum"), doubled, dim=1)])
    module = sketch.builder.graph_module()
    assert isinstance(module, GraphModule)
    assert module is sketch.builder.graph_module()
    assert torch.equal(module(X)[0], (X * 2).sum(dim=1))
    assert sketch.builder.call_count == 2


def test_nodes_are_named_after_their_operators():
    sketch = Sketch(x=X)
    (x,) = sketch.inputs
    for target in (torch.relu, torch.relu, ("method", "relu"), operator.neg):
        x = sketch.call(target, x)
    assert names(sketch) == ["x", "relu", "relu_1", "relu_2", "neg"]


def test_names_of_inputs_are_kept_apart():
    builder = GraphBuilder()
    meta = meta_of(X)
    inputs = [builder.placeholder(name, meta, name) for name in ("weight", "weight", "def", "print")]
    assert len({node.name for node in inputs}) == 4
    assert all(node.name.isidentifier() for node in inputs)
    assert builder.inputs == inputs


def test_nodes_carry_metas_sources_and_lines():
    sketch = Sketch(x=X)
    (x,) = sketch.inputs
    node = sketch.call(torch.relu, x)
    sketch.builder.output([node])
    assert x.meta[SOURCE] == "x"
    assert node.meta[META] is meta_of(X)
    sketch.builder.graph_module()
    assert "graphs.py" in node.stack_trace
    fill_torch_metas(sketch.builder.graph)
    assert node.meta["tensor_meta"].shape == (2, 3)
    assert node.meta["val"].shape == node.meta["example_value"].shape == (2, 3)


def test_the_shortcut_into_fx_builds_what_fx_builds():
    sketch = Sketch(x=X)
    (x,) = sketch.inputs
    node = sketch.call(torch.add, sketch.call(("method", "view"), x, [3, 2]), 1, alpha=2)
    sketch.builder.output([node])
    graph = Graph()
    theirs = graph.placeholder("x")
    theirs = graph.call_function(torch.add, (graph.call_method("view", (theirs, [3, 2])), 1), {"alpha": 2})
    graph.output((theirs,))
    graph.lint()
    sketch.builder.graph.lint()
    assert str(graph) == str(sketch.builder.graph)
    assert len(graph.nodes) == len(sketch.builder.graph.nodes)
    assert graph.find_nodes(op="call_function", target=torch.add)
    assert sketch.builder.graph.find_nodes(op="call_function", target=torch.add)


def test_attributes_become_attributes_of_the_module():
    builder = GraphBuilder()
    constant = builder.attribute("constant", X)
    builder.output([builder.call(torch.relu, (constant,), None, meta_of(X))])
    assert torch.equal(builder.graph_module()()[0], X)


# Pruning ----------------------------------------------------------------------------------------------


def test_what_nobody_uses_is_pruned():
    sketch = Sketch(x=X, unused=X, index=torch.tensor([0]))
    x, unused, index = sketch.inputs
    dead = sketch.call(torch.add, x, unused)
    sketch.call(torch.softmax, dead, -1)
    sketch.call(operator.getitem, x, 0)
    sketch.part(sketch.call(torch.split, x, 1), 0)
    sketch.builder.output([sketch.call(torch.relu, x)])
    assert sketch.builder.prune() == [unused, index]
    assert names(sketch) == ["x", "relu", "output"]
    sketch.builder.graph.lint()


def test_effects_are_never_pruned():
    sketch = Sketch(x=X, y=X, index=torch.tensor([0]))
    x, y, index = sketch.inputs
    sketch.call(torch.Tensor.add_, x, 1)
    sketch.call(operator.iadd, x, 1)
    sketch.call(operator.setitem, x, 0, 1.0)
    sketch.call(torch.add, x, 1, out=y)
    sketch.call(torch.rand, 2)
    sketch.call(torch.dropout, x, 0.5, True)
    sketch.call(torch.embedding, x, index)  # may find an index out of range
    sketch.call(operator.getitem, x, index)
    sketch.call(torch.linalg.inv, sketch.call(torch.matmul, x, sketch.call(("method", "t"), x)))
    sketch.builder.call(torch._C._set_grad_enabled, (False,), None, None)
    before = names(sketch)
    sketch.builder.output([x])
    assert sketch.builder.prune() == []
    assert names(sketch) == [*before, "output"]
