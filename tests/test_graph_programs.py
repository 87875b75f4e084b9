"""A captured graph as a module: names that do not collide, constants that read back, calls that mean what they did."""

import copy
import enum
import io
import math
import operator
import pickle

import numpy as np
import pytest
import torch
from torch.fx import Graph, GraphModule, Interpreter, symbolic_trace
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.immutable_collections import immutable_list

from passes.constant_text import is_spelled
from passes.graph_module import as_module
from tests import graph_programs
from tests.check import check
from tracer import capture
from tracer.dispatch import engine

X = torch.arange(1.0, 4.0)


def as_it_is(module, _):
    module.graph.lint()
    return module.forward


def interpreted(module, _):
    return Interpreter(module).run


def copied(module, _):
    return copy.deepcopy(module)


BACKENDS = ("eager", "aot_eager", as_it_is, interpreted, copied)


def everywhere(program, *args, **choices):
    """`check` with every backend."""
    for backend in BACKENDS:
        check(program, *args, backend=backend, **choices)


def module_of(program, *args):
    captured = capture(program)
    captured(*args)
    return captured.entries[0].graph_module


# Names ------------------------------------------------------------------------------------------------

NAMES = (
    "self",
    "torch",
    "device",
    "inf",
    "nan",
    "NoneType",
    "pytree",
    "fx_pytree",
    "print",
    "forward",
    "constant",
    "é",
)


@pytest.mark.parametrize("name", [*NAMES, "é"])
def test_an_input_may_have_any_name(name):
    scope = {"math": math, "np": np}
    exec(f"def program({name}, other):\n    return {name} * math.inf + other * np.float64(0.5)", scope)
    everywhere(scope["program"], X, X + 1)


def test_two_inputs_whose_names_collide():
    def program(self, self_1):
        return self - self_1 * 2

    everywhere(program, X, X + 1)


def test_an_identifier_is_read_in_its_normal_form():
    def program(ſum, sum_1):  # noqa: PLC2401  CPython reads `ſum` as `sum`
        return ſum - sum_1

    everywhere(program, X, X + 1)


# Constants --------------------------------------------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 1


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


SCALARS = (
    *(np.float64(0.5), np.float32(0.5), np.float16(0.5), np.int64(3), np.uint8(3), np.bool_(True)),
    *(math.inf, -math.inf, math.nan, -0.0, complex(math.nan, -0.0), complex(-0.0, 1), 1 << 62),
    *(Colour.RED, Access.READ | Access.WRITE, True),
)


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_a_scalar_beside_a_tensor(scalar):
    everywhere(lambda x: x * scalar, X)
    everywhere(lambda x, by: torch.where(x > 1, x, x * by), X, scalar)


def test_constants_inside_containers():
    everywhere(lambda x: torch.tensor([math.inf, -0.0, np.float32(2), Colour.RED]) + x.sum(), X)
    everywhere(lambda x: x[..., np.int64(0) : Colour.RED, None], X)


def test_types_and_settings_as_arguments():
    def program(x):
        doubled = x.to(float) + torch.ones(3, dtype=int)
        like = torch.zeros_like(x, dtype=torch.float16, layout=torch.strided, memory_format=torch.preserve_format)
        return doubled, like, x.to(torch.device("cpu")), x.type(torch.DoubleTensor)

    everywhere(program, X)


def test_a_generator_is_held_by_the_module():
    def program(x, generator):
        return x + torch.rand(3, generator=generator) * torch.rand(3, generator=generator)

    for backend in BACKENDS[:4]:  # a deep copy draws from a copy of the generator
        check(program, backend=backend, make=lambda: (X, torch.Generator().manual_seed(3)), recaptures=None)


def test_keywords_that_are_no_identifiers():
    everywhere(lambda x: x.clone().random_(**{"from": 0, "to": 5}), X)
    everywhere(lambda x: x.clone().uniform_(**{"from": 0, "to": 5}), X)


@pytest.mark.parametrize(
    "value", (3, -3, 2.5, math.inf, math.nan, "a'b\"c\n", b"\0", None, ..., torch.float32, torch.device("cpu"), -0.0)
)
def test_ordinary_constants_are_written(value):
    assert is_spelled(value)


def test_constants_that_would_not_read_back_are_held():
    values = (complex(-0.0, 1), -math.nan, 10**5000, np.float64(1), Colour.RED, int, object(), Access(3))
    assert not any(map(is_spelled, values))


def run_in_every_way(graph, expected, *inputs):
    module = as_module(graph, {})
    module.graph.lint()
    for program in (module, module.forward, Interpreter(module).run, copy.deepcopy(module)):
        assert repr(program(*inputs)) == repr(expected)


def returning(target, args, kwargs=None):
    """A graph of one call, in whose arguments "x" stands for the input."""
    graph = Graph()
    x = graph.placeholder("x")
    given = torch.fx.node.map_aggregate((args, kwargs or {}), lambda part: x if part == "x" else part)
    graph.output((graph.call_function(target, *given),))
    return graph


def note(*args, **kwargs):
    return args, sorted(kwargs.items())


class Unprintable:
    """Refuses to be asked for its text, as a user's class may, and to be copied as another object."""

    def __repr__(self):
        raise AssertionError("asked")

    def __deepcopy__(self, memo):
        return self


def test_what_the_text_of_a_call_would_not_mean_is_said_otherwise():
    for args in ((-2, "x"), ("x", -2), (2, "x")):
        run_in_every_way(returning(operator.pow, args), (operator.pow(*[3 if arg == "x" else arg for arg in args]),), 3)
    run_in_every_way(returning(operator.iadd, ((1,), ("x",))), ((1, 3),), 3)
    run_in_every_way(returning(note, ("x",), {"from": 1, "a b": 2}), (((3,), [("a b", 2), ("from", 1)]),), 3)
    run_in_every_way(returning(note, ({Colour.RED: "x"},)), ((({Colour.RED: 3},), []),), 3)
    run_in_every_way(returning(note, ([slice(math.nan, 10**4 * 1.0, "x")],)), ((([slice(math.nan, 1e4, 3)],), []),), 3)


def test_functions_that_no_name_leads_to():
    for target in (lambda x: x + 1, lambda x: x - 1):
        run_in_every_way(returning(target, ("x",)), (target(5),), 5)

    def hidden(x):
        return x + 1

    hidden.__module__ = "torch.nn.functional"  # torch.fx writes the path of what is torch's
    run_in_every_way(returning(hidden, ("x",)), (6,), 5)


def test_objects_are_not_asked_for_their_text():
    thing = Unprintable()
    module = as_module(returning(operator.is_, ("x", thing)), {})
    assert all(program(thing) == (True,) for program in (module, Interpreter(module).run, copy.deepcopy(module)))


def test_lists_stay_lists():
    graph = returning(note, (["x", 1],))
    assert type(as_module(graph, {}).graph.find_nodes(op="call_function", target=note)[0].args[0]) is immutable_list


# Tools ------------------------------------------------------------------------------------------------


def test_torchs_tools_take_the_module():
    def program(self, other):
        return (torch.relu(self) * math.inf)[0:2], (-2.0) ** other

    inputs = X, X + 1
    module = module_of(program, *inputs)
    expected = module(*inputs)
    with_file = pickle.load(io.BytesIO(pickle.dumps(module)))
    for tool in (copy.deepcopy(module), with_file, symbolic_trace(module), make_fx(module)(*inputs)):
        assert isinstance(tool, GraphModule)
        assert all(map(torch.equal, tool(*inputs), expected))
    assert "relu" in module.print_readable(print_output=False)


# Tensors without a stand-in ---------------------------------------------------------------------------


def test_sparse_tensors_with_every_backend():
    everywhere(lambda x: (x.to_sparse() * 2).to_dense() + 1, X)
    everywhere(lambda x: x.to_dense() + 1, X.to_sparse())
    everywhere(lambda x: x.to_mkldnn().to_dense() + 1, X)
    torch.eye(1).to_sparse_csr()  # warns once in a process
    everywhere(lambda x: (x.to_sparse_csr() @ torch.ones(3, 3)) * 2, torch.eye(3))


def test_quantized_tensors_break():
    def program(x):
        return torch.quantize_per_tensor(x, 0.5, 0, torch.qint8).dequantize() + 1

    expected = program(X)
    for backend in BACKENDS:
        assert torch.equal(capture(program, backend=backend)(X), expected)


def test_nested_tensors_break():
    def program(nested, x):
        return nested.to_padded_tensor(0.0) * x, nested

    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    expected, _ = program(nested, X)
    for backend in BACKENDS:
        padded, same = capture(program, backend=backend)(nested, X)
        assert torch.equal(padded, expected)
        assert same is nested


# The check that every capture of the tests goes through --------------------------------------------------


def test_every_capture_is_checked(monkeypatch):
    assert engine.compile_with is graph_programs.checked_compile
    wrong = as_module

    def swapped(graph, attributes):
        module = wrong(graph, attributes)
        for node in module.graph.find_nodes(op="call_function", target=torch.sub):
            node.args = node.args[::-1]
        module.recompile()
        return module

    monkeypatch.setattr(graph_programs, "as_module", swapped)
    with pytest.raises(AssertionError, match="forward differs from the replay"):
        capture(lambda x, y: torch.sub(x, y) * 1.25)(X, X + 1)
