"""torch.cond, while_loop, scan and map: the functions that they are given become graphs of their own, in one graph."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch._higher_order_ops import associative_scan, scan
from torch._higher_order_ops.map import map as torch_map

from passes.rules.book import release
from tests.check import BACKENDS, check, one_graph
from tracer import capture, counters, reset

SETTINGS = SimpleNamespace(factor=2.0)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]


def python_cond(predicate, yes, no, operands):
    """torch.cond as Python's `if`: without what TorchDynamo, which runs the plain one, leaves on parameters."""
    return (yes if predicate else no)(*operands)


def branch(x):
    return torch.cond(x.sum() > 0, lambda a: a.sin() * 2, lambda a: a.cos(), (x,)) + 1


def test_inductor_compiles_the_branches():
    captured = capture(branch, backend="inductor", fullgraph=True)
    for x in (torch.ones(4), -torch.ones(4)):
        assert torch.allclose(captured(x), branch(x))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_both_branches_with_gradients(backend, sign):
    one_graph(branch, torch.full((4,), sign, requires_grad=True), backend=backend)


def test_graph_holds_the_operator_of_torch():
    entry = capture(branch, fullgraph=True)
    entry(torch.ones(4))
    (captured,) = entry.entries
    targets = [node.target for node in captured.graph.nodes if node.op == "call_function"]
    assert torch.ops.higher_order.cond in targets


def test_closures_over_tensors_and_modules(backend):
    layer, scale = nn.Linear(4, 4), torch.full((4,), 3.0, requires_grad=True)

    def program(x, cond=torch.cond):
        y = x * 2
        return cond(x.sum() > 0, lambda a: layer(a) + y, lambda a: a * scale * y, (x,))

    captured = capture(program, backend=backend, fullgraph=True)
    for sign in (1.0, -1.0):
        x, again = (torch.full((4,), sign, requires_grad=True) for _ in range(2))
        leaves = (layer.weight, layer.bias, scale)
        wanted, result = program(x, python_cond), captured(again)
        assert torch.equal(wanted, result)
        right = torch.autograd.grad(wanted.sum(), (x, *leaves), allow_unused=True, materialize_grads=True)
        given = torch.autograd.grad(result.sum(), (again, *leaves), allow_unused=True, materialize_grads=True)
        assert all(map(torch.allclose, right, given))


def test_structures_in_and_out(backend):
    def yes(parts, more):
        return {"sum": parts[0] + more["x"], "both": (parts[1] + 0, parts[0] * 2)}

    def no(parts, more):
        return {"sum": parts[0] - more["x"], "both": (parts[1] * 1, parts[0].exp())}

    def program(x, y):
        result = torch.cond(
            (x > y).all(), lambda p, m: {**yes(p, m), "both": (p[1] + 0, p[0] * 2)}, no, ([x, y], {"x": x})
        )
        return result["sum"] * 2, result["both"]

    one_graph(program, torch.ones(3), torch.zeros(3), backend=backend)
    one_graph(program, torch.zeros(3), torch.ones(3), backend=backend)


@pytest.mark.parametrize("x", [torch.ones(3), -torch.ones(3), torch.full((3,), 10.0)])
def test_nested(backend, x):
    bias = torch.arange(3.0)

    def program(x):
        y = x + 1

        def inner(a):
            return torch.cond(a.sum() > 9, lambda b: b * bias + y, lambda b: b - bias, (a,))

        return torch.cond(x.sum() > 0, inner, lambda a: a.neg(), (x,)).sum()

    one_graph(program, x, backend=backend)


def test_sizes_that_vary(backend):
    def program(x):
        half = x.shape[0] * 2
        return torch.cond(x.sum() > 0, lambda a: a.sum() * half + a, lambda a: a / (a.shape[0] + 1), (x,))

    captured = capture(program, backend=backend, fullgraph=True)
    for size in (3, 4, 5, 6):
        for sign in (1, -1):
            x = torch.full((size,), float(sign))
            wanted = x.sum() * size * 2 + x if sign > 0 else x / (size + 1)
            assert torch.equal(captured(x), wanted)


def test_what_a_branch_reads_is_guarded(backend):
    def program(x):
        return torch.cond(x.sum() > 0, lambda a: a * SETTINGS.factor, lambda a: a + SETTINGS.factor, (x,))

    captured = capture(program, backend=backend, fullgraph=True)
    try:
        for factor in (2.0, 5.0):
            SETTINGS.factor = factor
            assert torch.equal(captured(torch.ones(2)), torch.full((2,), factor))
            assert torch.equal(captured(-torch.ones(2)), torch.full((2,), factor - 1))
    finally:
        SETTINGS.factor = 2.0


def changes_list_of_the_frame(x, log):
    kept = []
    return torch.cond(x.sum() > 0, lambda a: (kept.append(1), a * 2)[1], lambda a: a + 1, (x,))


def changes_list_from_outside(x, log):
    return torch.cond(x.sum() > 0, lambda a: (log.append(1), a * 2)[1], lambda a: a + 1, (x,))


def advances_iterator(x, log):
    numbers = iter([2, 3])
    return torch.cond(x.sum() > 0, lambda a: a * next(numbers), lambda a: a * next(numbers), (x,))


def writes_to_operand(x, log):
    return torch.cond(x.sum() > 0, lambda a: a.add_(1), lambda a: a + 1, (x,))


def gives_other_shapes(x, log):
    return torch.cond(x.sum() > 0, lambda a: a.sum(), lambda a: a + 1, (x,))


def returns_view(x, log):
    return torch.cond(x.sum() > 0, lambda a: a.view(-1), lambda a: a + 1, (x,))


def prints(x, log):
    return torch.cond(x.sum() > 0, lambda a: (print("yes"), a * 2)[1], lambda a: a + 1, (x,))


def returns_none(x, log):
    return torch.cond(x.sum() > 0, lambda a: (a + 1, None), lambda a: (a - 1, None), (x,))[0]


EFFECTS = (
    *(prints, changes_list_of_the_frame, changes_list_from_outside, advances_iterator),
    *(writes_to_operand, gives_other_shapes, returns_view, returns_none),
)


@pytest.mark.parametrize("program", EFFECTS)
def test_what_is_no_function_of_tensors_breaks(program):
    reset()
    captured = capture(lambda x, log: program(x * 1, log) * 2)
    log = []
    try:
        captured(torch.ones(2), log)
    except Exception as error:  # noqa: BLE001  torch.cond itself refuses some
        assert type(error).__module__.startswith("torch"), error
    assert "higher-order" in counters().breaks


def test_nonlocal_variable_of_the_frame():
    def program(x):
        count = 0

        def yes(a):
            nonlocal count
            count += 1
            return a * count

        return torch.cond(x.sum() > 0, yes, lambda a: a + 1, (x,)), count

    reset()
    try:
        capture(program)(torch.ones(2))
    except Exception as error:  # noqa: BLE001
        assert type(error).__module__.startswith("torch"), error
    assert set(counters().breaks) == {"higher-order"}


# Loops -----------------------------------------------------------------------------------------------


def test_while_loop(backend):
    def program(x):
        step = x.mean() + 1
        turns, total = torch.while_loop(
            lambda i, a: (i < 4) & (a.sum() < 100),
            lambda i, a: (i + 1, a * step),
            (torch.zeros((), dtype=torch.int64), x),
        )
        return turns, total + 1

    one_graph(program, torch.ones(3), backend=backend)
    one_graph(program, torch.full((3,), 50.0), backend=backend)


def test_scan(backend):
    weight = torch.full((3,), 0.5, requires_grad=True)

    def program(start, xs):
        def step(carry, x):
            carry = carry * weight + x
            return carry, {"twice": carry * 2}

        last, out = scan(step, start, xs, dim=0)
        return last, out["twice"].sum(0)

    start, xs = torch.zeros(3, requires_grad=True), torch.arange(12.0).reshape(4, 3)
    last, rest = capture(program, backend=backend, fullgraph=True)(start, xs)
    carry, outs = start, []
    for x in xs:
        carry = carry * weight + x
        outs.append(carry * 2)
    assert torch.allclose(last, carry) and torch.allclose(rest, torch.stack(outs).sum(0))
    right = torch.autograd.grad((carry + sum(outs)).sum(), (start, weight))
    assert all(map(torch.allclose, torch.autograd.grad((last + rest).sum(), (start, weight)), right))


def test_map(backend):
    shift = torch.arange(3.0)

    def program(xs):
        return torch_map(lambda x: x.sin() + shift, xs) * 2

    one_graph(program, torch.arange(12.0).reshape(4, 3), backend=backend)


def running_pairs(x):
    return associative_scan(lambda a, b: a * b + a, x, 0, combine_mode="generic")


def running_in_a_dictionary(x):
    def combine(left, right):
        return {
            "slope": left["slope"] * right["slope"],
            "shift": [left["shift"][0] * right["slope"] + right["shift"][0]],
        }

    out = associative_scan(combine, {"slope": x, "shift": [x * 2]}, 1, combine_mode="generic")
    return out["slope"] + out["shift"][0]


def running_backwards(x):
    return associative_scan(torch.add, x, -1, reverse=True, combine_mode="generic") * 2


def running_with_a_closure(x):
    scale = x.detach().mean()
    return associative_scan(lambda a, b: a * scale + b * scale, x, 0, combine_mode="generic")


RUNNING = (running_pairs, running_in_a_dictionary, running_backwards, running_with_a_closure)


@pytest.mark.parametrize("program", RUNNING)
@pytest.mark.parametrize("rows", [1, 4, 5])
def test_associative_scan(program, rows, backend):
    x = (torch.arange(rows * 3.0).reshape(rows, 3) / 8 + 0.5).requires_grad_()
    rounds = backend == "aot_eager"  # its backward adds up in another order
    one_graph(program, x, backend=backend, gradients=not rounds, recaptures=None)


def test_associative_scan_reads_a_setting(backend):
    def program(x):
        return associative_scan(lambda a, b: (a + b) * SETTINGS.factor, x, 0, combine_mode="generic")

    captured = capture(program, backend=backend, fullgraph=True)
    try:
        for factor in (2.0, 5.0):
            SETTINGS.factor = factor
            assert torch.equal(captured(torch.ones(2, 2)), torch.tensor([[1.0, 1.0], [2 * factor, 2 * factor]]))
    finally:
        SETTINGS.factor = 2.0


@pytest.mark.skipif(release(torch.__version__) != "2.13", reason="from torch 2.14 on it is computed on the CPU, too")
def test_what_associative_scan_refuses():
    captured = capture(lambda x: associative_scan(torch.add, x, 0, combine_mode="pointwise"))
    with pytest.raises(ValueError, match="need to be on CUDA or XPU"):
        captured(torch.ones(3))


@pytest.mark.parametrize("predicate", [True, 3, 0.0, np.int64(3), np.bool_(True), np.float64(1), "yes", None])
def test_cond_takes_the_numbers_that_torch_takes(predicate):
    check(lambda x, predicate: torch.cond(predicate, lambda: x + 1, lambda: x + 2), torch.ones(2), predicate)
