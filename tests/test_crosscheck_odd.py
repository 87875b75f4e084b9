"""Faults of more than forty further kinds: slopes at corners, ranges and precision of dtypes, places in memory,
threads, sizes, order of effects. Each is found at its operator and line, by a script that fails by its own assertion;
nothing is said of the graph itself.
"""

import threading

import pytest
import torch
from torch.nn import functional

from tests.compiler_faults import replaying, wrong_where
from tests.faults import IMAGE, INTEGERS, SQUARE, X, inf, swap
from tests.test_crosscheck_faults import assert_fails, own_line
from tracer import capture

PAIR = X + 0.1, X.flip(0) + 0.2
SMALL = X.abs() / 8 + 0.05
COMPLEX = torch.complex(X + 0.1, X.flip(1) + 0.2)
LAST = IMAGE.contiguous(memory_format=torch.channels_last)
KERNELS = torch.cat([IMAGE, IMAGE * 2])[:, :, :3, :3]
MASK = torch.tensor([True, False, True, False, True, True])


def trained(*tensors):
    return [tensor.clone().requires_grad_() for tensor in tensors]


# Slopes -------------------------------------------------------------------------------------------------


def with_slope(forward, slope):
    """A function of tensors whose gradients are what `slope` computes of the gradient and the tensors."""

    class Wrong(torch.autograd.Function):
        """Right but for its slope."""

        @staticmethod
        def forward(ctx, *tensors):
            ctx.save_for_backward(*(each for each in tensors if isinstance(each, torch.Tensor)))
            ctx.others = len([each for each in tensors if not isinstance(each, torch.Tensor)])
            return forward(*tensors)

        @staticmethod
        def backward(ctx, gradient):
            slopes = slope(gradient, *ctx.saved_tensors)
            return *(slopes if isinstance(slopes, tuple) else (slopes,)), *[None] * ctx.others

    return lambda *tensors: Wrong.apply(*tensors)


def of_maximum(gradient, x, y):
    return gradient * (x >= y), gradient * (x < y)


def of_amax(gradient, x):
    index = x.argmax(1, keepdim=True)
    return torch.zeros_like(x).scatter(1, index, gradient.unsqueeze(1))


def of_sum_with_row(gradient, x, row):
    return gradient, gradient.mean(0)


def of_product(gradient, x):
    return gradient.unsqueeze(1) * x.prod(1, keepdim=True) / x


# Other compilers ----------------------------------------------------------------------------------------


def third_call_writes(module, example_inputs):
    """Writes to its input at the third call."""
    calls = []

    def run(*inputs):
        calls.append(1)
        results = module(*inputs)
        if len(calls) == 3:
            inputs[0].add_(1)
        return results

    return run


def counting(module, example_inputs):
    """Adds a little more at each call."""
    calls = []

    def run(*inputs):
        calls.append(1)
        return tuple(part + 0.01 * (len(calls) - 1) for part in module(*inputs))

    return run


def writing_first(module, example_inputs):
    """Makes the last write before what reads the tensor."""
    nodes = list(module.graph.nodes)
    (write,) = (node for node in nodes if node.target in ("mul_", "imul") or "mul_" in str(node.target))
    (read,) = (node for node in nodes if "exp" in str(node.target))
    read.prepend(write)
    module.recompile()
    return module.forward


def in_its_own_thread(module, example_inputs):
    """Keeps what it needs in the thread that compiled it."""
    state = threading.local()
    state.offset = 0.0

    def run(*inputs):
        return tuple(part + getattr(state, "offset", 1.0) for part in module(*inputs))

    return run


def only_in_its_own_thread(module, example_inputs):
    state = threading.local()
    state.module = module
    return lambda *inputs: state.module(*inputs)


def drawing_more(x, p, training):
    result = functional.dropout(x, p, training)
    torch.rand(3)
    return result


def softmax_of_memory(x, dim):
    """Takes the last dimension for the fastest one."""
    if x.is_contiguous() or x.dim() < 2:
        return torch.softmax(x, dim)
    return torch.softmax(x.t().contiguous().view(x.shape), dim)


def narrow_sum(x, dim):
    total = torch.zeros_like(x[:, 0])
    for column in x.unbind(1):
        total = total + column
    return total


def one_pass_variance(x, dim):
    count = x.shape[dim]
    return ((x * x).sum(dim) - x.sum(dim) ** 2 / count) / (count - 1)


def one_pass_norm(x, shape, *rest):
    mean = x.mean(-1, keepdim=True)
    return ((x - mean) / ((x * x).mean(-1, keepdim=True) - mean * mean + 1e-5).sqrt()).contiguous()


def power_by_logarithm(x, y):
    return torch.exp(y * torch.log(x))


def away_from_zero(x):
    return torch.copysign(torch.floor(x.abs() + 0.5), x)


def shifts_bits(x, count):
    return torch.where(x < 0, (x + 2**62 + 2**62) // 2**count, x // 2**count)


# What is captured, its inputs, the compiler, the operator that is to be named, what was varied.
FAULTS = {
    "the slope of relu at zero": (
        lambda x: torch.relu(x), trained(X + 0.1), swap("relu", with_slope(torch.relu, lambda g, x: g * (x >= 0))),
        "relu", "slopes"),
    "the slope of abs at zero": (
        lambda x: torch.abs(x), trained(X + 0.1),
        swap("abs", with_slope(torch.abs, lambda g, x: torch.where(x >= 0, g, -g))), "abs", "slopes"),
    "the slope of a leaky relu at zero": (
        lambda x: functional.leaky_relu(x, 0.1), trained(X + 0.1),
        swap("leaky_relu", with_slope(functional.leaky_relu, lambda g, x: torch.where(x >= 0, g, g * 0.1))),
        "leaky_relu", "gradients slopes"),
    "the slope of clamp at its bound": (
        lambda x: torch.clamp(x, -1, 1), trained(X + 0.1),
        swap("clamp", with_slope(torch.clamp, lambda g, x: g * ((x > -1) & (x < 1)))), "clamp", "slopes"),
    "the slope of relu6 at six": (
        lambda x: functional.hardtanh(x, 0.0, 6.0), trained(X + 0.1),
        swap("hardtanh", with_slope(functional.hardtanh, lambda g, x: g * ((x > 0) & (x <= 6)))), "hardtanh", "slopes"),
    "a maximum gives all to the first": (
        lambda x, y: torch.maximum(x, y), trained(*PAIR), swap("maximum", with_slope(torch.maximum, of_maximum)),
        "maximum", "slopes"),
    "the greatest of a row gives all to the first": (
        lambda x: torch.amax(x, 1), trained(X + 0.1), swap("amax", with_slope(torch.amax, of_amax)), "amax", "slopes"),
    "the slope of a product with a zero": (
        lambda x: torch.prod(x, 1), trained(X + 0.1), swap("prod", with_slope(torch.prod, of_product)), "prod",
        "slopes"),
    "a gradient that is not summed": (
        lambda x, row: torch.add(x, row), trained(X, X[0]), swap("add", with_slope(torch.add, of_sum_with_row)), "add",
        "gradients"),
    # Ranges and precision
    "abs of a complex number overflows": (
        lambda x: torch.abs(x), [COMPLEX], swap("abs", lambda x: (x.real**2 + x.imag**2).sqrt()), "abs", "content"),
    "a hypotenuse overflows": (
        lambda x, y: torch.hypot(x, y), [*PAIR], swap("hypot", lambda x, y: (x * x + y * y).sqrt()), "hypot",
        "content"),
    "a mean overflows": (
        lambda x, y: torch.lerp(x, y, 0.5), [*PAIR], swap("lerp", lambda x, y, w: (x * 1e9 + y * 1e9) / 2e9), "lerp",
        "content"),
    "a variance of one pass": (
        lambda x: torch.var(x, 1), [X], swap("var", one_pass_variance), "var", "content"),
    "a layer norm of one pass": (
        lambda x: functional.layer_norm(x, (6,)), [X], swap("layer_norm", one_pass_norm), "layer_norm", "content"),
    "the logarithm of 1 + little": (
        lambda x: torch.log1p(x), [SMALL], swap("log1p", lambda x: torch.log(1 + x)), "log1p", "content"),
    "the exponential of little": (
        lambda x: torch.expm1(x), [SMALL], swap("expm1", lambda x: torch.exp(x) - 1), "expm1", "content"),
    "a cumulative exponential overflows": (
        lambda x: torch.logcumsumexp(x, 1), [X], swap("logcumsumexp", lambda x, d: x.exp().cumsum(d).log()),
        "logcumsumexp", "content"),
    "integers as floating numbers": (
        lambda x: torch.mul(x, 3), [INTEGERS], swap("mul", lambda x, y: (x.double() * y).long()), "mul", "content"),
    "a sum in bfloat16": (
        lambda x: torch.sum(x, 1), [torch.rand(4, 600).bfloat16()], swap("sum", narrow_sum), "sum", "values size"),
    "a shift without sign": (
        lambda x: torch.bitwise_right_shift(x, 1), [INTEGERS.abs()], swap("bitwise_right_shift", shifts_bits),
        "bitwise_right_shift", "content"),
    # Signs, edges, NaN
    "rounded towards zero": (lambda x: torch.floor(x), [SMALL * 9], swap("floor", torch.trunc), "floor", "content"),
    "another sign of a remainder": (
        lambda x, y: torch.remainder(x, y), [SMALL * 9 + 0.01, SMALL], swap("remainder", torch.fmod), "remainder",
        "content"),
    "halves away from zero": (
        lambda x: torch.round(x), [X + 0.1], swap("round", away_from_zero), "round", "content"),
    "1 is not greater or equal": (
        lambda x: torch.ge(x, 1.0), [X + 0.1], swap("ge", lambda x, y: x > y), "ge", "content"),
    "a step at zero": (
        lambda x, y: torch.heaviside(x, y), [*PAIR], swap("heaviside", lambda x, y: (x >= 0).float()), "heaviside",
        "content values"),
    "a power by its logarithm": (
        lambda x, y: torch.pow(x, y), [SMALL, SMALL], swap("pow", power_by_logarithm), "pow", "content"),
    "a choice by products": (
        lambda c, x, y: torch.where(c, x, y), [MASK, X, X + 1],
        swap("where", lambda c, x, y: c * x + ~c * y), "where", "content"),
    "a minimum without NaN": (
        lambda x, y: torch.minimum(x, y), [*PAIR], swap("minimum", torch.fmin), "minimum", "content"),
    "NaN is no maximum": (
        lambda x: torch.argmax(x, 1), [X], swap("argmax", lambda x, d: x.nan_to_num(-inf).argmax(d)), "argmax",
        "content"),
    "the sign of zero is lost": (
        lambda x: torch.trunc(x), [X + 0.1], swap("trunc", lambda x: torch.trunc(x) + 0.0), "trunc", "values content"),
    "beta 0 times NaN": (
        lambda b, x, y: torch.addmm(b, x, y, beta=0), [SQUARE, SQUARE, SQUARE],
        swap("addmm", lambda b, x, y, beta: b * beta + x @ y), "addmm", "content"),
    "alpha for beta": (
        lambda b, x, y: torch.addmm(b, x, y, beta=2, alpha=3), [SQUARE, SQUARE, SQUARE],
        swap("addmm", lambda b, x, y, beta, alpha: torch.addmm(b, x, y, beta=alpha, alpha=beta)), "addmm", "values"),
    "an adjoint that is not conjugated": (
        lambda x: torch.adjoint(x) * 2, [COMPLEX], swap("adjoint", lambda x: x.mT), "adjoint", "values"),
    # Shapes, dtypes, strides, sizes
    "a dimension is not kept": (
        lambda x: torch.mean(x, 1, keepdim=True), [X], swap("mean", lambda x, d, keepdim: x.mean(d)), "mean",
        "values"),
    "a number's dtype wins": (
        lambda x, y: torch.mul(x, y), [X, torch.tensor(2.0, dtype=torch.float64)],
        swap("mul", lambda x, y: x.double() * y), "mul", "values"),
    "contiguous that is not": (
        lambda x: x.t().contiguous(), [X], swap("contiguous", lambda x: x * 1), "contiguous", "values"),
    "an image in other strides": (
        lambda x, w: torch.conv2d(x, w), [LAST, KERNELS],
        swap("conv2d", lambda x, w: torch.conv2d(x, w).contiguous()), "conv2d", "values layout"),
    "a variance of one element": (
        lambda x: torch.var(x, 0), [X], swap("var", lambda x, d: x.var(d).nan_to_num()), "var", "size"),
    "a product of nothing": (
        lambda x: torch.prod(x, 0), [X], swap("prod", lambda x, d: x.prod(d) if len(x) else x.sum(d)), "prod", "size"),
    "the last dimension for the fastest": (
        lambda x: torch.softmax(x, -1), [X], swap("softmax", softmax_of_memory), "softmax", "layout"),
    # Memory, calls, threads
    "an odd offset": (
        lambda x: x * 2, [X], wrong_where(lambda inputs: inputs[0].storage_offset() % 2), "mul", "layout"),
    "an offset inside of a graph": (
        lambda x: torch.relu(x[1:]), [X],
        swap("relu", lambda x: torch.relu(x) + (x.storage_offset() == 6)), "relu", "values"),
    "the offset of an input": (
        lambda x: torch.relu(x), [X[2:]], swap("relu", lambda x: torch.relu(x) + (x.storage_offset() == 12)), "relu",
        "values"),
    "a write at the third call": (lambda x: torch.sin(x), [X], third_call_writes, "sin", "repeat"),
    "a count of calls": (lambda x: torch.sin(x), [X], counting, "sin", "repeat"),
    "a write before a read": (lambda x: (torch.exp(x), x.mul_(2))[0], [X], writing_first, "mul_", "values"),
    "random numbers that nobody sees": (
        lambda x: functional.dropout(x, 0.5), [X], swap("dropout", drawing_more), "dropout", "values"),
    "another thread of Python": (lambda x: torch.sin(x), [X], in_its_own_thread, "sin", "python thread"),
    "an error in another thread of Python": (
        lambda x: torch.sin(x), [X], only_in_its_own_thread, "sin", "python thread"),
}  # fmt: skip


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """The first finding for each fault, with its script."""
    folder = tmp_path_factory.mktemp("scripts")
    return {name: found(name, FAULTS[name][2], folder / str(place)) for place, name in enumerate(FAULTS)}


def copied(tensor):
    """A copy that is as far into its memory."""
    size = tensor.untyped_storage().nbytes() // tensor.element_size()
    memory = tensor.detach().as_strided((size,), (1,), 0).clone()
    copy = memory.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
    return copy.requires_grad_(tensor.requires_grad)


def found(name, candidate, folder, shrink=1.0):
    program, inputs, *_ = FAULTS[name]
    reports = []
    options = {"report": reports.append, "verify": False, "shrink": shrink, "folder": str(folder)}
    capture(program, backend="crosscheck", options={"candidate": candidate, **options})(*map(copied, inputs))
    return next((report.first for report in reports if not report.ok), None)


@pytest.mark.parametrize("name", FAULTS)
def test_found_and_named(name, findings):
    program, _, _, operator, variations = FAULTS[name]
    finding = findings[name]
    assert finding is not None, "not found"
    assert operator in finding.operator, finding
    assert finding.variation.kind in variations.split() or finding.variation.kind == variations, finding
    assert own_line(program) in (finding.line or ""), finding
    assert finding.script is not None, finding.why


def test_scripts_fail_by_their_own_assertion(findings):
    assert_fails(*(finding.path for finding in findings.values()))


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_said_of_the_graph_itself(name, tmp_path):
    assert found(name, replaying, tmp_path, shrink=0.0) is None
