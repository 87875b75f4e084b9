"""Metas over a whole graph, from those of its inputs."""

import operator

import pytest
import torch
from torch.fx.passes.shape_prop import ShapeProp

import tracer
from passes.meta import TensorMeta, meta_of
from passes.node_meta import META
from passes.operators.evaluate import Evaluator
from passes.operators.outcome import leaves
from passes.propagate import CannotPropagate, Contradiction, propagate
from passes.rules.book import Rulebook
from tests import models
from tests.rulebooks import RELU, book, rule

X = torch.linspace(-1, 1, 6).reshape(2, 3)


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 4)
        self.norm = torch.nn.LayerNorm(4)
        self.register_buffer("scale", torch.ones(4))

    def forward(self, x):
        y = torch.relu(self.norm(self.first(x))) * self.scale
        left, right = y.chunk(2, dim=-1)
        values, _ = torch.max(left, dim=1)
        return values.view(y.size(0), -1), right.t()[..., 0]


class Recorder(torch.fx.Interpreter):
    """Runs a graph and keeps the metas of what each node gives."""

    def run_node(self, n):
        result = super().run_node(n)
        self.found[n] = result
        return result

    def metas(self, *inputs):
        self.found = {}
        self.run(*inputs)
        return self.found


def tensor_metas(structure):
    return [meta_of(leaf) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves(structure)]


@pytest.mark.parametrize("grad", [True, False])
def test_a_traced_module_gives_the_metas_that_running_it_shows(grad):
    traced = torch.fx.symbolic_trace(Network())
    with torch.set_grad_enabled(grad):
        found = propagate(traced, [meta_of(X)])
        shown = Recorder(traced).metas(X)
    for node, structure in shown.items():
        assert [leaf for leaf in leaves(found[node]) if isinstance(leaf, TensorMeta)] == [
            leaf for leaf in tensor_metas(structure) if isinstance(leaf, TensorMeta)
        ], node


def test_other_sizes_than_the_traced_ones_and_symbols():
    traced = torch.fx.symbolic_trace(Network())
    found = propagate(traced, [TensorMeta((7, 3), (3, 1))])
    assert [meta.shape for meta in leaves(found[traced.graph.output_node()])] == [(7, 1), (2,)]
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv

    environment = ShapeEnv()
    symbol = environment.create_symbol(5, ConstantSource("rows"), DimDynamic.DYNAMIC)
    rows = environment.create_symintnode(symbol, hint=5)
    with torch.no_grad():
        found = propagate(traced, [TensorMeta((rows, 3), (3, 1))])
    first, second = leaves(found[traced.graph.output_node()])
    assert str(first.shape[0]) == str(rows)
    assert second.shape == (2,)


def test_graphs_of_overloads():
    from torch._functorch.aot_autograd import aot_module_simplified

    graphs = []

    def compiler(module, inputs):
        graphs.append((module, [meta_of(value) for value in inputs]))
        return module.forward

    with torch.no_grad():
        aot_module_simplified(Network(), (X,), fw_compiler=compiler)(X)
    module, metas = graphs[0]
    found = propagate(module, metas)  # nodes have `val`: nothing contradicts it
    assert any(isinstance(node.target, torch._ops.OpOverload) for node in found)
    assert all(isinstance(leaf, TensorMeta | int) for node, value in found.items() for leaf in leaves(value))


def test_captured_graphs_follow_from_their_inputs():
    model, args, kwargs = models.build("gpt2")
    graphs = []

    def backend(module, inputs):
        graphs.append(module)
        return module.forward

    with torch.no_grad():
        tracer.capture(model, backend=backend)(*args, **kwargs)
    for module in graphs:
        inputs = [node.meta[META] for node in module.graph.find_nodes(op="placeholder")]
        assert propagate(module, inputs).keys() == set(module.graph.nodes)


def test_writes_change_what_later_nodes_are_given():
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    copy = graph.call_method("clone", (x,))
    turned = graph.call_method("t_", (copy,))
    last = graph.call_function(torch.relu, (copy,))
    graph.output((turned, last))
    found = propagate(graph, [meta_of(X)])
    assert (found[copy].shape, found[last].shape) == ((2, 3), (3, 2))


def test_a_contradiction_names_the_node_the_line_and_the_rule(tmp_path):
    evaluator = Evaluator(book=Rulebook(book(tmp_path, rule("torch.relu", dtype="float64"))))

    def program(x):
        return torch.relu(x + 1)

    traced = torch.fx.symbolic_trace(program)
    ShapeProp(traced).propagate(X)
    relu = next(node for node in traced.graph.nodes if node.target is torch.relu)
    relu.meta["stack_trace"] = '  File "mine.py", line 7, in program'
    with pytest.raises(Contradiction) as raised:
        propagate(traced, [meta_of(X)], evaluator)
    assert raised.value.node is relu
    for part in ("relu", "the rule of relu", "mine.py", "dtype torch.float32 instead of torch.float64"):
        assert part in str(raised.value)
    assert propagate(traced, [meta_of(X)], evaluator, check=False)[relu].dtype is torch.float64


def test_a_contradiction_names_the_module_or_the_input_that_it_is_of():
    traced = torch.fx.symbolic_trace(torch.nn.Sequential(torch.nn.Linear(3, 4)))
    given, called, _ = traced.graph.nodes
    called.meta["val"] = torch.empty(2, 5, device="meta")
    with pytest.raises(Contradiction, match="as the code of Linear and the rules say"):
        propagate(traced, [meta_of(X)])
    given.meta["val"] = torch.empty(5, 3, device="meta")
    with pytest.raises(Contradiction, match="as was given"):
        propagate(traced, [meta_of(X)])


def test_rules_are_asked(tmp_path):
    evaluator = Evaluator(book=Rulebook(book(tmp_path, RELU)))
    propagate(torch.fx.symbolic_trace(lambda x: torch.relu(x)), [meta_of(X)], evaluator)
    assert evaluator.tally.by_rules == 1


def test_bad_input_is_named():
    traced = torch.fx.symbolic_trace(lambda x: torch.relu(x))
    with pytest.raises(ValueError, match="inputs of the graph: 1; given are metas for 2"):
        propagate(traced, [meta_of(X), meta_of(X)])
    graph = torch.fx.Graph()
    graph.output(graph.call_function(operator.getitem, (x := graph.placeholder("x"), x)))
    graph.lint()
    with pytest.raises(CannotPropagate, match="getitem = "):
        propagate(graph, [meta_of(X > 0)])
