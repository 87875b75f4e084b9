"""The rules that are shipped: what each does, where it must not, and on models that nobody here wrote."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tracer
from passes.rewrite.rule import RewriteRule
from passes.rewrite.rules import FINITE, FROZEN, FUSIONS, STANDARD
from passes.rewrite.rules.activations import ACTIVATIONS
from passes.rewrite.rules.attention import ATTENTION, FILLED_ATTENTION
from passes.rewrite.rules.cleanup import COMMON, DEAD_CODE, FOLDING
from passes.rewrite.rules.convolutions import CONVOLUTION_NORM
from passes.rewrite.rules.frozen import PREPARED
from passes.rewrite.rules.linears import MERGED_LINEARS
from passes.rewrite.rules.norms import HALF_RMS_NORM, LAYER_NORM, RMS_NORM
from passes.rewrite.rules.redundant import REDUNDANT
from tests import models
from tests.models_huggingface import GROUPED, SMALL, tokens
from tests.rewriting import gradients, rewritten, tensors
from tracer.rewriting import check_rule, rewriting

X = torch.randn(3, 4)


def fired(report, name):
    return sum(count for key, count in report.counts.items() if key.startswith(name))


@pytest.mark.parametrize(
    "rule",
    [*FUSIONS, *CONVOLUTION_NORM, *FINITE],
    ids=lambda rule: rule.name,
)
def test_rules_pass_their_checks(rule):
    assert check_rule(rule) >= 3 * len(rule.patterns)


# Clean-up ----------------------------------------------------------------------------------------


def test_dead_code_goes():
    report = rewritten([RMS_NORM, DEAD_CODE], lambda x: (x.sin().cos(), x + 1)[1], X)
    assert report.calls[1] == 1


def test_common_subexpressions():
    report = rewritten([COMMON], lambda x: torch.exp(x + 1) * torch.exp(x.add(1)), X)
    assert report.counts["common subexpressions"] == 2 and report.calls == (5, 3)


@pytest.mark.parametrize(
    "program",
    [
        lambda x: (1 / (x * 0.0), 1 / (x * -0.0)),
        lambda x: torch.atan2(x.mul(-0.0), -x) - torch.atan2(x.mul(0.0), -x),
        lambda x: (x.new_full((2,), 0.0).reciprocal(), x.new_full((2,), -0.0).reciprocal()),
        lambda x: 1 / (x * 0.0 - -0.0) + 1 / (-x * 0.0 - -0.0),
        lambda x: (x.clamp(min=0.0) * 1, x.clamp(min=-0.0) * True, x.to(torch.int64) * 1, x.to(torch.int64) * 1.0),
    ],
)
@pytest.mark.parametrize("passes", [STANDARD, FROZEN], ids=["standard", "frozen"])
def test_zeros_of_two_signs_are_two_constants(program, passes):
    x = torch.ones(2)
    results = tracer.capture(program, passes=passes)(x)
    for one, other in zip(tensors(program(x)), tensors(results), strict=True):
        assert torch.equal(one, other) and one.dtype == other.dtype


def second_after_write(x):
    y = x.clone()
    first = y + 1
    y.mul_(2)
    return first * (y + 1)


def both_returned(x):
    return x + 1, x + 1


def one_written(x):
    first, second = x + 1, x + 1
    first.zero_()
    return second * 2, first


def drawn_twice(x):
    return F.dropout(x, 0.5) + F.dropout(x, 0.5)


def ones_and_floats(x):
    i = torch.arange(3)
    return (i * 1).float(), i * 1.0


@pytest.mark.parametrize("program", [second_after_write, both_returned, one_written, ones_and_floats])
def test_what_only_looks_common_stays(program):
    assert rewritten([COMMON], program, X).counts["common subexpressions"] == 0


def test_random_numbers_are_drawn_as_often():
    captured = tracer.capture(drawn_twice, backend=rewriting("eager", STANDARD))
    torch.manual_seed(3)
    expected = drawn_twice(X)
    torch.manual_seed(3)
    torch.testing.assert_close(captured(X), expected)


def test_constants_are_folded():
    report = rewritten([FOLDING, DEAD_CODE], lambda x: x + torch.arange(4).float().cos() * torch.ones(4), X)
    assert report.calls[1] == 1 and report.counts["constant folding"] == 1


def test_a_constant_that_is_returned_or_written_to_is_made_anew():
    def program(x):
        total = torch.zeros(4)
        total += x.sum(0)
        return total, torch.ones(4)

    captured = tracer.capture(program, backend=rewriting("eager", STANDARD))
    for _ in range(2):
        total, ones = captured(X)
        torch.testing.assert_close(total, X.sum(0))
        assert ones.sum() == 4
        ones.zero_()


@pytest.mark.parametrize(
    "program, calls",
    [
        (lambda x: x.t().t().sin(), 1),
        (lambda x: x.view(2, 6).view(3, 4).sin(), 1),
        (lambda x: x.unsqueeze(0).permute(1, 2, 0).squeeze(-1).sin(), 1),
        (lambda x: x[:, :].expand(3, 4).sin(), 1),
        (lambda x: (x * 1.0 - 0).sin(), 1),
        (lambda x: x.double().float().sin(), 1),
        (lambda x: x.contiguous().view(12).reshape(2, 6).sin(), 2),
        (lambda x: x.half().float().sin(), 3),
        (lambda x: (x + 0).sin(), 2),
        (lambda x: x.t().contiguous().t().sin(), 4),
    ],
)
def test_redundant_steps_go(program, calls):
    assert rewritten([REDUNDANT, DEAD_CODE], program, X).calls[1] == calls


def test_a_copy_that_is_written_to_stays():
    def program(x):
        y = x * 1.0
        y.add_(1)
        return x + y

    assert rewritten([REDUNDANT], program, X).counts["redundant views and casts"] == 0


# Norms -------------------------------------------------------------------------------------------


def layer_norm_by_hand(x, w, b):
    mean = x.mean(-1, keepdim=True)
    return w * ((x - mean) / (x.var(dim=-1, keepdim=True, unbiased=False) + 1e-5).sqrt()) + b


def layer_norm_annotated(x, w, b):
    centred = x - torch.mean(x, dim=-1, keepdim=True)
    return b + w * (centred * torch.rsqrt(torch.mean(centred * centred, -1, True) + 1e-6))


@pytest.mark.parametrize("program", [layer_norm_by_hand, layer_norm_annotated])
def test_layer_norm_by_hand(program):
    args = torch.randn(2, 3, 8), torch.rand(8), torch.rand(8)
    report = rewritten([LAYER_NORM], program, *args)
    assert report.calls[1] == 1 and "layer_norm" in report.after
    captured = tracer.capture(program, backend=rewriting("eager", [LAYER_NORM]))
    for found, expected in zip(gradients(captured, *args), gradients(program, *args), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_other_norms_are_not_layer_norms():
    def biased_deviation(x, w, b):
        return w * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6) + b

    def over_rows(x, w, b):
        return (x - x.mean(0, keepdim=True)) / (x.var(0, keepdim=True, unbiased=False) + 1e-5).sqrt() * w + b

    for program in (biased_deviation, over_rows):
        assert rewritten([LAYER_NORM], program, torch.randn(3, 4), torch.rand(4), torch.rand(4)).idle == ["LayerNorm"]


def test_a_weight_that_is_broadcast_is_no_weight_of_a_norm():
    def program(x, w):
        return w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))

    assert fired(rewritten([RMS_NORM], program, X, torch.rand(4)), "RMSNorm") == 1
    report = rewritten([RMS_NORM], program, X, torch.rand(3, 1))
    assert any("the weight is f32[3, 1] for f32[3, 4]" in refusal.why for refusal in report.refusals)
    assert report.calls[1] == 2  # the norm alone, then the product


def test_rms_norm_in_bfloat16():
    def program(x, w):
        wide = x.to(torch.float32)
        return w * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)

    args = torch.randn(2, 3, 8).bfloat16(), torch.rand(8).bfloat16()
    assert rewritten([HALF_RMS_NORM], program, *args, tolerance=2e-2).calls[1] == 1


# Activations -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, program",
    [
        ("sigmoid", lambda x: 1.0 / (torch.exp(-x) + 1)),
        ("SiLU", lambda x: torch.sigmoid(x) * x),
        ("SiLU as a quotient", lambda x: x / (1 + (-x).exp())),
        ("SiLU", lambda x: x * (1 / (1 + torch.exp(-x)))),
        ("GELU by tanh", lambda x: 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))),
        ("hard swish", lambda x: x * F.relu6(x + 3) / 6),
        ("hard swish by a clamp", lambda x: x * (x + 3.0).clamp(min=0, max=6) / 6.0),
        ("softmax", lambda x: (e := (x - torch.amax(x, dim=-1, keepdim=True)).exp()) / e.sum(1, True)),
    ],
)
def test_activations_by_hand(name, program):
    report = rewritten(ACTIVATIONS, program, X)
    assert report.counts[name] == 1 and report.calls[1] == 1
    captured = tracer.capture(program, backend=rewriting("eager", ACTIVATIONS))
    for one, other in zip(gradients(captured, X), gradients(program, X), strict=True):
        torch.testing.assert_close(one, other)
    special = torch.tensor(
        [[torch.nan, 1.0], [torch.inf, 1.0], [-torch.inf, 1.0], [-torch.inf, -torch.inf], [0.0, -0.0]]
    )
    torch.testing.assert_close(captured(special), program(special), equal_nan=True)


@pytest.mark.parametrize(
    "program",
    [
        lambda x: x * torch.sigmoid(1.702 * x),
        lambda x: 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.044715 * x**3))),
        lambda x: (e := (x - x.amax(0, keepdim=True)).exp()) / e.sum(-1, keepdim=True),
        lambda x: x * (x + 3).clamp(0, 6) / 5,
        lambda x: 2 / (1 + torch.exp(-x)),
    ],
)
def test_other_activations_stay(program):
    assert not rewritten(ACTIVATIONS, program, X).firings


# Attention ---------------------------------------------------------------------------------------

Q, K, V = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8)
MASK, HIDDEN = torch.randn(5, 6), torch.ones(5, 6).triu(2).bool()


@pytest.mark.parametrize(
    "program, extra",
    [
        (lambda q, k, v: (q @ k.transpose(-2, -1) / 8**0.5).softmax(-1) @ v, ()),
        (lambda q, k, v: torch.matmul(F.softmax(q @ k.mT * 0.2, dim=-1), v), ()),
        (lambda q, k, v: ((q * 0.3) @ k.permute(0, 1, 3, 2)).softmax(3) @ v, ()),
        (lambda q, k, v, m: (q @ k.transpose(2, 3) * 0.3 + m).softmax(-1, dtype=torch.float32) @ v, (MASK,)),
        (lambda q, k, v, m: torch.softmax(m + torch.matmul(q, k.swapaxes(-1, -2)), -1) @ v, (MASK[None, None],)),
        (lambda q, k, v, h: (q @ k.mT * 0.3).masked_fill(h, -3e38).softmax(-1) @ v, (HIDDEN,)),
        (lambda q, k, v, h: torch.where(h, q @ k.mT, torch.finfo(q.dtype).min).softmax(-1) @ v, (~HIDDEN,)),
        (
            lambda q, k, v: torch.einsum(
                "b h i j, b h j d -> b h i d", torch.einsum("bhqd,bhkd->bhqk", q, k).softmax(-1), v
            ),
            (),
        ),
    ],
)
def test_attention_by_hand(program, extra):
    report = rewritten([*ATTENTION, *FILLED_ATTENTION], program, Q, K, V, *extra)
    assert fired(report, "attention") == 1 and "scaled_dot_product_attention" in report.after


def test_attention_of_three_dimensions():
    report = rewritten(ATTENTION, lambda q, k, v: torch.bmm(torch.bmm(q, k.mT).softmax(-1), v), Q[0], K[0], V[0])
    assert fired(report, "attention") == 1


@pytest.mark.parametrize(
    "program, extra, why",
    [
        (lambda q, k, v, h: (q @ k.mT).masked_fill(h, -100.0).softmax(-1) @ v, (HIDDEN,), "masked in part"),
        (lambda q, k, v, h: (q @ k.mT + MASK).masked_fill(h, -1e9).softmax(-1) @ v, (HIDDEN,), "masked whole"),
        (lambda q, k, v: ((w := (q @ k.mT).softmax(-1)) @ v, w), (), "softmax is used elsewhere"),
        (lambda q, k, v: (q @ k[:1].mT).softmax(-1) @ v, (), "broadcast"),
        (lambda q, k, v, m: (q @ k.mT + m).softmax(-1) @ v, (torch.randn(2, 1, 1, 5, 6),), "mask|broadcast|gives"),
    ],
)
def test_attention_that_may_not_be_fused(program, extra, why):
    report = rewritten([*ATTENTION, *FILLED_ATTENTION], program, Q, K, V, *extra)
    assert fired(report, "attention") == 0
    assert any(word in refusal.why for refusal in report.refusals for word in why.split("|"))


def test_weights_over_rows_are_no_attention():
    assert fired(rewritten(ATTENTION, lambda q, k, v: (q @ k.mT).softmax(-2) @ v, Q, K, V), "attention") == 0


# Parameters --------------------------------------------------------------------------------------


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        return self.norm(self.conv(x)).relu_()


def test_convolution_and_batch_norm():
    model, image = Stem().eval(), torch.randn(2, 3, 8, 8)
    for passes in (CONVOLUTION_NORM, FROZEN):
        backend = rewriting("eager", passes)
        with torch.no_grad():
            torch.testing.assert_close(
                tracer.capture(model, backend=backend)(image), model(image), rtol=1e-4, atol=1e-5
            )
        assert fired(backend.reports[0], "convolution") == 1
    assert "conv2d" in backend.reports[0].after and "batch_norm" not in backend.reports[0].after


def test_a_batch_norm_that_learns_is_not_folded():
    backend = rewriting("eager", CONVOLUTION_NORM)
    model = Stem().train()
    tracer.capture(model, backend=backend)(torch.randn(2, 3, 8, 8))
    assert fired(backend.reports[0], "convolution") == 0 and model.norm.num_batches_tracked == 1


class Projections(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x):
        return self.q(x).view(-1, 2, 4).transpose(0, 1).sum() + (self.k(x) * self.v(x)).sum()


def test_linears_of_one_input_are_merged_and_prepared_once():
    model, x = Projections(), torch.randn(5, 8)
    backend = rewriting("eager", FROZEN)
    captured = tracer.capture(model, backend=backend)
    with torch.no_grad():
        torch.testing.assert_close(captured(x), model(x))
        (report,) = backend.reports
        assert report.counts["linears of one input"] == 1 and report.counts["prepared parameters"] == 2
        assert report.after.count("linear(") == 1
        model.k.weight.mul_(2)
        torch.testing.assert_close(captured(x), model(x))
        model.q.bias.data = torch.rand(8)
        torch.testing.assert_close(captured(x), model(x))
        other = Projections()
        torch.testing.assert_close(tracer.capture(other, backend=backend)(x), other(x))


class Normed(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(3, 4, 3)
        self.norm = norm

    def forward(self, x):
        return self.norm(self.convolution(x))


@pytest.mark.parametrize(
    "norm",
    [
        lambda: nn.BatchNorm1d(4),
        lambda: nn.BatchNorm1d(4, affine=False),
        lambda: nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
    ],
    ids=["batch norm", "without weights", "instance norm"],
)
def test_statistics_that_training_changed_are_seen(norm):
    model, x = Normed(norm()).eval(), torch.randn(5, 3, 9) * 3 + 1
    captured = tracer.capture(model, passes=FROZEN)
    with torch.no_grad():
        for _ in range(3):
            torch.testing.assert_close(captured(x), model(x), rtol=1e-4, atol=1e-4)
            model.train()(x)
            model.eval()


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}, {"foreach": False}], ids=str)
def test_weights_that_an_optimizer_changed_are_seen(options):
    model, x = Normed(nn.BatchNorm1d(4)).eval(), torch.randn(5, 3, 9)
    captured = tracer.capture(model, passes=FROZEN)
    optimizer = torch.optim.Adam(model.parameters(), 0.1, **options)
    for _ in range(3):
        with torch.no_grad():
            torch.testing.assert_close(captured(x), model(x), rtol=1e-4, atol=1e-4)
        model.train()(x).sum().backward()
        optimizer.step()
        model.eval()


def test_parameters_are_not_prepared_where_gradients_flow():
    model, x = Projections(), torch.randn(5, 8)
    backend = rewriting("eager", FROZEN)
    tracer.capture(model, backend=backend)(x).backward()
    found = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    model(x).backward()
    torch.testing.assert_close(found, [parameter.grad for parameter in model.parameters()])
    assert backend.reports[0].counts["prepared parameters"] == 0


def test_linears_whose_results_are_returned_stay_apart():
    class Two(Projections):
        def forward(self, x):
            return self.k(x), self.v(x)

    backend = rewriting("eager", [MERGED_LINEARS, PREPARED])
    tracer.capture(Two(), backend=backend)(torch.randn(2, 8))
    assert backend.reports[0].refusals[0].why == "a result is written to or returned"


# Models ------------------------------------------------------------------------------------------


def huggingface(model, configuration, **fields):
    import transformers

    chosen = getattr(transformers, configuration)(**fields, attn_implementation="eager")
    return getattr(transformers, model)(chosen).eval(), (tokens(),), {"use_cache": False}


GPT2 = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
MODELS = {
    "gpt2": (lambda: huggingface("GPT2Model", "GPT2Config", **GPT2), {"attention": 2}),
    "llama": (lambda: huggingface("LlamaModel", "LlamaConfig", **GROUPED), {"attention": 2, "RMSNorm": 5}),
    "qwen3": (lambda: huggingface("Qwen3Model", "Qwen3Config", **GROUPED, head_dim=8), {"attention": 2, "RMSNorm": 9}),
    "bert": (lambda: huggingface("BertModel", "BertConfig", **SMALL), {"attention": 2}),
    "vit-pytorch": (lambda: models.build("vit-pytorch"), {"attention": 2}),
    "x-decoder-rmsnorm": (lambda: models.build("x-decoder-rmsnorm"), {"attention": 2, "RMSNorm": 5}),
    "t5": (lambda: models.build("t5"), {"RMSNorm": 12}),
}


@functools.cache
def built(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS[name][0]()


@pytest.mark.parametrize("name", MODELS)
def test_models_are_fused_and_give_the_same(name):
    (model, args, kwargs), expected = built(name), MODELS[name][1]
    backend = rewriting("eager", (*FROZEN, *FINITE))
    captured = tracer.capture(model, backend=backend)
    with torch.no_grad():
        for _ in range(2):  # the model comes first: libraries fill tables at their first call, and captures guard them
            wanted, found = tensors(model(*args, **kwargs)), tensors(captured(*args, **kwargs))
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    counts = {kind: sum(fired(report, kind) for report in backend.reports) for kind in expected}
    assert counts == expected


def test_training_a_model_with_fused_operators():
    model, args, kwargs = built("llama")
    backend = rewriting("eager", STANDARD)

    def loss(module):
        return module(*args, **kwargs).last_hidden_state.square().mean()

    def gradients_of(module):
        model.zero_grad()
        loss(module).backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    captured = tracer.capture(model, backend=backend)
    torch.testing.assert_close(gradients_of(captured), gradients_of(model), rtol=1e-3, atol=1e-5)
    assert sum(fired(report, "attention") for report in backend.reports) == 2


def test_every_fusion_is_a_rule_with_a_place():
    assert all(isinstance(rule, RewriteRule) and ".py:" in rule.place for rule in FUSIONS)
