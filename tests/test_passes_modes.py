"""Passes leave torch's modes as they are, and results what they are under them."""

from operator import attrgetter

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from passes.operators.evaluate import Evaluator
from passes.operators.modes import SETTERS, Modes, current_modes, entered
from passes.rewrite.rules import FROZEN, STANDARD
from tests.rewriting import tensors
from tracer import capture


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
