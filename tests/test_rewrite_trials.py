"""The check before a rule's first use: each kind of input finds a wrong rule that no other kind finds."""

import math
import re

import pytest
import torch
import torch.nn.functional as F

import tracer
from passes.rewrite.inputs import RuleTrials, tensor
from passes.rewrite.pattern import RuleError
from passes.rewrite.rule import RewriteRule
from passes.rewrite.rules import FROZEN, STANDARD
from passes.rewrite.rules.attention import ATTENTION, FILLED_ATTENTION
from passes.rewrite.verify import check_spelling
from tests.rewriting import gradients, rewritten
from tracer.rewriting import check_rule, rewriting

X = {"x": tensor(3, 4)}
PAIR = {"x": tensor(3, 4), "y": tensor(3, 4)}
FULL = {"dtypes": (torch.float32, torch.float64)}


def hidden_softmax(x, h):
    return x.masked_fill(h, -1e30).softmax(-1)


# What only one kind of trial finds: its name, the pattern, the wrong replacement, the example and details of the rule.
WRONG = {
    "layouts": (
        "float32 inputs, transposed",
        lambda x: x.exp(),
        lambda x: (x if x.is_contiguous() or x.storage_offset() or 0 in x.stride() else x + 1).exp(),
        {"x": tensor(3, 4, 5)},
        {"dtypes": (torch.float32,)},
    ),
    "zeros": ("zeros of both signs", lambda x: x + 0.0, lambda x: x.clone(), X, FULL),
    "nan": ("NaN in x", lambda x: x.sum(0), lambda x: x.nansum(0), X, FULL),
    "infinity": (
        "infinity in x",
        lambda x: x.sum(0),
        lambda x: torch.where(x == math.inf, 7.0, x).sum(0),
        X,
        FULL,
    ),
    "masked rows": (
        "a row of x that is minus infinity throughout",
        lambda x: x.softmax(-1),
        lambda x: torch._safe_softmax(x, -1),
        X,
        FULL,
    ),
    "masks": (
        "throughout|inverted|size",
        hidden_softmax,
        lambda x, h: x.masked_fill(h, -math.inf).softmax(-1),
        {"x": tensor(3, 16), "h": tensor(3, 16, dtype=torch.bool)},
        FULL,
    ),
    "empty": ("size 3 everywhere 0", lambda x: x.sum(0), lambda x: x.mean(0) * x.shape[0], X, FULL),
    "size 1": (
        "size 3 everywhere 1|size 1 of x in dimension 0",
        lambda x: x.var(0, correction=0),
        lambda x: x.var(0, correction=1) * ((x.shape[0] - 1) / x.shape[0]),
        X,
        {**FULL, "zero_signs": False},
    ),
    "broadcast": (
        "size 1 of y in dimension 1",
        lambda x, y: x.exp() + y,
        lambda x, y: x.exp() + (y + 1 if y.shape[1] == 1 < x.shape[1] else y),
        PAIR,
        FULL,
    ),
    "expanded": (
        "tensors expanded over their own memory",
        lambda x: x.exp(),
        lambda x: (x + 1 if 0 in x.stride() else x).exp(),
        X,
        FULL,
    ),
    "aliased": (
        "one tensor for x and y",
        lambda x, y: x.exp() + y,
        lambda x, y: x.exp() + (y if x is not y else y * 2),
        PAIR,
        FULL,
    ),
    "gradients of one": (
        "gradients of y alone",
        lambda x, y: x.exp() * y,
        lambda x, y: x.exp() * (y if x.requires_grad else y.detach()),
        PAIR,
        FULL,
    ),
    "no gradients": (
        "no inputs that require grad",
        lambda x: x.exp(),
        lambda x: (x if x.requires_grad or not torch.is_grad_enabled() else x + 1).exp(),
        X,
        FULL,
    ),
    "gradients off": (
        "gradients off",
        lambda x: x.exp(),
        lambda x: (x if torch.is_grad_enabled() or torch.is_inference_mode_enabled() else x + 1).exp(),
        X,
        FULL,
    ),
    "inference": (
        "inference mode",
        lambda x: x.exp(),
        lambda x: (x + 1 if torch.is_inference_mode_enabled() else x).exp(),
        X,
        FULL,
    ),
    "autocast": (
        "autocast",
        lambda x, y: ((x @ y).float() * 100).sin(),
        lambda x, y: ((x.unsqueeze(-1) * y).sum(-2).float() * 100).sin(),
        {"x": tensor(3, 4), "y": tensor(4, 5)},
        {"dtypes": (torch.float32,), "zero_signs": False},
    ),
    "flags": (
        "flag=False",
        lambda x, flag: F.avg_pool2d(x, 2, 1, 1, False, flag),
        lambda x, flag: F.avg_pool2d(x, 2, 1, 1, False, True),
        {"x": tensor(1, 2, 4, 4), "flag": True},
        FULL,
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_each_kind_of_trial_finds_what_no_other_does(kind):
    name, pattern, replacement, example, details = WRONG[kind]
    rule = RewriteRule("wrong", (pattern,), replacement, example, **details)
    with pytest.raises(RuleError, match=name):
        check_rule(rule)
    trials = RuleTrials(example, rule.dtypes, zero_signs=rule.zero_signs)
    others = (trial for trial in trials if not re.search(name, trial.name))
    assert check_spelling("", pattern, lambda inputs: replacement(**inputs), others, 1.0) > 5


def test_a_replacement_that_loses_gradients_is_found():
    rule = RewriteRule("wrong", (lambda x, y: x * x + y,), lambda x, y: (x * x + y).detach(), PAIR)
    with pytest.raises(RuleError, match="result 0 requires grad of the pattern only"):
        check_rule(rule)


def test_a_difference_at_one_element_beside_infinities_is_found():
    rule = RewriteRule(
        "wrong", (lambda x: x.exp(),), lambda x: x.exp() + 5 * x.isinf().any(), X, dtypes=(torch.float64,)
    )
    with pytest.raises(RuleError, match="with infinity in x: result 0 differs"):
        check_rule(rule)


def entropy_by_hand(x, t):
    p, q = x.sigmoid(), t.sigmoid()
    return -(q * p.log() + (1 - q) * (1 - p).log()).mean()


def test_a_replacement_that_alone_refuses_values_is_found():
    rule = RewriteRule(
        "wrong",
        (entropy_by_hand,),
        lambda x, t: F.binary_cross_entropy(x.sigmoid(), t.sigmoid()),
        {**X, "t": tensor(3, 4)},
        **FULL,
    )
    with pytest.raises(RuleError, match="with NaN in x: only the replacement raises an error"):
        check_rule(rule)


@pytest.mark.parametrize(
    "pattern, replacement, example, program, args",
    [
        (lambda x, a: x.pow(a).sin(), lambda x, a: (x * x * x).sin(), {**X, "a": 3.0}, lambda x: x.pow(5.0).sin(), ()),
        (lambda x: x.sum(-1).exp(), lambda x: x.sum(1).exp(), X, lambda x: x.sum(-1).exp(), (torch.rand(2, 4, 4),)),
        (lambda x: (x / 2).exp(), lambda x: (x.div(2, rounding_mode=None) if x.is_floating_point() else x // 2).exp(),
         X, lambda x: (x / 2).exp(), (torch.arange(6),)),
    ],
    ids=["constant", "rank", "dtype"],
)  # fmt: skip
def test_a_rule_that_is_wrong_for_one_use_is_not_used_there(pattern, replacement, example, program, args):
    rule = RewriteRule("narrow", (pattern,), replacement, example, dtypes=(torch.float32,))
    check_rule(rule)
    report = rewritten([rule], program, *(args or (torch.rand(3, 4),)))
    assert report.counts["narrow"] == 0 and "differs" in report.refusals[0].why


def test_constants_of_two_signs_get_two_replacements():
    rule = RewriteRule("twist", (lambda x, a: (x * a).sin(),), lambda x, a: torch.sin(a * x), {**X, "a": 0.37})
    program = lambda x: (1 / (x * 0.0).sin(), 1 / (x * -0.0).sin())  # noqa: E731
    assert rewritten([rule], program, torch.ones(3, 4)).counts["twist"] == 2


# Attention with rows that are masked whole --------------------------------------------------------------------------

Q, K, V = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8)
HIDDEN = torch.ones(5, 6).triu(1).bool()
HIDDEN[2], HIDDEN[4] = True, False
ADDED = torch.zeros(5, 6).masked_fill(HIDDEN, -math.inf)
PADDED = torch.zeros(2, 1, 1, 6, dtype=torch.bool)
PADDED[1] = True

ROWS = {
    "an input": (lambda q, k, v, m: (q @ k.mT * 0.3 + m).softmax(-1) @ v, ADDED),
    "an input of all dimensions": (lambda q, k, v, m: (q @ k.mT * 0.3 + m).softmax(-1) @ v, ADDED.expand(2, 3, 5, 6)),
    "of padding": (
        lambda q, k, v, h: (q @ k.mT + torch.zeros(h.shape, dtype=q.dtype).masked_fill(h, -torch.inf)).softmax(-1) @ v,
        PADDED,
    ),
    "computed": (
        lambda q, k, v, h: (q @ k.mT / 3 + torch.where(h, -torch.inf, 0.0).to(q.dtype)).softmax(-1) @ v,
        HIDDEN,
    ),
    "two added": (
        lambda q, k, v, h: (q @ k.mT + ((m := h.to(q.dtype) * torch.finfo(q.dtype).min) + m)).softmax(-1) @ v,
        HIDDEN,
    ),
    "scaled queries": (lambda q, k, v, m: F.softmax((q * 0.3) @ k.mT + m, -1) @ v, ADDED),
    "filled with a number": (lambda q, k, v, h: (q @ k.mT).masked_fill(h, -1e9).softmax(-1) @ v, HIDDEN),
    "filled with the least": (
        lambda q, k, v, h: (q @ k.mT).masked_fill(h, torch.finfo(q.dtype).min).softmax(-1) @ v,
        HIDDEN,
    ),
    "chosen": (lambda q, k, v, h: torch.where(~h, q @ k.mT, -1e9).softmax(-1) @ v, HIDDEN),
    "chosen by row": (lambda q, k, v, h: torch.where(~h, q @ k.mT, -1e9).softmax(-1) @ v, PADDED),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ROWS)
def test_rows_that_are_masked_whole_are_as_by_hand(name, dtype):
    program, mask = ROWS[name]
    mask = mask if mask.dtype is torch.bool else mask.to(dtype)
    args = [(tensor * (1 if dtype is torch.bfloat16 else 9)).to(dtype) for tensor in (Q, K, V)]
    tolerance = 3e-2 if dtype is torch.bfloat16 else 1e-4
    report = rewritten([*ATTENTION, *FILLED_ATTENTION], program, *args, mask, tolerance=tolerance)
    assert "scaled_dot_product_attention" in report.after
    captured = tracer.capture(program, backend=rewriting("eager", [*ATTENTION, *FILLED_ATTENTION]))
    for result, expected in zip(gradients(captured, *args, mask), gradients(program, *args, mask), strict=True):
        assert torch.equal(result.isnan(), expected.isnan())
        scale = expected.nan_to_num().abs().max().item()
        torch.testing.assert_close(result, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


@pytest.mark.parametrize(
    "program",
    [
        lambda q, k, v, h: (q @ k.mT).masked_fill(h, -torch.inf).softmax(-1) @ v,
        lambda q, k, v, h: torch.where(h, -torch.inf, q @ k.mT).softmax(-1) @ v,
        lambda q, k, v, h: (q @ k.mT + ADDED).masked_fill(h, -1e9).softmax(-1) @ v,
    ],
)
def test_rows_filled_with_minus_infinity(program):
    captured = tracer.capture(program, backend=rewriting("eager", [*ATTENTION, *FILLED_ATTENTION]))
    for mask in (HIDDEN, ~HIDDEN, HIDDEN | True):
        torch.testing.assert_close(captured(Q, K, V, mask), program(Q, K, V, mask), equal_nan=True)
        for one, other in zip(gradients(captured, Q, K, V, mask), gradients(program, Q, K, V, mask), strict=True):
            torch.testing.assert_close(one, other, equal_nan=True, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
def test_what_is_hidden_stays_hidden(special):
    """A mask that is filled in hides keys that hold no numbers, which an added one does not."""

    def program(q, k, v, h):
        return (q @ k.mT).masked_fill(h, -3e38).softmax(-1) @ v

    key = K.clone()
    key[..., 3, :] = special
    hidden = torch.zeros(5, 6, dtype=torch.bool)
    hidden[:, 3] = True
    for passes in (STANDARD, FROZEN):
        captured = tracer.capture(program, passes=passes)
        torch.testing.assert_close(captured(Q, key, V, hidden), program(Q, key, V, hidden), equal_nan=True)


WHOLE_NUMBERS = torch.arange(-4, 4)


@pytest.mark.parametrize(
    "program, inputs",
    [
        (lambda x: 0.5 * x * (1 + torch.tanh(0.7978845608028654 * (x + 0.044715 * x**3))), [WHOLE_NUMBERS]),
        (lambda x: x * torch.sigmoid(x), [WHOLE_NUMBERS]),
        (lambda x: torch.log(1 + torch.exp(x)), [WHOLE_NUMBERS]),
        (lambda x, y: x + y * True, [torch.ones(3), torch.ones(3)]),
        (lambda x, y: x + y * 2j, [torch.ones(3), torch.ones(3)]),
    ],
    ids=["gelu", "silu", "softplus", "a truth value", "a complex number"],
)
def test_a_replacement_that_refuses_what_the_pattern_takes(program, inputs):
    """It raised from the first call: torch's operators take no whole numbers where the formulas do."""
    for passes in (STANDARD, FROZEN):
        captured = tracer.capture(program, passes=passes)
        torch.testing.assert_close(captured(*inputs), program(*inputs))
