"""Gradients beside slopes: right ones pass in every dtype, wrong ones are found and laid at one operator."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from backends.gradients import GradientError, check_gradients
from tests import planted  # noqa: F401  (registers the operators)
from tracer import capture

ops = torch.ops.planted
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def network(x, weight):
    hidden = torch.nn.functional.gelu(x @ weight)
    return torch.nn.functional.layer_norm(hidden, hidden.shape[-1:]).softmax(-1)


def wrong(x):
    return ops.softsign(x * 2).sum()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_right_gradients(dtype):
    torch.manual_seed(0)
    report = check_gradients(network, [torch.randn(5, 8).to(dtype), torch.randn(8, 6).to(dtype)])
    assert report.ok, report
    assert report.evaluated == "torch.float64"
    assert len(report.slopes) == 3


def test_the_error_has_a_valley():
    """Curvature at the large steps, rounding at the small ones."""
    torch.manual_seed(0)
    report = check_gradients(network, [torch.randn(5, 8), torch.randn(8, 6)], directions=1)
    errors = list(report.slopes[0].errors.values())
    assert errors[0] > min(errors) and errors[-1] > min(errors)


def test_a_module_and_its_parameters():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4), nn.Dropout()
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x, state = torch.randn(2, 2, 6, 6), torch.get_rng_state()
    report = check_gradients(model, [x])
    assert report.ok, report
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_casts_inside_of_a_function_do_not_make_it_less_precise():
    """The way models of transformers write RMSNorm; in float32 the quotients of float64's small steps are noise."""

    def norm(x, weight):
        wide = x.to(torch.float32)
        scaled = (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).type_as(x)
        return (weight * scaled).float().half()

    torch.manual_seed(0)
    report = check_gradients(norm, [torch.randn(64, 256), torch.randn(256)])
    assert report.ok, report
    assert min(min(slope.errors.values()) for slope in report.slopes) < 1e-7


def test_a_kink_at_the_very_point_is_no_wrong_gradient():
    report = check_gradients(lambda x: torch.relu(x).sum() + x.abs().sum(), [torch.zeros(8)])
    assert report.ok, report


def test_gradients_that_hang_on_rounding_are_not_wrong():
    """Rows that hardly vary, with a tiny epsilon: float32 and float64 have other gradients, and both are right."""
    torch.manual_seed(0)
    rows = 1 + 1e-6 * torch.randn(4, 32)
    report = check_gradients(lambda x: torch.nn.functional.layer_norm(x, (32,), eps=1e-12), [rows])
    assert report.ok, report


def test_complex_inputs():
    report = check_gradients(lambda z: (z * z.conj()).real.sin(), [torch.randn(4, dtype=torch.complex64)])
    assert report.ok and report.differentiable, report


def test_a_wrong_gradient_of_a_graph_is_named(tmp_path):
    reports = []
    options = {"report": reports.append, "check_gradients": True, "shrink": 0.0}
    capture(wrong, backend="crosscheck", options=options)(torch.linspace(0.5, 2, 6).requires_grad_())
    values, gradients = reports
    assert values.ok and not gradients.ok
    finding = gradients.findings[0]
    assert "softsign" in finding.operator
    assert "return ops.softsign(x * 2).sum()" in finding.line


def test_a_wrong_gradient_of_a_function_is_shrunk_to_a_script(tmp_path):
    report = check_gradients(wrong, [torch.linspace(0.5, 2, 6)], folder=tmp_path, verify=False)
    finding = report.findings[0]
    assert "softsign" in finding.operator and "return ops.softsign" in finding.line
    done = subprocess.run([sys.executable, "-I", finding.path], capture_output=True, text=True)
    assert done.returncode == 1 and "the gradient is not the slope" in done.stderr


def test_a_gradient_that_is_wrong_in_one_dtype_only():
    class Half(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * (3 if gradient.dtype is torch.bfloat16 else 2)

    assert check_gradients(Half.apply, [torch.ones(4)]).ok
    assert not check_gradients(Half.apply, [torch.ones(4, dtype=torch.bfloat16)]).ok


def test_an_evaluation_that_cannot_be_in_float64():
    """A constant of another dtype: then the steps are those of the dtype that is left."""
    weight = torch.randn(4, 3)
    report = check_gradients(lambda x: torch.tanh(x @ weight), [torch.randn(2, 4)])
    assert report.ok and report.evaluated == "torch.float32", report


def test_nothing_to_differentiate():
    report = check_gradients(lambda x: x.argmax(), [torch.randn(4)])
    assert report.ok and not report.differentiable


def test_not_callable():
    with pytest.raises(TypeError, match="not of 3"):
        check_gradients(3, [])


def test_raised_by_the_backend():
    with pytest.raises(GradientError, match="softsign"):
        options = {"check_gradients": True, "shrink": 0.0}
        capture(wrong, backend="crosscheck", options=options)(torch.linspace(1, 3, 4).requires_grad_())
