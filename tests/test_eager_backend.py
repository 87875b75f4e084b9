"""Eager replay of graphs, and the look-up of backends."""

import collections
import operator
import subprocess
import sys
import traceback
import weakref

import pytest
import torch
from torch.fx import symbolic_trace

from backends.eager import compile_graph, compile_graph_module
from backends.registry import EAGER, UnknownBackend, list_backends, look_up
from passes.meta import meta_of
from passes.node_meta import origin
from tests.graphs import Sketch, UserLine

X = torch.arange(6.0).reshape(2, 3)
Pair = collections.namedtuple("Pair", "left right")


def same_as_fx(sketch, *args):
    """Run as flat function and by torch.fx on equal arguments; both must give and write the same."""
    mine, theirs = ([argument.clone() for argument in args] for _ in range(2))
    outputs = compile_graph(sketch.builder.graph)(*mine)
    expected = sketch.builder.graph_module()(*theirs)
    assert type(outputs) is tuple
    for left, right in zip((*outputs, *mine), (*expected, *theirs), strict=True):
        assert torch.equal(left, right)


def test_every_kind_of_call_and_argument():
    sketch = Sketch(x=X, index=torch.tensor([1, 0]))
    x, index = sketch.inputs
    y = sketch.call(operator.getitem, x, (slice(None), None, slice(1, None, 2)))
    y = sketch.call(operator.add, sketch.call(operator.neg, y), -1.5)
    y = sketch.call(operator.pow, 2, y)
    y = sketch.call(operator.sub, -1, y)
    y = sketch.call(("method", "to"), y, torch.float64, memory_format=torch.contiguous_format)
    y = sketch.call(torch.clamp, y, float("-inf"), float("inf"))
    y = sketch.call(torch.cat, [y, sketch.call(torch.zeros, 2, 1, 1, dtype=torch.float64)], dim=-1)
    y = sketch.call(getattr, y, "mT")
    y = sketch.call(operator.getitem, y, (index, ...))
    y = sketch.call(operator.iadd, y, 1)
    sketch.call(operator.setitem, y, (0, slice(None)), 7)
    top = sketch.call(torch.max, y, 1)
    sketch.builder.output([sketch.part(top, 0), y, x])
    same_as_fx(sketch, X, torch.tensor([1, 0]))


def test_containers_of_nodes():
    def mixed(pair, table, part):
        assert isinstance(pair, Pair) and isinstance(part, slice)
        return pair.left + pair.right * table["scale"][0]

    sketch = Sketch(x=X)
    (x,) = sketch.inputs
    arguments = (Pair(x, 2), {"scale": [x, (1,)]}, slice(0, 1))
    node = sketch.builder.call(mixed, arguments, None, meta_of(X))
    sketch.builder.output([node])
    assert torch.equal(compile_graph(sketch.builder.graph)(X)[0], X + 2 * X)


def test_keywords_that_are_reserved_words():
    sketch = Sketch(x=X)
    sketch.builder.output([sketch.call(("method", "uniform_"), *sketch.inputs, **{"from": 2.0, "to": 3.0})])
    (drawn,) = compile_graph(sketch.builder.graph)(torch.zeros(2, 3))
    assert drawn.min() >= 2


def test_a_text_that_is_no_name_is_not_written_as_an_attribute():
    graph = torch.fx.Graph()
    graph.output((graph.call_function(getattr, (graph.placeholder("x"), "T + x")),))
    with pytest.raises(AttributeError, match="T [+] x"):
        compile_graph(graph)(X)


def test_no_inputs_no_outputs():
    sketch = Sketch()
    sketch.builder.output([])
    assert compile_graph(sketch.builder.graph)() == ()


def test_modules_and_attributes_of_foreign_graphs():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
            self.scale = torch.nn.Parameter(torch.ones(4))

        def forward(self, x):
            return (self.inner(x) * self.scale,)

    model = Model()
    program = compile_graph_module(symbolic_trace(model), [X])
    assert torch.equal(program(X)[0], model(X)[0])


def test_intermediates_are_dropped_at_their_last_use():
    alive = weakref.WeakSet()
    most = []

    def step(*tensors):
        most.append(len(alive))
        made = sum(tensors) + 1
        alive.add(made)
        return made

    sketch = Sketch(x=X)
    (node,) = sketch.inputs
    meta = meta_of(X)
    for _ in range(10):
        other = sketch.builder.call(step, (node,), None, meta)
        node = sketch.builder.call(step, (node, other), None, meta)
    sketch.builder.output([node])
    compile_graph(sketch.builder.graph)(X)
    assert max(most) <= 2


def test_gradients_flow():
    sketch = Sketch(x=X, w=torch.ones(3, requires_grad=True))
    sketch.builder.output([sketch.call(torch.sum, sketch.call(operator.mul, *sketch.inputs))])
    weight = torch.ones(3, requires_grad=True)
    compile_graph(sketch.builder.graph)(X, weight)[0].backward()
    assert torch.equal(weight.grad, X.sum(0))


# Errors -------------------------------------------------------------------------------------------------


def test_an_exception_leaves_with_a_note_of_the_users_line():
    sketch = Sketch(x=X)
    sketch.line = UserLine(__file__, 3, "forward")
    y = sketch.call(torch.relu, *sketch.inputs)
    sketch.line = UserLine(__file__, 1, "program")
    sketch.builder.output([sketch.call(torch.mul, y, sketch.call(torch.ones, 3))])
    program = compile_graph(sketch.builder.graph, origin=origin)
    with pytest.raises(RuntimeError, match="must match the size") as caught:
        program(torch.ones(2, 4))
    (note,) = caught.value.__notes__
    assert "mul" in note and f'{__file__}", line 1, in program' in note
    assert "Eager replay of graphs" in note
    assert "must match" in "".join(traceback.format_exception(caught.value))


def test_wrong_number_of_inputs_is_a_type_error():
    sketch = Sketch(x=X)
    sketch.builder.output(sketch.inputs)
    with pytest.raises(TypeError, match="graph"):
        compile_graph(sketch.builder.graph)()


# Speed --------------------------------------------------------------------------------------------------


def test_compiling_takes_few_calls_for_each_node():
    """Seconds are measured by `make bench`; the calls of functions are the same on every machine."""
    small, medium, large = (calls_to_compile(nodes) for nodes in (300, 600, 900))
    assert large - medium <= 26 * 300
    assert abs(large - 2 * medium + small) <= 10  # as many for each further node


def calls_to_compile(nodes):
    """How many functions of Python and C are called while a graph is compiled."""
    sketch = Sketch(x=X)
    (node,) = sketch.inputs
    for _ in range(nodes // 3):
        node = sketch.call(operator.mul, node, 1.5)
        node = sketch.call(torch.softmax, node, dim=-1)
        node = sketch.call(("method", "view"), node, 2, 3)
    sketch.builder.output([node])
    events = collections.Counter()
    sys.setprofile(lambda frame, event, argument: events.update([event]))
    try:
        compile_graph(sketch.builder.graph)
    finally:
        sys.setprofile(None)
    return events["call"] + events["c_call"]


# Look-up ------------------------------------------------------------------------------------------------


def test_look_up():
    assert look_up("eager") is EAGER is look_up(EAGER)

    def mine(module, example_inputs):
        return module.forward

    assert look_up(mine).compile is mine
    assert look_up(mine).name == "mine"
    assert look_up("aot_eager").name == "aot_eager"
    assert {"eager", "aot_eager", "inductor"} <= set(list_backends())


def test_unknown_backends_name_the_known_ones():
    with pytest.raises(
        UnknownBackend, match=r"no backend is called 'egaer'; did you mean 'eager'\? known are eager, .*inductor"
    ):
        look_up("egaer")
    with pytest.raises(TypeError, match="int"):
        look_up(3)


def test_looking_up_ours_imports_no_dynamo():
    program = "import sys; from backends.registry import look_up; look_up('eager'); look_up(print); " + (
        "assert not {'torch._dynamo', 'sympy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
