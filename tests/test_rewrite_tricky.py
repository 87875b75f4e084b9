"""Programs that invite a rewrite which would be wrong: results, gradients, strides, memory that is shared, writes,
errors and random numbers are those of the plain program, at two calls, with each set of passes.
"""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from passes.rewrite.rules import FROZEN, STANDARD
from tracer import capture

X = torch.linspace(-3, 4, 32).reshape(4, 8)
SPECIAL = torch.tensor([0.0, -0.0, math.nan, math.inf, -math.inf, 3.0, -3.0, 1e30, -200.0, 6.0, 1e-40, -1.0])
SQUARE = torch.linspace(-1, 1, 64).reshape(8, 8).sin()
HEADS = torch.linspace(-2, 2, 2 * 3 * 5 * 8).reshape(2, 3, 5, 8).cos()
NUMBERS = torch.arange(-4, 4)
HIDDEN_ROW = torch.zeros(5, 5).index_fill(0, torch.tensor([1]), -math.inf)


def leaves(result):
    if isinstance(result, torch.Tensor):
        return [result]
    parts = result.values() if isinstance(result, dict) else result if isinstance(result, tuple | list) else ()
    return [leaf for part in parts for leaf in leaves(part)]


def facts(tensor):
    return tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.dtype, tensor.requires_grad, tensor.is_leaf


def sharing(tensors):
    """Which of the tensors are in one storage, and which are one object."""
    storages = [tensor.untyped_storage()._cdata for tensor in tensors]
    return [storages.index(each) for each in storages], [[one is other for one in tensors] for other in tensors]


def observed(program, args):
    """What a call on copies gives: results and arguments afterwards, gradients, or the error, and the next number."""
    torch.manual_seed(7)
    copies = [arg.detach().clone().requires_grad_(arg.requires_grad) for arg in args]
    inputs = [arg + 0 if arg.requires_grad else arg for arg in copies]  # which may be written to
    slopes, wanted = [], [arg for arg in copies if arg.requires_grad]
    try:
        results = leaves(program(*inputs))
        outputs = [one for one in results if one.requires_grad]
        weighted = [(one * torch.linspace(0.5, 1.5, one.numel()).view(one.shape)).sum() for one in outputs]
        if weighted and wanted:
            slopes = torch.autograd.grad(weighted, wanted, allow_unused=True)
    except Exception as error:  # which is compared
        return [], type(error), None, [], torch.rand(1)
    tensors = results + leaves(inputs)
    return tensors, None, sharing(tensors), list(slopes), torch.rand(1)


def assert_alike(program, args, passes, tolerance=1e-5, **options):
    captured = capture(program, passes=passes, **options)
    for _ in range(2):
        expected, found = observed(program, args), observed(captured, args)
        assert expected[1] == found[1]
        for one, other in zip(expected[0], found[0], strict=True):
            assert facts(one) == facts(other)
            torch.testing.assert_close(other, one, rtol=tolerance, atol=tolerance, equal_nan=True)
            zeros = (one == 0) & (other == 0)
            assert torch.equal(torch.signbit(one[zeros]), torch.signbit(other[zeros])) if not one.is_complex() else True
        assert expected[2] == found[2]
        for one, other in zip(expected[3], found[3], strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(other, one, rtol=tolerance, atol=tolerance, equal_nan=True)
        assert torch.equal(expected[4], found[4])


def writes_through_a_way_back(x):
    way_back = x.t().t()
    doubled = x * 2
    way_back.add_(1)
    return doubled, way_back


def two_equal_one_written(x):
    first, second = x.exp(), x.exp()
    first.add_(1)
    return first, second


def two_equal_one_written_by_a_view(x):
    first, second = x.exp(), x.exp()
    first.view(-1)[0] = 5
    return second * 2


def equal_across_a_write(x):
    first = x.exp()
    x.add_(1)
    return first + x.exp()


def equal_across_a_write_to_a_view(x):
    first = x.exp().sum()
    x[1].mul_(3)
    return first + x.exp().sum()


def a_copy_before_a_write(x):
    copy = x * 1
    x.add_(1)
    return copy


def a_cast_before_a_write(x):
    copy = x.double().float()
    x.add_(1)
    return copy


def a_constant_that_is_written_to(x):
    mask = torch.ones(4, 8)
    mask[0] = 2
    return x * mask


def a_constant_that_is_grown(x):
    total = torch.zeros(8)
    for row in x:
        total += row
    return total


def draws_that_nobody_uses(x):
    torch.rand(3)
    return x + torch.rand(8)


def draws_twice(x):
    return functional.dropout(x, 0.5), functional.dropout(x, 0.5)


def dead_code_that_raises(x):
    x[10]
    return x + 1


def dead_code_that_raises_by_its_values(x):
    torch.linalg.inv(x[:4, :4] * 0)
    return x + 1


def dead_indices_out_of_range(x):
    x[torch.tensor([9])]
    return x + 1


def equal_in_two_modes(x):
    with torch.no_grad():
        first = x.exp()
    return first, x.exp()


def equal_once_detached(x):
    return x.exp().detach() * 2, x.exp() * 2


def equal_under_autocast(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = x @ x.t()
    return low, x @ x.t()


def a_weight_written_between(x, first, second):
    left = functional.linear(x, first)
    second.add_(1)
    return left, functional.linear(x, second)


def an_input_written_between(x, first, second):
    left = functional.linear(x, first)
    x.add_(1)
    return left + functional.linear(x, second)


def results_written_to(x, first, second):
    left, right = functional.linear(x, first), functional.linear(x, second)
    left.add_(1)
    return left, right


def attention(q, k, v, mask):
    weights = (q @ k.transpose(-1, -2)) / math.sqrt(8)
    return weights.masked_fill(mask, -math.inf).softmax(-1) @ v


def attention_with_added_mask(q, k, v, mask):
    return ((q @ k.transpose(-1, -2)) * 0.5 + mask).softmax(-1) @ v


def attention_with_dropout(q, k, v):
    return functional.dropout((q @ k.transpose(-1, -2) * 0.5).softmax(-1), 0.3) @ v


def weights_that_are_used(q, k, v):
    weights = (q @ k.transpose(-1, -2) * 0.5).softmax(-1)
    return weights @ v, weights


def softmax_by_hand(x):
    shifted = torch.exp(x - x.amax(-1, keepdim=True))
    return shifted / shifted.sum(-1, keepdim=True)


def layer_norm_by_hand(x, eps=1e-5):
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps)


def rms_norm_by_hand(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weight


def rotary(x, angles):
    half = torch.cat((-x[..., 4:], x[..., :4]), -1)
    return x * angles.cos() + half * angles.sin()


def same_constants_of_two_types(x):
    return torch.full((2,), True), torch.full((2,), 1), torch.full((2,), 1.0), x + True


PROGRAMS = {
    "a write through a way back": (writes_through_a_way_back, [X]),
    "a way back that is returned": (lambda x: x.view(-1).view(4, 8), [X]),
    "a slice of everything": (lambda x: x[:, 0:8], [X]),
    "two equal, one written": (two_equal_one_written, [X]),
    "two equal, one written by a view": (two_equal_one_written_by_a_view, [X]),
    "two equal that are returned": (lambda x: (x + 1, x + 1), [X]),
    "two equal, returned as views": (lambda x: ((x + 1).view(-1), (x + 1)[0]), [X]),
    "equal across a write": (equal_across_a_write, [X]),
    "equal across a write to a view": (equal_across_a_write_to_a_view, [X]),
    "a copy before a write": (a_copy_before_a_write, [X]),
    "a cast before a write": (a_cast_before_a_write, [X]),
    "a constant that is written to": (a_constant_that_is_written_to, [X]),
    "a constant that is grown": (a_constant_that_is_grown, [X]),
    "constants that are returned": (lambda x: (torch.zeros(3), torch.zeros(3), torch.ones(3)[1:], x + 1), [X]),
    "constants of two types": (same_constants_of_two_types, [X]),
    "draws that nobody uses": (draws_that_nobody_uses, [X]),
    "draws twice": (draws_twice, [X]),
    "dead code that raises": (dead_code_that_raises, [X]),
    "dead code that raises by its values": (dead_code_that_raises_by_its_values, [X]),
    "dead indices out of range": (dead_indices_out_of_range, [X]),
    "equal in two modes": (equal_in_two_modes, [X]),
    "equal once detached": (equal_once_detached, [X]),
    "equal under autocast": (equal_under_autocast, [X]),
    "zeros and special numbers, neutral": (
        lambda x: (x * 1, x + 0.0, x - 0.0, x / 1, x**1, x + -0.0, x * -1 * -1), [SPECIAL]),
    "integers, neutral": (lambda x: (x * 1, x + 0, x - 0, x / 1, x**1, x // 1, x * 1.0), [NUMBERS]),
    "a sigmoid by its exponential": (lambda x: 1 / (1 + torch.exp(-x)), [torch.linspace(-20, 20, 9)]),
    "SiLU of special numbers": (lambda x: x * torch.sigmoid(x), [SPECIAL]),
    "a leaky ReLU by a maximum": (lambda x: torch.maximum(x, 0.1 * x), [SPECIAL]),
    "a ReLU by a choice": (lambda x: torch.where(x > 0, x, 0.0), [SPECIAL]),
    "a hard swish": (lambda x: x * (x + 3).clamp(0, 6) / 6, [SPECIAL]),
    "GELU by tanh": (
        lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), [X]),
    "softmax by hand": (softmax_by_hand, [X]),
    "softmax by hand of an empty row": (softmax_by_hand, [torch.cat([X, torch.full((1, 8), -math.inf)])]),
    "softmax by hand of infinity": (softmax_by_hand, [torch.where(X > 3, math.inf, X)]),
    "layer norm by hand": (layer_norm_by_hand, [X]),
    "layer norm by hand of equal elements": (lambda x: layer_norm_by_hand(x, 1e-12), [torch.ones(4, 8)]),
    "layer norm by hand, eps 0": (lambda x: layer_norm_by_hand(x, 0.0), [torch.ones(4, 8)]),
    "layer norm by hand, transposed": (lambda x: layer_norm_by_hand(x.t()), [X]),
    "layer norm by hand of one element": (layer_norm_by_hand, [X[:, :1]]),
    "layer norm by hand of nothing": (layer_norm_by_hand, [X[:0]]),
    "RMS norm by hand": (rms_norm_by_hand, [X, torch.linspace(0, 1, 8)]),
    "RMS norm by hand, a weight for each row": (rms_norm_by_hand, [X, torch.linspace(0, 1, 4)[:, None]]),
    "RMS norm by hand of zeros": (rms_norm_by_hand, [X * 0, torch.linspace(0, 1, 8)]),
    "attention": (attention, [HEADS, HEADS + 1, HEADS * 2, torch.ones(5, 5).triu(1).bool()]),
    "attention, a row hidden": (attention, [HEADS, HEADS, HEADS, torch.eye(5).bool()[:, :1].expand(5, 5)]),
    "attention, a mask for each query": (attention_with_added_mask, [HEADS, HEADS, HEADS, HEADS[0, 0, :, :1]]),
    "attention, an infinite mask": (
        attention_with_added_mask, [HEADS, HEADS, HEADS, HIDDEN_ROW]),
    "attention with dropout": (attention_with_dropout, [HEADS, HEADS, HEADS]),
    "attention whose weights are used": (weights_that_are_used, [HEADS, HEADS, HEADS]),
    "attention of one tensor": (lambda x: (x @ x.mT * 0.5).softmax(-1) @ x, [HEADS]),
    "rotary": (rotary, [HEADS, torch.linspace(0, 3, 40).reshape(5, 8)]),
    "a weight written between": (a_weight_written_between, [X, SQUARE, SQUARE + 1]),
    "an input written between": (an_input_written_between, [X, SQUARE, SQUARE + 1]),
    "results written to": (results_written_to, [X, SQUARE, SQUARE + 1]),
    "distances": (lambda a, b: ((a[:, None] - b[None]) ** 2).sum(-1), [X, X]),
    "a chain of views of size one": (lambda x: x.unsqueeze(0).squeeze().unsqueeze(1).squeeze(1), [X[:1]]),
    "reshapes of a transpose": (lambda x: x.t().reshape(-1).reshape(8, 4).t(), [X]),
    "reshapes before a write": (lambda x: (x.t().reshape(-1).reshape(32).add_(1), x), [X]),
    "flattened and written": (lambda x: (x.flatten().view(8, 4).mul_(2), x), [X]),
    "expanded and merged": (lambda x: x[:, None].expand(4, 3, 8).reshape(12, 8) + 1, [X]),
    "permuted there and back": (lambda x: x.permute(1, 0).contiguous().permute(1, 0), [X]),
    "contiguous twice": (lambda x: (x.t().contiguous().contiguous(), x.contiguous()), [X]),
    "one linear twice": (lambda x, w: (functional.linear(x, w), functional.linear(x, w)), [X, SQUARE]),
}  # fmt: skip


@pytest.mark.parametrize("gradients", [False, True], ids=["plain", "gradients"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_nobody_can_tell(name, gradients):
    program, args = PROGRAMS[name]
    if gradients:
        args = [arg.clone().requires_grad_() if arg.is_floating_point() else arg for arg in args]
    for passes in (STANDARD, (*STANDARD, *FROZEN)):
        assert_alike(program, args, passes)


@pytest.mark.parametrize("name", ["attention", "softmax by hand", "layer norm by hand", "RMS norm by hand", "rotary"])
def test_in_bfloat16(name):
    program, args = PROGRAMS[name]
    args = [arg.bfloat16() if arg.is_floating_point() else arg for arg in args]
    assert_alike(program, args, STANDARD, tolerance=0.05)


class Frozen(nn.Module):
    """What is computed of parameters alone, and of two that may become one object."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 8))

    def forward(self, x):
        hidden = functional.silu(self.first(x)) * self.second(x)
        return self.norm(hidden) * self.scale.exp() + (self.first.weight * self.scale).sum()


def tied(model):
    model.second.weight = model.first.weight


def trained_for_a_step(model):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with torch.enable_grad():
        model.train()(X).sum().backward()
    optimizer.step()
    model.eval()


def loaded(model):
    torch.manual_seed(1)
    model.load_state_dict(Frozen().state_dict())


CHANGES = {
    "written": lambda model: model.first.weight.detach().mul_(2),
    "another parameter": lambda model: setattr(model.first, "weight", nn.Parameter(torch.ones(8, 8))),
    "another buffer": lambda model: setattr(model, "scale", torch.ones(8)),
    "a buffer written": lambda model: model.scale.add_(1),
    "a vector written through data": lambda model: model.scale.data.add_(1),
    "tied": tied,
    "trained": trained_for_a_step,
    "loaded": loaded,
    "another dtype and back": lambda model: model.double().float(),
    "a module replaced": lambda model: setattr(model, "second", nn.Linear(8, 8)),
    "statistics": lambda model: model.norm.running_var.fill_(3.0),
    "statistics reset": lambda model: model.norm.reset_running_stats(),
    "training": lambda model: model.train(),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_parameters_that_changed_are_seen(change):
    torch.manual_seed(0)
    model = Frozen().eval()
    captured = capture(model, passes=FROZEN)
    with torch.no_grad():
        for step in (lambda model: None, CHANGES[change], lambda model: None):
            step(model)
            torch.manual_seed(5)
            running = {name: value.clone() for name, value in model.state_dict().items()}
            expected = model(X)
            after = {name: value.clone() for name, value in model.state_dict().items()}
            model.load_state_dict(running)
            torch.testing.assert_close(captured(X), expected)
            for name, value in model.state_dict().items():
                torch.testing.assert_close(value, after[name])


def test_a_constant_that_the_caller_wrote_to_is_made_anew():
    captured = capture(lambda x: (torch.ones(3), torch.arange(4) * 2, x + torch.ones(8)), passes=STANDARD)
    for _ in range(3):
        ones, numbers, moved = captured(X)
        assert torch.equal(ones, torch.ones(3)) and torch.equal(numbers, torch.arange(4) * 2)
        assert torch.equal(moved, X + 1)
        for part in (ones, numbers, moved):
            part.zero_()
