"""What public model code writes by hand, and which of torch's operators the shipped rules make of it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tracer
from passes.rewrite.rules import FINITE, FROZEN, STANDARD
from passes.rewrite.rules.activations import ACTIVATIONS, HARDSIGMOID, HARDSWISH
from passes.rewrite.rules.grouped import GROUPED_ATTENTION
from tests.rewriting import gradients, rewritten, tensors
from tracer.rewriting import rewriting


def rotate_half(x):
    first, second = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-second, first), dim=-1)


def rotary(q, k, cos, sin):
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return (q * cos) + (rotate_half(q) * sin), (k * cos) + (rotate_half(k) * sin)


def rotary_interleaved(x, cos, sin):
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)


def repeat_kv(x, count):
    batch, heads, length, width = x.shape
    return x[:, :, None, :, :].expand(batch, heads, count, length, width).reshape(batch, heads * count, length, width)


def attention_of_groups(q, k, v):
    return F.scaled_dot_product_attention(q, repeat_kv(k, 3), repeat_kv(v, 3), is_causal=True)


def attention_of_groups_masked(q, k, v, mask):
    return F.scaled_dot_product_attention(q, repeat_kv(k, 3), repeat_kv(v, 3), attn_mask=mask, scale=0.3)


def attention_of_groups_by_hand(q, k, v):
    weights = torch.matmul(q, repeat_kv(k, 3).transpose(2, 3)) * 0.3
    return torch.matmul(F.softmax(weights, dim=-1, dtype=torch.float32).to(q.dtype), repeat_kv(v, 3))


def attention_interleaved(q, k, v):
    k, v = k.repeat_interleave(3, dim=1), torch.repeat_interleave(v, 3, 1)
    return F.scaled_dot_product_attention(q, k, v)


def instance_norm(x):
    return (x - x.mean(dim=(2, 3), keepdim=True)) / torch.sqrt(x.var((-2, -1), keepdim=True, unbiased=False) + 1e-5)


IMAGE, ROWS = torch.randn(2, 3, 4, 5), torch.randn(7, 8)
X = torch.randn(2, 3, 8)
QUERY, KEY, VALUE = torch.randn(2, 6, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
HEADS = (torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 5, 8), torch.randn(2, 5, 8))
LAYER = torch.randn(5, 8), torch.randn(5)
PRACTICE = {
    "rotary embedding": (rotary, HEADS, {"product and sum": 2}),
    "interleaved rotary embedding": (
        rotary_interleaved,
        (X, torch.randn(3, 4), torch.randn(3, 4)),
        {"product and sum": 1, "product and difference": 1},
    ),
    "modulation": (lambda x, s, b: x * (1 + s) + b, (X, torch.randn(8), torch.randn(8)), {"product and sum": 1}),
    "layer scale": (lambda x, y, gamma: x + gamma * y, (X, X.flip(0), torch.randn(8)), {"product and sum": 1}),
    "half a residual": (lambda x: x + 0.5 * x.sin(), (X,), {"multiple and sum": 1}),
    "guidance": (lambda c, u: u + 7.5 * (c - u), (X, X.flip(0)), {"multiple and sum": 1}),
    "linear": (lambda x, w, b: x @ w.t() + b, (X, *LAYER), {"linear": 1}),
    "linear of rows": (lambda x, w, b: torch.mm(x, w.T) + b, (ROWS, *LAYER), {"linear": 1}),
    "linear by einsum": (lambda x, w, b: torch.einsum("bti,oi->bto", x, w) + b, (X, *LAYER), {"linear": 1}),
    "squared distances": (
        lambda a, b: ((a.unsqueeze(1) - b.unsqueeze(0)) ** 2).sum(-1),
        (ROWS, ROWS[:4] + 1),
        {"squared distances": 1},
    ),
    "distances": (
        lambda a, b: torch.sqrt(torch.sum((a[:, None] - b[None]) ** 2, dim=2)),
        (ROWS, ROWS[:4] + 1),
        {"distances": 1},
    ),
    "absolute distances": (
        lambda a, b: torch.abs(a[:, None, :] - b[None, :, :]).sum(dim=-1),
        (ROWS, ROWS[:4] + 1),
        {"absolute distances": 1},
    ),
    "repeated heads": (attention_of_groups, (QUERY, KEY, VALUE), {"grouped attention": 1}),
    "repeated heads and a mask": (
        attention_of_groups_masked,
        (QUERY, KEY, VALUE, torch.randn(5, 5)),
        {"grouped attention": 1},
    ),
    "repeated heads by hand": (
        attention_of_groups_by_hand,
        (QUERY, KEY, VALUE),
        {"attention, softmax in float": 1, "grouped attention": 1},
    ),
    "interleaved heads": (attention_interleaved, (QUERY, KEY, VALUE), {"grouped attention": 1}),
    "instance norm": (instance_norm, (IMAGE,), {"instance norm": 1}),
    "leaky ReLU": (lambda x: torch.where(x > 0, x, 0.2 * x), (X,), {"leaky ReLU": 1}),
    "leaky ReLU by a maximum": (lambda x: torch.max(x, x * 0.01), (X,), {"leaky ReLU by a maximum": 1}),
    "ELU": (lambda x: torch.where(x > 0, x, 1.5 * torch.expm1(x)), (X,), {"ELU": 1}),
    "softplus": (lambda x: x.clamp(min=0) + torch.log1p(torch.exp(-x.abs())), (X,), {"softplus": 1}),
    "hard sigmoid": (lambda x: F.relu6(x + 3.0) / 6.0, (X,), {"hard sigmoid": 1}),
    "hard sigmoid by a clamp": (lambda x: (x + 3).clamp(0, 6) / 6, (X,), {"hard sigmoid by a clamp": 1}),
    "softmax of channels": (
        lambda x: (e := torch.exp(x - x.max(1, keepdim=True)[0])) / e.sum(dim=1, keepdim=True),
        (IMAGE,),
        {"softmax": 1},
    ),
    "softmax of named values": (
        lambda x: (e := torch.exp(x - torch.max(x, dim=-1, keepdim=True).values)) / torch.sum(e, -1, keepdim=True),
        (X,),
        {"softmax": 1},
    ),
    "log softmax": (lambda x: x - x.logsumexp(dim=-1, keepdim=True), (X,), {"log softmax": 1}),
}


@pytest.mark.parametrize("name", PRACTICE)
def test_code_of_public_models_becomes_fewer_calls(name):
    program, args, expected = PRACTICE[name]
    report = rewritten((*STANDARD, *FINITE), program, *args)
    assert {rule: count for rule, count in report.counts.items() if rule in expected} == expected
    assert report.calls[1] < report.calls[0]


@pytest.mark.parametrize("name", PRACTICE)
def test_code_of_public_models_trains_alike(name):
    program, args, _ = PRACTICE[name]
    captured = tracer.capture(program, passes=STANDARD)
    for one, other in zip(gradients(captured, *args), gradients(program, *args), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


LEFT_ALONE = {
    "a weight that broadcasts": (lambda x, w, b: x @ w.t() + b, (ROWS, LAYER[0], torch.randn(7, 1)), "linear"),
    "bytes and floats": (lambda x, y: x + y * y, (ROWS, torch.ones(8, dtype=torch.float64)), "product and sum"),
    "integers": (lambda x: x + x * x, (torch.arange(3),), "product and sum"),
    "a slope above one": (lambda x: torch.maximum(x, x * 2.0), (X,), "leaky ReLU by a maximum"),
    "heads repeated otherwise": (
        lambda q, k, v: F.scaled_dot_product_attention(
            q,
            k[:, None].expand(2, 3, 2, 5, 8).reshape(2, 6, 5, 8),
            v[:, None].expand(2, 3, 2, 5, 8).reshape(2, 6, 5, 8),
        ),
        (QUERY, KEY, VALUE),
        "grouped attention",
    ),
    "heads that are no groups": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k.repeat_interleave(3, 1), v.repeat_interleave(3, 1)),
        (QUERY[:, :1], KEY, VALUE),
        "grouped attention",
    ),
    "a variance with a correction": (
        lambda x: (x - x.mean((2, 3), keepdim=True)) / torch.sqrt(x.var((2, 3), keepdim=True) + 1e-5),
        (IMAGE,),
        "instance norm",
    ),
    "softmax over two dimensions": (
        lambda x: (e := torch.exp(x - x.amax(1, keepdim=True))) / e.sum(dim=2, keepdim=True),
        (IMAGE,),
        "softmax",
    ),
    "a slope at its kink": (lambda x: torch.where(x >= 0, x, 0.2 * x), (X,), "leaky ReLU"),
    "distances in a batch": (
        lambda a, b: ((a.unsqueeze(1) - b.unsqueeze(0)) ** 2).sum(-1),
        (X, X[:1]),
        "squared distances",
    ),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_only_looks_alike_stays(name):
    program, args, rule = LEFT_ALONE[name]
    assert rewritten((*STANDARD, *FINITE), program, *args).counts[rule] == 0


@pytest.mark.parametrize("program", [lambda x: x * (x + 3).clamp(0, 6) / 6, lambda x: (x + 3).clamp(0, 6) / 6])
@pytest.mark.parametrize("passes", [STANDARD, ACTIVATIONS], ids=["standard", "activations"])
def test_slopes_where_pieces_meet_are_those_of_the_program(program, passes):
    x = torch.tensor([-3.0, 3.0, 0.0, -4.0, 4.0])
    captured = tracer.capture(program, passes=passes)
    for one, other in zip(gradients(captured, x), gradients(program, x), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("rule", [HARDSWISH, HARDSIGMOID], ids=lambda rule: rule.name)
def test_relu6_has_the_slopes_of_the_operators(rule):
    x = torch.tensor([-3.0, 3.0, 0.0])
    for one, other in zip(gradients(rule.patterns[0], x), gradients(rule.replacement, x), strict=True):
        torch.testing.assert_close(one, other)


class GatedLinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.up = nn.Linear(8, 16, bias=False), nn.Linear(8, 16, bias=False)
        self.down = nn.Linear(16, 8, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


def test_gate_and_up_of_a_gated_layer_are_one_linear():
    model = GatedLinear()
    backend = rewriting("eager", FROZEN)
    with torch.no_grad():
        torch.testing.assert_close(tracer.capture(model, backend=backend)(X), model(X))
    (report,) = backend.reports
    assert report.counts["linears of one input"] == 1 and report.after.count("linear(") == 2


def test_heads_are_grouped_under_each_size_of_a_batch():
    captured = tracer.capture(attention_of_groups, backend=rewriting("eager", [GROUPED_ATTENTION]))
    for size in (2, 3, 4):
        args = [part.repeat(2, 1, 1, 1)[:size] for part in (QUERY, KEY, VALUE)]
        for one, other in zip(tensors(captured(*args)), tensors(attention_of_groups(*args)), strict=True):
            torch.testing.assert_close(one, other)


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8))

    def forward(self, x):
        first, second = self.weight.chunk(2)
        return x @ first.t() + torch.exp(second - second.max(-1, keepdim=True)[0]).sum()


def test_parts_of_parameters_are_prepared_as_whole_ones_are():
    model = Halves()
    captured = tracer.capture(model, passes=FROZEN)
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(captured(X), model(X))
            model.weight.mul_(2)
