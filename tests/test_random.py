"""Random numbers: a captured program draws the same ones, and as many, as the plain one."""

import random

import pytest
import torch
from torch.nn import functional as F

from tests.check import check, one_graph
from tests.same import differences
from tracer import capture, graph_break


def test_operators_that_draw():
    def program(x):
        return (
            torch.rand(2),
            torch.randn_like(x),
            torch.randint(0, 10, (3,)),
            torch.randperm(4),
            torch.bernoulli(x * 0.5),
        )

    one_graph(program, torch.ones(2))


def test_in_place_operators_that_draw():
    def program(x):
        return x.uniform_(), torch.empty(2).normal_(1.0, 2.0), torch.zeros(2).exponential_()

    one_graph(program, torch.ones(2))


def test_dropout():
    def program(x):
        return F.dropout(x, 0.5), F.dropout(x, 0.5, training=False), torch.nn.Dropout(0.3)(x)

    check(program, torch.ones(100), breaks=[])


def test_draw_whose_result_is_not_used():
    def program(x):
        torch.rand(5)
        return x + torch.rand(1)

    one_graph(program, torch.ones(2))


def test_numbers_differ_from_call_to_call():
    captured = capture(lambda x: x + torch.rand(3), strict=True)
    x = torch.zeros(3)
    assert not torch.equal(captured(x), captured(x))


def test_generator_argument():
    def make():
        return torch.Generator().manual_seed(5), torch.ones(2)

    def program(generator, x):
        return x + torch.rand(2, generator=generator)

    check(program, make=make, recaptures=None)


def test_seed_set_inside():
    def program(x):
        torch.manual_seed(42)
        return x + torch.rand(2)

    check(program, torch.ones(2), recaptures=None)


def test_state_saved_and_put_back():
    def program(x):
        state = torch.get_rng_state()
        first = torch.rand(2)
        torch.set_rng_state(state)
        return x + first - torch.rand(2)

    check(program, torch.ones(2), recaptures=None)


UNUSED = {
    "factory": lambda x: (torch.rand(3), x)[1],
    "in place": lambda x: (x.clone().uniform_(), x + 1)[1],
    "only its shape": lambda x: torch.zeros_like(F.dropout(x * 2, 0.5)),
    "overwritten": lambda x: torch.empty(2).normal_().fill_(3) + x,
    "with gradients": lambda x: (F.dropout(x, 0.5), x * 2)[1],
}


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, _: module.forward])
@pytest.mark.parametrize("program", UNUSED.values(), ids=UNUSED)
def test_unused_numbers_are_drawn(program, backend, requires_grad):
    one_graph(program, torch.ones(2, requires_grad=requires_grad), backend=backend)


def test_draws_on_both_sides_of_a_break():
    def program(x):
        first = torch.rand(2)
        graph_break()
        return x + first + torch.rand(2)

    check(program, torch.ones(2), graphs=2, breaks=["explicit"])


def test_python_random():
    def program(x):
        numbers = [random.random(), random.randint(0, 5), random.choice("abc")]
        return x + numbers[0], numbers

    check(program, torch.ones(2), recaptures=None, calls=3)
    captured = capture(program, strict=True)
    assert captured(torch.ones(2))[1] != captured(torch.ones(2))[1]


def test_drop_path_by_a_python_coin():
    def program(x, keep):
        if random.random() < keep:
            return x * 2
        return x

    check(program, torch.ones(2), 0.5, recaptures=None, calls=6, fresh=True)


@pytest.mark.parametrize(
    "drop",
    [
        lambda x: F.dropout(x, 1.0),
        lambda x: F.dropout(x.clone(), 1.0, inplace=True),
        lambda x: torch.dropout(input=x, p=1, train=True),
        lambda x: torch.ops.aten.dropout(x, 1.0, True),
        lambda x: F.dropout1d(x, 1.0),
        lambda x: F.alpha_dropout(x, 1.0, training=True),
        torch.nn.Dropout(1.0),
    ],
    ids=["dropout", "in place", "by names", "as operator", "channels", "alpha", "module"],
)
@pytest.mark.parametrize(
    "x", [torch.tensor([[1.0, torch.inf, torch.nan, -2.0]]), torch.ones(2, 0)], ids=["some", "none"]
)
@pytest.mark.parametrize("requires_grad", [False, True], ids=["plain", "gradients"])
def test_dropout_of_all_elements_draws_nothing(drop, x, requires_grad):
    def program(x):
        return drop(x) * 2, torch.rand(2)

    x = x.clone().requires_grad_(requires_grad)
    for backend in ("eager", "aot_eager", lambda module, inputs: module.forward):
        check(program, x, backend=backend)


@pytest.mark.parametrize(
    "draw",
    [
        lambda x: x.bernoulli_(0.5),
        lambda x: torch.rand(3, 4, out=x),
        lambda x: torch.randn(3, 4, out=x),
        lambda x: torch.nn.functional.dropout(x, 0.5, inplace=True),
        lambda x: x.t().normal_(),
        lambda x: (x * 2).t().contiguous().t().bernoulli_(),
    ],
    ids=["bernoulli", "rand", "randn", "dropout", "normal", "result"],
)
@pytest.mark.parametrize("x", [torch.full((4, 3), 0.5).t(), torch.full((3, 8), 0.5)[:, ::2], torch.full((3, 4), 0.5)])
def test_numbers_are_drawn_in_the_order_of_the_memory(draw, x):
    def program(x):
        result = draw(x)
        return x, result

    for backend in ("eager", "aot_eager", lambda module, inputs: module.forward):
        captured = capture(program, backend=backend)
        for _ in range(2):
            outcomes = []
            for function in (program, captured):
                torch.manual_seed(3)
                own = torch.empty_strided(x.shape, x.stride()).copy_(x)
                outcomes.append([function(own), own, torch.rand(1)])
            assert not differences(*outcomes)


@torch.library.custom_op("random_tests::halve_", mutates_args={"x"})
def halve_(x: torch.Tensor) -> None:
    x.copy_(x / 2)


@halve_.register_fake
def _(x):
    return None


def test_an_operator_of_a_library_that_writes_to_a_transposed_tensor_goes_to_the_compiler():
    """It may draw without saying so, and still a backend gets the graph: that is what crosscheck finds faults in."""

    def program(x):
        y = (x * 2).t()
        halve_(y)
        return y

    compiled = []

    def backend(module, inputs):
        compiled.append(module)
        return module.forward

    x = torch.randn(2, 3)
    assert torch.equal(capture(program, backend=backend)(x), program(x))
    assert len(compiled) == 1
