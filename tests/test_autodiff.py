"""passes/autodiff.py: forward, linear and transposed graphs agree with autograd, and say what they cost."""

import pytest
import torch
from torch import nn

from passes.autodiff import NotDifferentiable, linearize, partition, transpose
from passes.network.flops import compare, cost
from tracer import capture


def captured_graph(program, *args, **kwargs):
    """The graph of a call, and the inputs that it got."""
    given = []

    def backend(module, examples):
        return lambda *inputs: (given.append(inputs), module(*inputs))[1]

    captured = capture(program, backend=backend, fullgraph=True)
    captured(*args, **kwargs)
    return captured.entries[0].graph_module, given[0]


def mlp():
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 2)), (torch.randn(3, 4),)


def convolution():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)), (torch.randn(2, 2, 8, 8),)


def attention():
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), (torch.randn(2, 3, 8),)


def recurrent():
    return nn.LSTM(3, 4), (torch.randn(2, 1, 3),)


def mutating():
    def program(x):
        y = x * 2
        y.mul_(3).add_(x)
        y[0] = x[1] * x[2]
        return y.cumsum(0)

    return program, (torch.randn(3, 3, requires_grad=True),)


@pytest.mark.parametrize("make", [mlp, convolution, attention, recurrent, mutating], ids=lambda make: make.__name__)
def test_equal_to_autograd(make):
    program, args = make()
    module, inputs = captured_graph(program, *args)
    found = linearize(module)
    names = [node.name for node in module.graph.find_nodes(op="placeholder")]
    chosen = [inputs[names.index(name)] for name in found.inputs]
    outputs = module(*inputs)
    cotangents = [torch.randn_like(outputs[index]) for index in found.outputs]
    expected = torch.autograd.grad([outputs[index] for index in found.outputs], chosen, cotangents)
    with torch.no_grad():
        forward = found.forward(*inputs)
        residuals = forward[found.output_count :]
        torch.testing.assert_close(forward[: found.output_count], tuple(outputs), rtol=1e-4, atol=1e-5)
        gradients = transpose(found.linear)(*residuals, *cotangents)
        torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-5)
        tangents = [torch.randn_like(value) for value in chosen]
        moved = found.linear(*residuals, *tangents)
        torch.testing.assert_close(found.linear(*residuals, *(2 * t for t in tangents)), tuple(2 * m for m in moved))
        left = sum((a * b).sum() for a, b in zip(moved, cotangents))
        right = sum((a * b).sum() for a, b in zip(tangents, gradients))
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


def test_aot_autograd_gives_the_same_gradients():
    program, args = mlp()
    module, inputs = captured_graph(program, *args)
    forward, backward = partition(module)
    with torch.no_grad():
        result, *saved = forward(*inputs)
        cotangent = torch.randn_like(result)
        theirs = [gradient for gradient in backward(*saved, cotangent) if gradient is not None]
        ours = linearize(module).vjp(inputs, [cotangent])
    torch.testing.assert_close(tuple(theirs), ours)


def test_outputs_that_are_views_are_copied_for_aot_autograd():
    def program(x, w):
        hidden = (x @ w).exp()
        return hidden.view(-1), w.t(), x

    module, inputs = captured_graph(program, torch.randn(3, 4), torch.randn(4, 2, requires_grad=True))
    forward, _ = partition(module)
    with torch.no_grad():
        torch.testing.assert_close(tuple(forward(*inputs)[:3]), tuple(program(*inputs)))


def test_the_graphs_can_be_read():
    program, args = mlp()
    found = linearize(captured_graph(program, *args)[0])
    targets = {str(node.target) for node in found.linear.graph.nodes if node.op == "call_function"}
    assert "aten.gelu_backward.default" in targets and "aten.gelu.default" not in targets
    assert found.inputs == (
        "self_0_weight",
        "self_0_bias",
        "self_2_weight",
        "self_2_bias",
        "self_3_weight",
        "self_3_bias",
    )
    back = transpose(found.linear)
    assert [node.name for node in back.graph.find_nodes(op="placeholder")][-1].startswith("gradient_")


def test_derivatives_have_the_line_of_the_user():
    def program(x):
        return torch.tanh(x).sum()

    found = linearize(captured_graph(program, torch.randn(3, requires_grad=True))[0])
    lines = {node.name: node.meta.get("stack_trace") or "" for node in found.linear.graph.nodes}
    assert any("return torch.tanh(x).sum()" in line for line in lines.values())


def test_chosen_inputs():
    module, (x, y) = captured_graph(lambda x, y: (x * y).sum(), torch.randn(3), torch.randn(3))
    found = linearize(module, wrt=["y"])
    assert found.inputs == ("y",) and torch.equal(found.vjp((x, y), [torch.ones(())])[0], x)
    assert torch.equal(found.jvp((x, y), [torch.ones(3)])[0], x.sum())


def test_outputs_that_do_not_move():
    module, inputs = captured_graph(lambda x, y: (x * 2, y + 1, (x > 0).sum()), torch.randn(3), torch.randn(3))
    found = linearize(module, wrt=["x"])
    assert found.outputs == (0, 1)
    moved = found.jvp(inputs, [torch.ones(3)])
    assert moved[0].tolist() == [2, 2, 2] and moved[1].tolist() == [0, 0, 0]


def test_costs():
    module, _ = captured_graph(lambda x, w: torch.mm(x, w), torch.randn(4, 5, requires_grad=True), torch.randn(5, 6))
    found = linearize(module, wrt=["x", "w"])
    assert cost(found.forward).flops == 2 * 4 * 5 * 6
    assert cost(found.forward).bytes == 4 * (4 * 5 + 5 * 6 + 4 * 6)
    compared = compare(found.forward, transpose(found.linear))
    assert compared.flops_ratio == 2.0 and "backward / forward: 2.00 flops" in str(compared)


def test_what_cannot_be_differentiated():
    module, _ = captured_graph(lambda x: x + 1, torch.ones(2, dtype=torch.int64))
    with pytest.raises(NotDifferentiable, match="no input of the graph is a floating tensor"):
        linearize(module)
    with pytest.raises(NotDifferentiable, match="requires grad"):
        partition(module)
    module, _ = captured_graph(lambda x: (x > 0).sum(), torch.ones(2))
    with pytest.raises(NotDifferentiable, match="no output"):
        linearize(module)
    with pytest.raises(ValueError, match="no inputs of the graph: z; it has x"):
        linearize(module, wrt=["z"])
    with pytest.raises(ValueError, match="linear in none of its inputs"):
        transpose(module)


def test_an_operator_whose_forward_derivative_has_none_is_named():
    module, inputs = captured_graph(lambda x: nn.functional.glu(x), torch.randn(4, 6, requires_grad=True))
    found = linearize(module)
    tangent = torch.randn(4, 6)
    _, expected = torch.func.jvp(nn.functional.glu, (inputs[0].detach(),), (tangent,))
    with torch.no_grad():
        torch.testing.assert_close(found.jvp(inputs, [tangent])[0], expected)
    with pytest.raises(NotDifferentiable, match="glu_jvp"):
        transpose(found.linear)
