"""Graphs as networks: costs, paths, cuts, lifetimes, repeated blocks, and pictures."""

import io
import operator
from xml.etree import ElementTree

import networkx
import pytest
import torch

import tracer
from passes.network import (
    CostModel,
    counted,
    critical_path,
    dominators,
    lifetimes,
    measured,
    minimum_cut,
    network_of,
    peak_memory,
    repeated_block,
    to_dot,
    to_graphml,
    to_svg,
)
from tests import models
from tests.graphs import EVALUATOR, Sketch

X = torch.ones(16, 8)
KB = 1024


def diamond():
    """Two branches from x: a long one of three calls and a short one of one, which meet in a product."""
    sketch = Sketch(x=X, w=torch.ones(8, 64))
    x, w = sketch.inputs
    wide = sketch.call(torch.matmul, x, w)
    long = sketch.call(torch.sum, sketch.call(torch.tanh, wide), 1)
    short = sketch.call(torch.sum, x, 1)
    sketch.builder.output([sketch.call(operator.mul, long, short)])
    return sketch.builder.graph


def graph_of(name):
    model, args, kwargs = models.build(name)
    captured = tracer.capture(model)
    with torch.no_grad():
        model(*args, **kwargs)  # einops looks for its backend in the first call of a process, which breaks the graph
        captured(*args, **kwargs)
    return max((entry for entry in captured.entries if entry.ops), key=lambda entry: entry.ops).graph_module.graph


def test_a_network_has_what_is_known_of_each_call():
    network = network_of(diamond())
    assert list(networkx.topological_sort(network))[-1] == "output"
    assert network.nodes["matmul"] == {
        **{"kind": "call", "operator": "matmul", "meta": "f32[16, 64]", "bytes": 4 * KB},
        **{"line": "graphs.py:1 in program", "position": 2},
    }
    assert network.edges["x", "matmul"] == {"bytes": 512}


def test_costs_are_counted():
    costs = counted(diamond(), CostModel(flops_per_second=1.0, bytes_per_second=1e30, seconds_per_call=0.0))
    assert costs["matmul"] == 2 * 16 * 8 * 64
    assert costs["tanh"] == 16 * 64 and costs["x"] == 0


def test_views_cost_their_call_only():
    sketch = Sketch(x=X)
    sketch.builder.output([sketch.call(("method", "t"), *sketch.inputs)])
    assert counted(sketch.builder.graph, CostModel(1.0, 1.0, 0.5))["t"] == 0.5


def test_costs_are_measured():
    graph = diamond()
    costs = measured(graph, [X, torch.ones(8, 64)], rounds=2)
    assert all((costs[node.name] > 0) == node.op.startswith("call_") for node in graph.nodes)
    with pytest.raises(ValueError, match="has 2 inputs, given are 1"):
        measured(graph, [X])


def test_the_critical_path_is_the_longest_chain():
    graph = diamond()
    path = critical_path(
        network_of(graph), {node.name: 1.0 if node.op.startswith("call_") else 0.0 for node in graph.nodes}
    )
    assert path.nodes == ("matmul", "tanh", "sum_1", "mul")
    assert (path.seconds, path.total, path.parallelism) == (4.0, 5.0, 1.25)
    costs = dict.fromkeys(path.nodes, 1.0) | {"x": 0.0, "w": 0.0, "output": 0.0, "sum_2": 9.0}
    assert critical_path(network_of(graph), costs).nodes == ("sum_2", "mul")


def test_dominators():
    network = network_of(diamond())
    assert dominators(network) == {"matmul": "", "tanh": "matmul", "sum_1": "tanh", "sum_2": "", "mul": ""}
    assert dominators(network, after=True) == {
        **{"matmul": "tanh", "tanh": "sum_1", "sum_1": "mul"},
        **{"sum_2": "mul", "mul": ""},
    }


def test_the_minimum_cut_is_the_fewest_bytes():
    network = network_of(diamond())
    cut = minimum_cut(network, ["x"])
    assert cut.bytes == 64 and cut.values == ("mul",)
    assert minimum_cut(network, ["x"], ["mul"]).bytes == 128
    assert set(minimum_cut(network, ["x"], ["mul"]).values) == {"sum_1", "sum_2"}
    with pytest.raises(ValueError, match="no 'elsewhere'"):
        minimum_cut(network, ["elsewhere"])
    with pytest.raises(ValueError, match="nothing leads"):
        minimum_cut(network, ["mul"], ["x"])


def test_memory_is_counted_once_for_all_its_aliases():
    sketch = Sketch(x=X)
    y = sketch.call(torch.relu, *sketch.inputs)
    view = sketch.call(("method", "view"), sketch.call(("method", "t"), y), 8, 16)
    total = sketch.call(torch.sum, view)
    sketch.builder.output([total])
    graph = sketch.builder.graph
    found = {lifetime.maker: lifetime for lifetime in lifetimes(graph, EVALUATOR)}
    assert found["relu"].values == ("relu", "t", "view") and (found["relu"].born, found["relu"].last) == (1, 4)
    peak = peak_memory(graph, EVALUATOR)
    assert (peak.bytes, peak.at, [alive.maker for alive in peak.alive]) == (512 + 4, "sum_1", ["relu", "sum_1"])
    assert peak_memory(graph, EVALUATOR, inputs=True).bytes == 512 + 512 + 4


@pytest.mark.parametrize("name, layers", [("gpt2", 2), ("llama", 2), ("vit-pytorch", 2), ("bert", 2)])
def test_layers_are_found(name, layers):
    blocks = repeated_block(graph_of(name))
    assert blocks.count == layers and blocks.length > 15
    assert len({name for block in blocks.occurrences for name in block}) == blocks.length * layers


def test_blocks_that_differ_are_not_layers():
    sketch = Sketch(x=X)
    value = sketch.inputs[0]
    for function in (torch.sin, torch.cos, torch.exp, torch.tanh):
        value = sketch.call(function, value)
    sketch.builder.output([value])
    assert repeated_block(sketch.builder.graph) is None


def test_the_flow_within_blocks_must_be_the_same():
    sketch = Sketch(x=X)
    (x,) = sketch.inputs
    first = sketch.call(torch.sin, x)
    second = sketch.call(torch.sin, sketch.call(torch.add, first, first))
    last = sketch.call(torch.add, x, second)
    sketch.builder.output([sketch.call(torch.add, last, second)])
    assert repeated_block(sketch.builder.graph) is None


def test_exports():
    graph = graph_of("vit-pytorch")
    network = network_of(graph)
    again = networkx.read_graphml(io.BytesIO(to_graphml(network).encode()))
    assert set(again.edges) == set(network.edges) and again.nodes["matmul"]["operator"] == "matmul"
    dot = to_dot(network)
    assert dot.startswith("digraph") and dot.count(" -> ") == network.number_of_edges()
    drawn = ElementTree.fromstring(to_svg(network, counted(graph)))
    boxes = [element for element in drawn.iter() if element.tag.endswith("rect")]
    calls = [name for name in network if network.nodes[name]["kind"] == "call"]
    assert len(calls) <= len(boxes) < len(network)  # parameters are left out
    every = ElementTree.fromstring(to_svg(network, parameters=True))
    assert sum(element.tag.endswith("rect") for element in every.iter()) == len(network)
    places = {(box.get("x"), box.get("y")) for box in boxes}
    assert len(places) == len(boxes)
