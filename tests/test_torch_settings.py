"""Modes and settings of torch: inference mode, process-wide switches, and transforms that run captured code."""

import numpy as np
import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, counters, graph_break


def test_inference_mode_is_part_of_the_graph():
    def program(x):
        with torch.inference_mode():
            y = x * 2
            with torch.inference_mode(False):
                z = torch.ones(2)
        return y.is_inference(), z.is_inference(), torch.is_inference_mode_enabled(), torch.is_grad_enabled(), x * 3

    one_graph(program, torch.ones(2, requires_grad=True))


def test_inference_mode_as_a_decorator_and_left_by_an_exception():
    @torch.inference_mode()
    def callee(x):
        return x * 2

    def program(x):
        y = callee(x)
        try:
            with torch.inference_mode():
                raise ValueError
        except ValueError:
            return y.is_inference(), x * 3

    one_graph(program, torch.ones(2, requires_grad=True))


def test_break_inside_inference_mode():
    def program(x):
        with torch.inference_mode():
            y = x * 2
            graph_break()
            y = y + 1
        return y.is_inference(), x * 3, torch.is_grad_enabled()

    check(program, torch.ones(2, requires_grad=True))


def test_graph_that_fails_in_inference_mode_leaves_it():
    def program(x, index):
        with torch.inference_mode():
            return torch.ones(2)[index] + x

    captured = capture(program)
    captured(torch.ones(2), torch.tensor([0, 1]))
    with pytest.raises(IndexError):
        captured(torch.ones(2), torch.tensor([0, 9]))
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


def test_setting_of_the_process_is_guarded():
    def program(x):
        return x + 1 if torch.backends.cuda.matmul.allow_tf32 else x - 1

    captured = capture(program, fullgraph=True, strict=True)
    before = torch.backends.cuda.matmul.allow_tf32
    try:
        for setting in (False, True, False):
            torch.backends.cuda.matmul.allow_tf32 = setting
            assert torch.equal(captured(torch.zeros(2)), program(torch.zeros(2)))
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    assert counters().breaks == {}


def test_captured_function_under_a_functorch_transform():
    captured = capture(lambda x: (x * x).sum())
    x = torch.arange(3.0)
    assert torch.equal(torch.func.grad(captured)(x), 2 * x)
    assert torch.equal(captured(x), (x * x).sum())
    assert torch.equal(torch.vmap(captured)(x[None]), (x * x).sum()[None])


def test_disabled_by_torch_is_not_captured():
    @torch.compiler.disable
    def callee(x):
        return x + 1

    graphs = []

    def backend(module, inputs):
        graphs.append(module)
        return module.forward

    captured = capture(lambda x: callee(x * 2) * 3, backend=backend)
    assert torch.equal(captured(torch.ones(2)), torch.full((2,), 9.0))
    assert len(graphs) == 2


def test_cond_with_a_known_predicate():
    def program(x):
        return torch.cond(x.shape[0] > 2, torch.sin, torch.cos, (x,))

    one_graph(program, torch.ones(3))


def test_new_of_a_tensor():
    def program(x):
        tensors = x.new(x.shape), x.new([1, 2]), x.new(2, 3)
        return [(tensor.shape, tensor.dtype) for tensor in tensors]

    check(program, torch.ones(2, 2, dtype=torch.float64), breaks=[])


def made_on(x, device):
    with device:
        y, z = torch.ones(2), torch.arange(3)
    return y, z, torch.zeros(1) + x


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
def test_device_as_a_context_says_where_tensors_are_made(backend):
    captured = capture(made_on, backend=backend)
    for name in ("meta", "cpu", "meta"):
        devices = [tensor.device.type for tensor in captured(torch.ones(1), torch.device(name))]
        assert devices == [name, name, "cpu"]
    assert torch.ones(1).device.type == "cpu"


def test_device_named_inside_as_a_context():
    def program(x):
        with torch.device("meta"):
            y = torch.tensor([1.0])
        return y.device, x + 1, torch.ones(2)

    check(program, torch.ones(2), graphs=1, breaks=[])


@pytest.mark.parametrize("mode", [torch.set_grad_enabled, torch.inference_mode])
def test_a_mode_that_is_no_bool_is_refused_as_plainly(mode):
    def program(x, enabled):
        try:
            with mode(enabled):
                return (x * 2).requires_grad
        except TypeError as error:
            return str(error)

    captured, x = capture(program), torch.ones(2, requires_grad=True)
    for enabled in (True, np.bool_(True), 1, None, False, "yes"):
        assert captured(x, enabled) == program(x, enabled)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
