"""copy.deepcopy of tensors and modules in a captured function."""

import copy

import pytest
import torch
from torch import nn

from tests.check import BACKENDS, check, one_graph
from tracer import capture, counters, reset

LINEAR = nn.Linear(3, 3)
for _parameter in LINEAR.parameters():
    nn.init.constant_(_parameter, 0.25)
ACTIVATIONS = nn.Sequential(nn.ReLU(), nn.Tanh())


class Stateful:
    def __init__(self, tensor):
        self.tensor = tensor
        self.names = ["a"]

    def __getstate__(self):
        return {"tensor": self.tensor, "names": self.names, "given": True}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.restored = 5


def one_tensor(x):
    copied = copy.deepcopy(x)
    copied.add_(1)
    return x + copied, copied


def among_others(x):
    copied = copy.deepcopy({"a": x, "b": [x, x * 2], "c": x.cos()})
    copied["a"].add_(1)
    return copied["b"][0], copied["b"][1], copied["c"], copied["a"] is copied["b"][0], x


def state_of_its_own(x):
    stateful = Stateful(x)
    copied = copy.deepcopy(stateful)
    copied.names.append("b")
    return copied.tensor + copied.restored, copied.names, stateful.names, copied.given


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", [one_tensor, among_others, state_of_its_own], ids=lambda program: program.__name__)
@pytest.mark.parametrize("transposed", [False, True])
def test_copy_of_a_tensor(program, backend, transposed):
    x = torch.arange(6.0).reshape(2, 3)
    one_graph(program, x.t() if transposed else x, backend=BACKENDS[backend])


def test_copy_was_written_to_as_often_as_a_copy_plainly():
    captured = capture(lambda x: copy.deepcopy(x), fullgraph=True)
    x = torch.ones(2, 3)
    assert captured(x)._version == captured(x)._version == copy.deepcopy(x)._version == 1
    assert captured(torch.nn.Parameter(x))._version == copy.deepcopy(torch.nn.Parameter(x))._version == 0


def test_copy_of_a_leaf_is_a_leaf():
    def program(x):
        copied = copy.deepcopy(x)
        return (x * copied).sum(), copied.requires_grad, copied.is_leaf

    one_graph(program, torch.ones(2, 3, requires_grad=True))


def test_copy_has_the_attributes():
    def program(x):
        copied = copy.deepcopy(x)
        copied.names_of_rows.append("c")
        return copied * 2, copied.tag, copied.names_of_rows, x.names_of_rows

    def make():
        x = torch.ones(2, 3)
        x.tag, x.names_of_rows = "a", ["b"]
        return (x,)

    one_graph(program, make=make)


@pytest.mark.parametrize("module", [LINEAR, ACTIVATIONS], ids=["with parameters", "without"])
def test_copy_of_a_module(module):
    def program(x):
        copied = copy.deepcopy(module)
        copied.eval()
        return copied(x), copied.training, module.training

    one_graph(program, torch.ones(2, 3))


@pytest.mark.parametrize("part", [lambda x: x[0], lambda x: x[1:], lambda x: x[:, :2]], ids=["row", "end", "columns"])
def test_copy_of_a_part_of_a_storage_breaks(part):
    """The copy has as much memory as the whole storage."""

    def program(x):
        copied = copy.deepcopy(part(x))
        return copied + 1, copied.untyped_storage().nbytes(), copied.storage_offset()

    check(program, torch.arange(12.0).reshape(4, 3))


def test_an_argument_that_becomes_a_part_of_a_storage_or_gets_attributes_is_captured_again():
    reset()

    def program(x):
        return copy.deepcopy(x)

    captured = capture(program)
    whole, part, marked = torch.ones(2, 3), torch.ones(4, 3)[:2], torch.ones(2, 3)
    marked.tag = "a"
    for x in (whole, whole, part, marked, whole):
        plain, copied = program(x), captured(x)
        assert torch.equal(plain, copied) and vars(plain) == vars(copied)
        assert plain.untyped_storage().nbytes() == copied.untyped_storage().nbytes()
    assert counters().breaks["unsupported-call"] == 1
