"""The readable dump of a graph, and its networkx, DOT and JSON forms."""

import json
import linecache
import operator

import pytest
import torch

from passes.node_meta import META
from tests.graphs import Sketch, UserLine
from tracer.graph.show import dot, expression, graph_source, rows, runnable_source, to_networkx

X = torch.arange(32.0).reshape(2, 16)
WEIGHT = torch.ones(4, 16)


@pytest.fixture
def mlp():
    lines = ["class Mlp:\n", "    def forward(self, x):\n", "        return F.relu(self.fc(x))\n"]
    linecache.cache["/models/mlp.py"] = (0, None, lines, "/models/mlp.py")
    sketch = Sketch(x=X, weight=WEIGHT, bias=torch.ones(4))
    sketch.line = UserLine("/models/mlp.py", 3, "forward")
    linear = sketch.call(torch._C._nn.linear, *sketch.inputs)
    sketch.builder.output([sketch.call(torch.relu, linear)])
    yield sketch.builder.graph
    del linecache.cache["/models/mlp.py"]


def test_source(mlp):
    assert graph_source(mlp) == (
        "def graph(x: f32[2, 16], weight: f32[4, 16], bias: f32[4]):\n"
        "    # mlp.py:3 in forward   return F.relu(self.fc(x))\n"
        "    linear = torch._C._nn.linear(x, weight, bias)            # f32[2, 4] stride (4, 1)\n"
        "    relu = torch.relu(linear)                                # f32[2, 4] stride (4, 1)\n"
        "    return (relu,)\n"
    )


def run(source, *args):
    namespace = {}
    exec(compile(source, "<graph>", "exec", dont_inherit=True), namespace)
    return namespace["graph"](*args)


def test_source_runs(mlp):
    assert torch.equal(run(runnable_source(mlp), X, WEIGHT, torch.ones(4))[0], torch.relu(X @ WEIGHT.T + 1))


def test_every_kind_of_argument_is_spelled_out():
    sketch = Sketch(x=X)
    (x,) = sketch.inputs
    y = sketch.call(operator.getitem, x, (slice(None), None, slice(1, None, 2)))
    y = sketch.call(operator.getitem, y, (..., slice(None, -1)))
    y = sketch.call(operator.add, sketch.call(operator.neg, y), -1.5)
    y = sketch.call(operator.pow, y, 2)
    y = sketch.call(("method", "to"), y, torch.float64, memory_format=torch.contiguous_format)
    y = sketch.call(torch.clamp, y, float("-inf"), float("inf"))
    y = sketch.call(("method", "masked_fill"), y, sketch.call(operator.gt, y, 100), 0.0)
    y = sketch.call(torch.cat, [y, sketch.call(torch.zeros, 2, 1, 7, dtype=torch.float64, device=torch.device("cpu"))])
    y = sketch.call(getattr, y, "mT")
    y = sketch.call(torch.Tensor.add_, y, 1)
    parts = sketch.call(torch.split, y, [3, 1])
    top = sketch.call(torch.max, sketch.part(parts, 0), 1)
    sketch.call(operator.setitem, y, 0, 1.0)
    sketch.builder.output([sketch.part(top, 0), y])
    source = runnable_source(sketch.builder.graph)
    expected = sketch.builder.graph_module()(X)
    for mine, theirs in zip(run(source, X), expected, strict=True):
        assert torch.equal(mine, theirs)
    assert "x[:, None, 1::2]" in source
    assert "add_1[0] = 1.0" in source or "[0] = 1.0" in source
    assert "(f64[3, 7, 1] stride (7, 1, 7), f64[1, 7, 1] stride (7, 1, 7))" in source


def test_a_negative_number_to_a_power():
    sketch = Sketch(x=X)
    y = sketch.call(operator.pow, -2, sketch.inputs[0])
    sketch.builder.output([y])
    assert torch.equal(run(runnable_source(sketch.builder.graph), X)[0], (-2) ** X)


def test_expressions():
    assert expression(torch.Size([2, 3])) == "torch.Size([2, 3])"
    assert expression((1,)) == "(1,)"
    assert expression({"a": [None, ...]}) == "{'a': [None, ...]}"
    assert expression(slice(1, None)) == "slice(1, None, None)"
    assert expression(float("nan")) == "float('nan')"
    assert expression(torch.device("cpu")) == "torch.device(type='cpu')"
    assert expression(torch.relu) == "torch.relu"


def test_network(mlp):
    network = to_networkx(mlp)
    assert set(network.edges) == {
        ("x", "linear"),
        ("weight", "linear"),
        ("bias", "linear"),
        ("linear", "relu"),
        ("relu", "output"),
    }
    assert network.nodes["linear"]["meta"] == "f32[2, 4] stride (4, 1)"
    assert network.nodes["x"]["source"] == "x"


def test_json(mlp):
    data = json.loads(json.dumps(rows(mlp)))
    assert [row["name"] for row in data] == ["x", "weight", "bias", "linear", "relu", "output"]
    assert data[3]["target"] == "torch._C._nn.linear"
    assert data[3]["line"].startswith("mlp.py:3 in forward")


def test_dot(mlp):
    text = dot(mlp)
    assert text.startswith("digraph")
    assert "linear -> relu;" in text
    assert text.count("{") == text.count("}")


def test_symbols_in_metas_are_shown_by_name():
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    shape_env = ShapeEnv()
    rows_symbol = shape_env.create_symintnode(shape_env.create_symbol(5, ConstantSource("rows")), hint=5)
    sketch = Sketch()
    from passes.meta import TensorMeta

    x = sketch.input("x", TensorMeta((rows_symbol, 4), (4, 1)))
    y = sketch.call(torch.relu, x)
    sketch.builder.output([y])
    assert y.meta[META].symbolic
    assert "f32[s" in graph_source(sketch.builder.graph)
