"""The kernels of attention that a program chooses: part of the graph, and left as the plain program leaves them."""

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from passes.operators.modes import ALL_KERNELS, choose_kernels, current_modes
from tests.check import BACKENDS, check
from tracer import capture, counters, graph_break

TWO = [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]


@pytest.fixture(autouse=True)
def _all_kernels():
    choose_kernels(ALL_KERNELS)
    yield
    choose_kernels(ALL_KERNELS)


def attend(x):
    return F.scaled_dot_product_attention(x, x, x)


def by_math(x):
    with sdpa_kernel(SDPBackend.MATH):
        return attend(x), torch.backends.cuda.flash_sdp_enabled()


@sdpa_kernel(SDPBackend.FLASH_ATTENTION)
def decorated(x):
    return attend(x) * 2


def nested(x):
    with sdpa_kernel(TWO):
        y = attend(x)
        with sdpa_kernel([SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION]):
            z = attend(x)
        return y + attend(x), z, current_kernels(x)


def current_kernels(x):
    enabled = [torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.mem_efficient_sdp_enabled()]
    return x + torch.tensor(enabled).sum()


def left_by_an_exception(x):
    try:
        with sdpa_kernel(SDPBackend.MATH):
            y = attend(x)
            raise ValueError
    except ValueError:
        return attend(y)


def left_chosen(x):
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_flash_sdp(False)
    return attend(x)


def operator_refuses(x):
    with sdpa_kernel(TWO):
        return torch.linalg.cholesky(attend(x)[0, 0, :4, :4] - 9)


def operator_refuses_in_handler(x):
    try:
        return operator_refuses(x)
    except RuntimeError:
        return x + 2


def no_kernel(x):
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        return attend(x)


def break_inside(x):
    with sdpa_kernel(SDPBackend.MATH):
        y = attend(x)
        graph_break()
        return attend(y)


def outcome(function, x, kernels=ALL_KERNELS):
    """What a call gives, or the exception it raises, and the kernels that it leaves chosen."""
    choose_kernels(kernels)
    try:
        result = function(x)
    except RuntimeError as error:
        result = (type(error), str(error))
    return result, current_modes().kernels


def assert_same(actual, expected):
    assert _is_error(actual) == _is_error(expected)
    if _is_error(expected):
        assert actual[0] == expected[0]
    else:
        torch.testing.assert_close(actual[0], expected[0], rtol=0, atol=0)
    assert actual[1] == expected[1]


def _is_error(result):
    return isinstance(result[0], tuple) and isinstance(result[0][0], type)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("program", [by_math, decorated, nested, left_by_an_exception, left_chosen])
def test_kernels_chosen_are_part_of_one_graph(program, gradients, backend):
    x = torch.randn(1, 2, 4, 8, requires_grad=gradients)
    expected = outcome(program, x)
    captured = capture(program, backend=BACKENDS[backend], fullgraph=True)
    for _ in range(3):
        assert_same(outcome(captured, x), expected)
    assert counters().breaks == {}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", [operator_refuses, operator_refuses_in_handler, no_kernel, break_inside])
def test_kernels_are_put_back_after_errors_and_breaks(program, backend):
    x = torch.linspace(0, 1, 64).reshape(1, 2, 4, 8)
    expected = outcome(program, x)
    captured = capture(program, backend=BACKENDS[backend])
    for _ in range(3):
        assert_same(outcome(captured, x), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_kernels_of_the_process_are_guarded_where_attention_is(backend):
    captured = capture(attend, backend=BACKENDS[backend], fullgraph=True)
    x = torch.randn(1, 2, 4, 8)
    by_math_only, none = (False, True, False, False, False), (False,) * 5
    for kernels in (ALL_KERNELS, by_math_only, ALL_KERNELS):
        result, expected = outcome(captured, x, kernels), outcome(attend, x, kernels)
        assert_same(result, expected)
        assert result[0].stride() == expected[0].stride()
    assert counters().captures == 2
    assert_same(outcome(capture(attend, backend=BACKENDS[backend]), x, none), outcome(attend, x, none))


def test_kernels_that_no_attention_reads_are_not_guarded():
    captured = capture(lambda x: x + 1, fullgraph=True)
    for kernels in (ALL_KERNELS, (False, True, False, False, False)):
        choose_kernels(kernels)
        captured(torch.ones(2))
    assert counters().captures == 1


def test_kernels_chosen_with_gradients():
    check(decorated, torch.randn(1, 2, 4, 8, requires_grad=True), graphs=1, breaks=[])
