"""Captured functions and modules below torch's own tracers, transforms and compilers, which see the originals."""

import copy

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from tracer import capture, counters, reset


def helper(x):
    return x.sin() + 1


def function():
    return lambda x: helper(x) * 2


def closure():
    scale = torch.full((2,), 3.0)
    return lambda x: x * scale + 1


class Scaled:
    """An object that is called, and has a method."""

    def __init__(self) -> None:
        self.factor = 3

    def __call__(self, x):
        return x * self.factor

    def method(self, x):
        return x.cos() * self.factor


def method():
    return Scaled().method


def module():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2))


def example():
    return torch.tensor([[0.5, 1.0], [2.0, 3.0]])


def compiled_around(fn):
    return torch.compile(lambda x: fn(x) * 2, backend="eager", fullgraph=True)(example())


def compiled_itself(fn):
    return torch.compile(fn, backend="aot_eager", fullgraph=True)(example())


def compiled_after_a_break(fn):
    def program(x):
        torch._dynamo.graph_break()
        return fn(x + 1) * 2

    return torch.compile(program, backend="eager")(example())


class Around(torch.nn.Module):
    """A module that calls what it is given, which is a submodule if it is a module."""

    def __init__(self, fn) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x):
        return self.fn(x) + 1


def nodes_of(graph_module):
    return [(node.op, str(node.target)) for node in graph_module.graph.nodes], graph_module(example() + 1)


def traced_symbolically(fn):
    return nodes_of(torch.fx.symbolic_trace(fn))


def traced_symbolically_inside(fn):
    return nodes_of(torch.fx.symbolic_trace(Around(fn)))


def traced_by_jit(fn):
    traced = torch.jit.trace(fn, (example(),))
    return sorted({node.kind() for node in traced.inlined_graph.nodes()}), traced(example() + 1)


def traced_by_jit_inside(fn):
    return torch.jit.trace(Around(fn), (example(),))(example() + 1)


def traced_with_symbols(fn):
    return nodes_of(make_fx(fn, tracing_mode="symbolic")(example()))


def exported(fn):
    program = torch.export.export(Around(fn), (example(),))
    return [node.op for node in program.graph.nodes], program.module()(example() + 1)


def under_fake_tensors(fn):
    if isinstance(fn, torch.nn.Module):
        return None
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        result = fn(mode.from_tensor(example()))
    return type(result), result.shape


def vectorised(fn):
    return torch.func.vmap(fn)(example())


def differentiated(fn):
    return torch.func.grad(lambda x: fn(x).sum())(example()), torch.func.jacrev(fn)(example())


USES = [
    compiled_around,
    compiled_itself,
    compiled_after_a_break,
    traced_symbolically,
    traced_symbolically_inside,
    traced_by_jit,
    traced_by_jit_inside,
    traced_with_symbols,
    exported,
    under_fake_tensors,
    vectorised,
    differentiated,
]


def outcome(use, fn):
    """What a use comes to; of an error, its class: some take no methods, or no tensors from outside."""
    try:
        return use(fn)
    except (AssertionError, RuntimeError) as error:
        return type(error)


def assert_same(left, right):
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    else:
        assert left == right


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [function, closure, method, module], ids=lambda make: make.__name__)
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_other_tracers_see_the_original(use, make):
    torch._dynamo.reset()
    expected = outcome(use, make())
    for warm in (False, True):
        reset()
        torch._dynamo.reset()
        fn = make()
        captured = capture(fn)
        plainly = fn(example())
        if warm:
            assert torch.equal(captured(example()), plainly)
        assert_same(expected, outcome(use, captured))
        before = counters().graphs
        assert torch.equal(captured(example()), plainly)
        assert counters().graphs == (before if warm else before + 1)  # captured as ever, afterwards
        assert counters().tracer_bugs == 0


def test_compiler_takes_one_graph_with_what_it_finds_in_it():
    graphs = []

    def backend(graph, inputs):
        graphs.append([node.target for node in graph.graph.nodes if node.op in ("call_function", "call_method")])
        return graph.forward

    inner = capture(helper)
    for fn in (inner, lambda x: inner(x).cos()):
        torch._dynamo.reset()
        torch.compile(fn, backend=backend, fullgraph=True)(example())
    assert [len(graph) for graph in graphs] == [2, 3]
    assert not inner.entries


class Net(torch.nn.Module):
    """A module, some function of which is captured wherever it is called."""

    def forward(self, x):
        return x.sin() + 1

    def step(self, x):
        return x.cos() * 2


@pytest.mark.parametrize("name", ["forward", "step"])
def test_compiler_traces_captured_methods_of_classes(name, monkeypatch):
    torch._dynamo.reset()
    net = Net()
    expected = getattr(net, name)(example()) * 2
    monkeypatch.setattr(Net, name, capture(getattr(Net, name)))
    called = net if name == "forward" else net.step
    assert torch.equal(compiled_around(called), expected)


def test_compiler_traces_calls_of_a_captured_class():
    torch._dynamo.reset()
    net = capture(type("Subclass", (Net,), {"forward": lambda self, x: x.sin() + 1}))()
    assert torch.equal(compiled_around(net), (example().sin() + 1) * 2)


def test_captured_function_is_scripted_like_the_original():
    assert torch.equal(torch.jit.script(capture(helper))(example()), helper(example()))
    net = module()
    assert torch.equal(torch.jit.script(capture(net))(example()), net(example()))


def test_captured_function_of_what_torch_compiles():
    program = torch.compile(lambda x: x.sin() + 1, backend="eager")
    with pytest.warns(UserWarning, match="nothing is captured"):
        assert torch.equal(capture(program)(example()), helper(example()))


def test_captured_object_is_copied():
    scaled = Scaled()
    scaled.factor = 5
    copied = copy.deepcopy(capture(scaled))
    assert copied is not scaled and torch.equal(copied(example()), example() * 5)
    assert len(copied.entries) == 1
