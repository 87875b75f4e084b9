"""Passes leave torch's modes as they are, and results what they are under them."""

from operator import attrgetter

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel

from passes import autodiff
from passes.network import cost
from passes.node_meta import MODES as MODES_OF
from passes.operators.evaluate import Evaluator
from passes.operators.modes import SETTERS, Modes, current_modes, enter_inference, entered, modes_kept, sets_modes
from passes.rewrite.rules import FROZEN, STANDARD
from passes.rewrite.rules.attention import ATTENTION
from tests.rewriting import rewritten, tensors
from tracer import capture
from tracer.rewriting import rewriting


def fresh_memory(meta):
    return torch.empty_strided(meta.shape, meta.stride, dtype=meta.dtype)


OPTIONS = {
    "passes": {"passes": STANDARD},
    "frozen passes": {"passes": FROZEN},
    "donate": {"donate": ("x",)},
    "donate nothing": {"donate": ()},
    "allocate": {"allocate": fresh_memory},
}


def products(x):
    before = x @ x
    with torch.autocast("cpu", torch.bfloat16):
        cast = x @ x
        with torch.autocast("cpu", enabled=False):
            uncast = x @ x
    return before, cast, uncast, x @ x


def products_in_half(x):
    with torch.autocast("cpu", torch.float16, cache_enabled=False):
        return x @ x


def without_gradients(x):
    with torch.no_grad():
        y = x * 2
        with torch.enable_grad():
            z = x * 2
    return y, z, x * 2


def in_inference(x):
    with torch.inference_mode():
        y = x * 2
    return y.clone(), x * 2


def attention_by_one_kernel(x):
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(x[None], x[None], x[None]) + 1


def state():
    return (
        current_modes(),
        torch.is_autocast_cache_enabled(),
        torch._C._get_math_sdp_enabled(),
        torch._C._get_flash_sdp_enabled(),
        torch._C._get_mem_efficient_sdp_enabled(),
    )


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize(
    "program", [products, products_in_half, without_gradients, in_inference, attention_by_one_kernel]
)
def test_modes_are_as_before_at_each_call(program, option):
    before = state()
    captured = capture(program, **OPTIONS[option])
    for size in (4, 4, 6):
        x = torch.randn(size, size)
        expected = program(x.clone())
        result = captured(x.clone())
        assert state() == before
        for one, other in zip(tensors(expected), tensors(result), strict=True):
            assert (one.dtype, one.requires_grad, one.is_inference()) == (other.dtype, False, other.is_inference())
            torch.testing.assert_close(other, one)


@pytest.mark.parametrize("setter", sorted(SETTERS, key=attrgetter("__name__")), ids=attrgetter("__name__"))
def test_asking_what_a_setter_returns_does_not_run_it(setter):
    before = state()
    arguments = {torch.set_autocast_enabled: ("cpu", True), torch.set_autocast_dtype: ("cpu", torch.float16)}
    count = "nesting" in setter.__name__ or setter is torch.clear_autocast_cache
    args = arguments.get(setter, () if count else (not torch.is_autocast_cache_enabled(),))
    outcome = Evaluator().evaluate(setter, args)
    assert outcome.result is None and not outcome.mutated and state() == before


def test_an_evaluation_that_raises_leaves_no_mode_behind():
    before = state()
    with pytest.raises(ZeroDivisionError), entered(Modes(grad=False, autocast=True)):
        torch._C._set_grad_enabled(True)
        torch.set_autocast_dtype("cpu", torch.float16)
        torch.set_default_dtype(torch.float64)
        raise ZeroDivisionError
    assert state() == before


# Every mode under every option ---------------------------------------------------------------------------------------


def within(context):
    """A program whose middle runs under a mode; `row` may be out of range there."""

    def program(x, row):
        before = x @ x
        with context():
            inside = x @ x
            picked = inside[row]
        return before, inside, picked, x @ x

    return program


def set_and_reset(setter, *values):
    """A program that sets a mode by a call and sets it back by another, in a `finally`."""

    def program(x, row):
        setter(*values[0])
        try:
            inside = x @ x
            picked = inside[row]
        finally:
            setter(*values[1])
        return inside, picked, x @ x

    return program


MODES = {
    "autocast": within(lambda: torch.autocast("cpu", torch.bfloat16)),
    "autocast in half": within(lambda: torch.autocast("cpu", torch.float16)),
    "autocast without a cache": within(lambda: torch.autocast("cpu", torch.bfloat16, cache_enabled=False)),
    "autocast off": within(lambda: torch.autocast("cpu", enabled=False)),
    "no gradients": within(torch.no_grad),
    "gradients": within(torch.enable_grad),
    "gradients by a flag": within(lambda: torch.set_grad_enabled(False)),
    "inference": within(torch.inference_mode),
    "inference off": within(lambda: torch.inference_mode(False)),
    "attention's kernel": within(lambda: sdpa_kernel(SDPBackend.MATH)),
    "deterministic": set_and_reset(torch.use_deterministic_algorithms, (True,), (False,)),
    "default dtype": set_and_reset(torch.set_default_dtype, (torch.float64,), (torch.float32,)),
    "gradients by calls": set_and_reset(torch.set_grad_enabled, (False,), (True,)),
    "autocast by calls": set_and_reset(torch.set_autocast_enabled, ("cpu", True), ("cpu", False)),
}


def run_under(outer, program, x, row):
    """What a program gives, or raises, under a mode of its caller's; and the modes that it leaves there."""
    with outer():
        try:
            result = program(x.clone(), row)
        except IndexError as error:
            result = error
        return result, state()


@pytest.mark.parametrize(
    "outer", [torch.enable_grad, torch.no_grad, torch.inference_mode], ids=lambda mode: mode.__name__
)
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_under_every_option(mode, option, outer):
    program = MODES[mode]
    captured, row, wrong = capture(program, **OPTIONS[option]), torch.tensor(2), torch.tensor(9)
    before = state()
    for x in (torch.randn(4, 4), torch.randn(4, 4), torch.randn(5, 5)):
        expected, left = run_under(outer, program, x, row)
        result, left_captured = run_under(outer, captured, x, row)
        assert left_captured == left and state() == before
        for one, other in zip(tensors(expected), tensors(result), strict=True):
            assert (one.dtype, one.is_inference()) == (other.dtype, other.is_inference())
            torch.testing.assert_close(other, one)
        expected, left = run_under(outer, program, x, wrong)
        result, left_captured = run_under(outer, captured, x, wrong)
        assert type(expected) is type(result) is IndexError
        assert left_captured == left and state() == before
    for entry in captured.entries:  # what is asked about a graph runs none of its modes
        network = entry.to_networkx()
        assert network is not None and (entry.memory is None or str(entry.memory))
    assert state() == before


def setters_of(graph):
    return [(node.target, node.args) for node in graph.nodes if node.op == "call_function" and sets_modes(node.target)]


@pytest.mark.parametrize("mode", MODES)
def test_no_pass_drops_moves_or_merges_across_modes(mode):
    def program(x, row):
        first = MODES[mode](x, row)
        return first, MODES[mode](x, row)

    for passes in (*((step,) for step in dict.fromkeys((*STANDARD, *FROZEN))), STANDARD, FROZEN):
        backend = rewriting("eager", passes)
        capture(program, backend=backend)(torch.randn(4, 4), torch.tensor(1))
        for report in backend.reports:
            assert setters_of(report.graphs[0]) == setters_of(report.graphs[1])
            modes = [
                {node.meta.get(MODES_OF) for node in graph.nodes if node.target is torch.matmul}
                for graph in report.graphs
            ]
            assert modes[0] == modes[1]


def test_a_rewrite_does_not_cross_what_sets_a_mode():
    def program(q, k, v):
        scores = (q @ k.mT).softmax(-1)
        torch._C._set_sdp_use_cudnn(not torch._C._get_cudnn_sdp_enabled())
        other = F.scaled_dot_product_attention(q, k, v)
        torch._C._set_sdp_use_cudnn(not torch._C._get_cudnn_sdp_enabled())
        return scores @ v, other + 1

    report = rewritten(ATTENTION, program, *torch.randn(3, 1, 2, 5, 8))
    assert "a mode changes within it" in [refusal.why for refusal in report.refusals]


def test_what_is_prepared_is_computed_under_its_own_modes():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Parameter(torch.randn(8, 8)) for _ in range(3))

        def forward(self, x):
            plain = self.a @ self.b
            with torch.autocast("cpu", torch.bfloat16):
                cast = plain @ self.c
            return x + plain.sin(), x + cast.cos()

    model, x = Model(), torch.randn(8)
    captured = capture(model, passes=FROZEN)
    with torch.no_grad():
        for _ in range(3):
            for one, other in zip(captured(x), model(x), strict=True):
                assert one.dtype == other.dtype
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_costs_and_derivatives_of_a_graph_leave_modes_as_they_are():
    def program(x):
        with torch.autocast("cpu", torch.bfloat16):
            y = x @ x
            return y.float().cumsum(0).sum() + F.embedding(torch.tensor([9]), x).sum()

    module = capture(program, fullgraph=True)
    with pytest.raises(IndexError):
        module(torch.randn(4, 4))
    module(torch.randn(12, 12))
    graph_module, before = module.entries[-1].graph_module, state()
    cost.counted(graph_module.graph)
    with pytest.raises(IndexError):
        cost.measured(graph_module.graph, [torch.randn(4, 4)])
    assert state() == before
    autodiff.linearize(graph_module)
    assert state() == before


def test_an_error_below_a_mode_that_watches_operators_does_not_bring_that_mode_back():
    """Leaving inference mode puts back the dispatch keys of entering it."""
    with modes_kept():
        with FakeTensorMode():
            enter_inference(True)
        assert torch.is_inference_mode_enabled()
    assert not torch.is_inference_mode_enabled()
    assert not torch._C._dispatch_tls_is_dispatch_key_included("Python")
    assert torch.ones(2, requires_grad=True).sum() == 2
