"""Views of parameters that are made without gradients: leaves that require gradients, which no compiler returns."""

import pytest
import torch

from tests.check import BACKENDS
from tracer import capture, counters, reset


def view(w):
    return w.t()


def several(w):
    return w.t(), w[:1], w.t()[:1] + 1, w, *w.chunk(2)


@torch.no_grad()
def made_without(w):
    return w.t()


def used_with_gradients(w):
    with torch.no_grad():
        leaf = w.t()
    return leaf * 2 + w


def returned_too(w):
    with torch.no_grad():
        leaf = w.t()
    return leaf.sin(), leaf


def view_of_the_leaf(w):
    with torch.no_grad():
        leaf = w.t()
    return leaf[:1], w * 2


def closed(w):
    with torch.no_grad():
        norm = torch.mv(w.t(), w[0]).norm()
    return (w / norm).sum()


def written(w):
    with torch.no_grad():
        w.t()[0].mul_(2)
    return w * 2


def asked(w):
    with torch.no_grad():
        leaf = w.t()
    return leaf.requires_grad, leaf.is_leaf, leaf.sum()


def layers(w):
    """Calls that repeat an earlier one, the last of which gives its leaf away."""
    return [made_without(w.sin()) if place < 4 else made_without(w) for place in range(5)]


PROGRAMS = [
    *(view, several, made_without, used_with_gradients, returned_too, view_of_the_leaf, closed, written, asked, layers),
]


def described(result):
    """What autograd knows of a result."""
    if isinstance(result, tuple | list):
        return [described(part) for part in result]
    if not isinstance(result, torch.Tensor):
        return result
    facts = result.requires_grad, result.is_leaf, result.grad_fn is None, result._is_view(), result.stride()
    return *facts, result.tolist()


def observed(function, gradients):
    """What two calls give, and the gradients that go backward from the second."""
    torch.manual_seed(0)
    w = torch.nn.Parameter(torch.rand(4, 4))
    for _ in range(2):
        with gradients():
            result = function(w)
    description = described(result)
    tensors = [part for part in (result if isinstance(result, tuple | list) else [result]) if torch.is_tensor(part)]
    tensors = [tensor for tensor in tensors if tensor.requires_grad]
    if tensors:
        torch.stack([tensor.sum() for tensor in tensors]).sum().backward()
    return description, w.grad, [tensor.grad for tensor in tensors if tensor.is_leaf]


@pytest.mark.parametrize("gradients", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_views_of_a_parameter(program, backend, gradients):
    reset()
    captured = capture(program, backend=BACKENDS[backend], fullgraph=True, strict=True)
    torch.testing.assert_close(observed(captured, gradients), observed(program, gradients))
    assert counters().captures == 1


def test_spectral_norm_trains_in_one_graph():
    def model():
        torch.manual_seed(0)
        return torch.nn.utils.spectral_norm(torch.nn.Linear(4, 3)).train()

    plain, other = model(), model()
    captured = capture(other, backend="aot_eager", fullgraph=True)
    for _ in range(3):
        x = torch.rand(2, 4)
        torch.testing.assert_close(captured(x), plain(x))
        captured(x).sum().backward()
        plain(x).sum().backward()
    torch.testing.assert_close(other.state_dict(), plain.state_dict())
    torch.testing.assert_close(other.weight_orig.grad, plain.weight_orig.grad)
