"""Compiled programs with bad habits: they touch what they are lent, keep what they have seen, take one mode or dtype
for another. Each is found, with its kind, by a script that fails by its own assertion; nothing is said of the graph.
"""

import pytest
import torch
from torch import Tensor

from tests.compiler_faults import SavingSine, applying, changing, replaying, running
from tests.faults import INTEGERS, X, swap
from tests.test_crosscheck_faults import assert_fails, first_finding

WANTED = X.clone().requires_grad_()
COMPLEX = torch.complex(X + 0.1, X.flip(1) + 0.2)


def under(mode):
    """A program that runs under a mode of torch."""

    def program(x):
        with mode():
            hidden = x @ x.t()
            return hidden.relu() * 2

    return program


# What it touches ----------------------------------------------------------------------------------------


class SpoiltGradient(SavingSine):
    """Writes to the gradient that it is given."""

    @staticmethod
    def backward(ctx, gradient):
        return gradient.mul_(ctx.saved_tensors[0].cos())


class SpoiltInput(SavingSine):
    """Writes to what was kept for backward, which is its input."""

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        slope = x.detach().cos()
        x.detach().zero_()
        return gradient * slope


class DrawingBackward(SavingSine):
    @staticmethod
    def backward(ctx, gradient):
        torch.rand(1)
        return gradient * ctx.saved_tensors[0].cos()


class ModesBackward(SavingSine):
    @staticmethod
    def backward(ctx, gradient):
        torch.set_default_dtype(torch.float64)
        return gradient * ctx.saved_tensors[0].cos()


class CountingBackward(SavingSine):
    """Every second backward is half as large."""

    calls = [0]

    @staticmethod
    def backward(ctx, gradient):
        CountingBackward.calls[0] += 1
        return gradient * ctx.saved_tensors[0].cos() / (1 + CountingBackward.calls[0] % 2)


class FirstGradient(SavingSine):
    """Gives the gradients of its first backward again."""

    kept = {}

    @staticmethod
    def backward(ctx, gradient):
        return FirstGradient.kept.setdefault(gradient.shape, gradient * ctx.saved_tensors[0].cos()).clone()


class OneBufferBackward(SavingSine):
    """Gives its gradients in one memory, always."""

    kept = {}

    @staticmethod
    def backward(ctx, gradient):
        buffer = OneBufferBackward.kept.setdefault((gradient.shape, gradient.dtype), torch.empty_like(gradient))
        return buffer.copy_(gradient * ctx.saved_tensors[0].cos())


class WrongUnderNoGrad(SavingSine):
    """Its backward is right only where gradients are recorded."""

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].cos() * (1 if torch.is_grad_enabled() else 2)


class TransposedGradient(SavingSine):
    """Gives the gradient of the transposed matrix."""

    @staticmethod
    def backward(ctx, gradient):
        return (gradient * ctx.saved_tensors[0].cos()).flip(0)


class SquareOfSaved(torch.autograd.Function):
    """Right to first order, and its second derivative is that of a constant slope."""

    @staticmethod
    def forward(ctx, x):
        ctx.slope = 2 * x.detach()
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.slope


def hooking(module, inputs):
    results = module(*inputs)
    if inputs[0].requires_grad:
        inputs[0].register_hook(lambda gradient: gradient * 2)
    return results


def resizing(module, inputs):
    results = module(*inputs)
    inputs[0].resize_(inputs[0].numel())
    return results


def transposing(module, inputs):
    results = module(*inputs)
    inputs[0].t_()
    return results


def in_input(module, inputs):
    """Returns its results in the memory of its input."""
    (result,) = module(*inputs)
    return (inputs[0].copy_(result),)


def beside_input(module, inputs):
    """Returns a view of its input where the graph returns a copy."""
    module(*inputs)
    return (inputs[0].view_as(inputs[0]),)


def itself(module, inputs):
    return (inputs[0],)


def in_examples(module, example_inputs):
    """Writes to the examples that it is given to compile for."""
    for value in example_inputs:
        if isinstance(value, Tensor) and value.is_floating_point():
            value.detach().add_(1)
    return module.forward


def spoiling_the_graph(module, example_inputs):
    """Takes operators out of the graph at its second call."""
    calls = []

    def run(*inputs):
        calls.append(1)
        results = module(*inputs)
        return results if len(calls) < 2 else tuple(part * 2 for part in results)

    return run


def last_inputs(module, example_inputs):
    """Answers each call with the inputs of the call before."""
    kept = []

    def run(*inputs):
        kept.append(tuple(value.clone() if isinstance(value, Tensor) else value for value in inputs))
        return module(*kept[max(len(kept) - 2, 0)])

    return run


def one_then_other(module, example_inputs):
    """Gives two results, in turns."""
    calls = []

    def run(*inputs):
        calls.append(1)
        results = module(*inputs)
        return results if len(calls) % 2 else tuple(reversed(results))

    return run


def by_text(module, example_inputs, programs={}):
    """Takes graphs of the same operators for the same, whatever their constants are."""
    key = tuple(str(node.target) for node in module.graph.nodes)
    return programs.setdefault(key, module.forward)


def doubling_where(condition):
    """A compiler that rectifies twice as much where `condition()` holds."""
    return swap("relu", lambda x: x.relu() * (2 if condition() else 1))


def sine(x):
    return x.sin()


def square(x):
    return x * x


def both(x):
    return x.sin(), x.cos()


# What is captured, its inputs, the compiler, the kinds of the difference.
FAULTS = {
    "a gradient that is written to": (sine, [WANTED], applying(SpoiltGradient), "written gradient"),
    "an input written to in backward": (sine, [WANTED], applying(SpoiltInput), "written gradient values"),
    "backward draws": (sine, [WANTED], applying(DrawingBackward), "state"),
    "backward changes a mode": (sine, [WANTED], applying(ModesBackward), "state"),
    "every second backward": (sine, [WANTED], applying(CountingBackward), "gradient"),
    "the first gradient": (sine, [WANTED], applying(FirstGradient), "gradient"),
    "one buffer for gradients": (sine, [WANTED], applying(OneBufferBackward), "gradient overwritten"),
    "backward under no_grad": (sine, [WANTED], applying(WrongUnderNoGrad), "gradient"),
    "a gradient upside down": (sine, [WANTED], applying(TransposedGradient), "gradient"),
    "a second derivative": (square, [WANTED], applying(SquareOfSaved), "gradient"),
    "a hook on an input": (sine, [WANTED], running(hooking), "gradient hooks"),
    "an input resized": (sine, [X.t()], running(resizing), "strides values shape"),
    "an input transposed": (sine, [X], running(transposing), "shape strides values"),
    "results in an input": (sine, [X], running(in_input), "aliasing values written"),
    "a view for a copy": (lambda x: x.clone(), [X], running(beside_input), "aliasing"),
    "the input for a copy": (lambda x: x.clone(), [X], running(itself), "aliasing identity"),
    "the input for a detached one": (lambda x: x.detach() * 1, [WANTED], running(itself), "aliasing requires_grad"),
    "examples written to": (sine, [X], in_examples, "nondeterministic"),
    "a graph taken apart": (sine, [X], spoiling_the_graph, "nondeterministic values"),
    "the inputs before": (sine, [X], last_inputs, "values"),
    "results in turns": (both, [X], one_then_other, "nondeterministic values"),
    "under autocast": (
        under(lambda: torch.autocast("cpu", torch.bfloat16)), [X],
        swap("relu", lambda x: x.relu() * (2 if torch.is_autocast_enabled("cpu") else 1)), "values"),
    "autocast that is left out": (
        under(lambda: torch.autocast("cpu", torch.bfloat16)), [X],
        swap("matmul", lambda x, y: (torch.set_autocast_enabled("cpu", False), x @ y)[1]), "values dtype state"),
    "integers of 32 bits": (
        lambda x: x.cumsum(1), [INTEGERS], changing(lambda part: part.to(torch.int32).to(part.dtype)), "values"),
    "a conjugate that is lazy": (
        lambda x: x.conj_physical(), [COMPLEX], running(lambda module, inputs: (inputs[0].clone().conj(),)), "is_conj"),
    "a result of inference": (
        sine, [X], running(lambda module, inputs: in_inference(module, inputs)), "is_inference"),
    "a negative that is lazy": (
        lambda x: -x.imag, [COMPLEX], running(lambda module, inputs: (inputs[0].clone().conj().imag,)), "is_neg"),
    "in inference mode": (under(torch.inference_mode), [X], doubling_where(torch.is_inference_mode_enabled), "values"),
    "without gradients": (under(torch.no_grad), [X], doubling_where(lambda: not torch.is_grad_enabled()), "values"),
}  # fmt: skip
# Those whose scripts have parts of their own; what hangs on the order of calls has none that fails each time.
SCRIPTS = (
    "a gradient that is written to",
    "backward draws",
    "backward changes a mode",
    "one buffer for gradients",
    "a second derivative",
    "an input transposed",
    "the input for a copy",
    "under autocast",
    "integers of 32 bits",
    "a conjugate that is lazy",
    "a negative that is lazy",
    "a result of inference",
)


def in_inference(module, inputs):
    with torch.inference_mode():
        return tuple(part.clone() for part in module(*inputs))


def found(name, candidate, folder, shrink=0.0):
    program, inputs, _, _ = FAULTS[name]
    copies = [one.detach().clone().requires_grad_(one.requires_grad) for one in inputs]
    return first_finding(program, copies, folder, candidate=candidate, shrink=shrink)


@pytest.mark.parametrize("name", FAULTS)
def test_found(name, tmp_path):
    finding = found(name, FAULTS[name][2], tmp_path)
    assert finding is not None, "not found"
    assert finding.difference.kind in FAULTS[name][3].split(), finding


def test_scripts_fail_by_their_own_assertion(tmp_path):
    findings = [found(name, FAULTS[name][2], tmp_path / str(place), 1.0) for place, name in enumerate(SCRIPTS)]
    assert not [finding.why for finding in findings if finding.path is None]
    assert_fails(*(finding.path for finding in findings))


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_said_of_the_graph_itself(name, tmp_path):
    assert found(name, replaying, tmp_path) is None


def test_a_graph_that_enters_inference_leaves_no_mode_behind(tmp_path):
    """Trials of other sizes end in an error inside of it, below torch's fake tensors."""
    found("in inference mode", replaying, tmp_path)
    assert not torch.is_inference_mode_enabled()
    assert not torch._C._dispatch_tls_is_dispatch_key_included("Python")
