"""Checkpoints, nested compile regions, hooks on intermediate tensors and flex_attention, in one graph."""

import functools
import warnings
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
)

from tests.check import BACKENDS, check, one_graph
from tracer import capture, counters, graph_break, reset

SETTINGS = SimpleNamespace(factor=2.0)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]


def keep_matmul(context, op, *args, **kwargs):
    return CheckpointPolicy.MUST_SAVE if op is torch.ops.aten.mm.default else CheckpointPolicy.PREFER_RECOMPUTE


selective = functools.partial(create_selective_checkpoint_contexts, keep_matmul)
LAYER = nn.Linear(4, 4)
for _parameter in LAYER.parameters():
    nn.init.constant_(_parameter, 0.25)
STAGES = nn.Sequential(LAYER, nn.ReLU(), LAYER)

CHECKPOINTS = {
    "module": lambda x: checkpoint(LAYER, x, use_reentrant=False) + 1,
    "reentrant": lambda x: checkpoint(LAYER, x * 1, use_reentrant=True) + 1,
    "closure": lambda x: checkpoint(lambda a: F.gelu(LAYER(a)) * x, x * 2, use_reentrant=False),
    "structure": lambda x: checkpoint(lambda a, k: {"a": a.sin(), "b": [LAYER(a) + k, 3]}, x, k=x, use_reentrant=False),
    "argument returned": lambda x: checkpoint(lambda a: (a, a.view(-1), LAYER(a)), x * 2, use_reentrant=False),
    "selective": lambda x: checkpoint(lambda a: LAYER(a).relu(), x, use_reentrant=False, context_fn=selective),
    "nested": lambda x: checkpoint(lambda a: checkpoint(LAYER, a, use_reentrant=False).sin(), x, use_reentrant=False),
    "in stages": lambda x: checkpoint_sequential(STAGES, 2, x, use_reentrant=False),
    "options": lambda x: checkpoint(LAYER, x, use_reentrant=False, preserve_rng_state=False, early_stop=False),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoint(name, backend):
    x = (torch.arange(12.0).reshape(3, 4) / 4).requires_grad_()
    rounds = backend == "aot_eager" and name == "argument returned"  # its backward adds up in another order
    one_graph(CHECKPOINTS[name], x, backend=backend, recaptures=None, gradients=not rounds)


def test_checkpoint_draws_the_same_numbers_again():
    def program(x):
        return checkpoint(lambda a: F.dropout(a * a, 0.5), x, use_reentrant=False)

    for backend in ("eager", "aot_eager", BACKENDS["forward"]):
        captured = capture(program, backend=backend, fullgraph=True)
        x = torch.randn(50, requires_grad=True)
        out = captured(x)
        out.sum().backward()
        kept = out != 0
        assert torch.allclose(x.grad, torch.where(kept, 4 * x, 0.0)), backend


def without_gradients(x):
    with torch.no_grad():
        return checkpoint(LAYER, x * 1) + 1


DEFAULTS = {
    "gradients": lambda x: checkpoint(LAYER, x * 1) + 1,
    "twice": lambda x: checkpoint(LAYER, checkpoint(LAYER, x * 1)),
    "no_grad": without_gradients,
    "no_grad, chosen": torch.no_grad()(lambda x: checkpoint(LAYER, x.detach(), use_reentrant=True)),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_warnings_of_a_reentrant_checkpoint_are_kept(name, backend):
    program, results, seen = DEFAULTS[name], [], []
    for function in (program, capture(program, backend=backend, fullgraph=True)):
        for _ in range(2):
            x = (torch.arange(12.0).reshape(3, 4) / 4).requires_grad_()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                out = function(x)
            seen.append([(str(one.message), one.category, one.filename, one.lineno) for one in caught])
            if out.requires_grad:
                out.sum().backward()
            results.append((out, x.grad))
    assert seen[0] and all(one == seen[0] for one in seen)
    wanted, gradient = results[0]
    for out, other in results:
        assert torch.equal(out, wanted) and out.requires_grad == wanted.requires_grad
        assert other is gradient is None or torch.equal(other, gradient)


REFUSED = {
    "keyword": lambda x: checkpoint(lambda a, k: a * k, x, k=x, use_reentrant=True),
    "context": lambda x: checkpoint(LAYER, x, use_reentrant=True, context_fn=selective),
    "no gradients": lambda x: checkpoint(LAYER, x.detach(), use_reentrant=True),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_what_a_reentrant_checkpoint_refuses_breaks(name):
    check(REFUSED[name], torch.randn(3, 4, requires_grad=True), breaks=["skipped-function"], recaptures=None)


def test_change_in_a_checkpoint_breaks():
    def program(x, log):
        return checkpoint(lambda a: (log.append(1), LAYER(a))[1], x, use_reentrant=False)

    check(program, torch.randn(3, 4, requires_grad=True), [], breaks=["higher-order"], recaptures=None)


# Nested regions --------------------------------------------------------------------------------------

block = torch.compiler.nested_compile_region(lambda x: x.sin() * 2)


def test_nested_compile_region(backend):
    one_graph(lambda x: block(block(x)), torch.randn(3, requires_grad=True), backend=backend)


# Hooks -----------------------------------------------------------------------------------------------


def scaled(gradient):
    return gradient.clamp(-1, 1) * 3


def hook_with_closure(x):
    y, factor = x * 2, x.detach() + 1
    y.register_hook(lambda g: g * factor)
    return y.sin().sum()


def hook_by_name(x):
    y = x * 2
    y.register_hook(scaled)
    z = y * y
    z.register_hook(lambda g: None)
    return z.sum()


def hook_removed(x):
    y = x * 2
    y.register_hook(scaled)
    handle = y.register_hook(lambda g: g * 100)
    z = y.sin()
    handle.remove()
    handle.remove()
    return z.sum()


def hook_with_closure_removed(x):
    y, factor = x * 2, x.detach() + 1
    handles = [y.register_hook(lambda g: g * factor), y.register_hook(scaled)]
    handles.pop(0).remove()
    return y.exp().sum()


@pytest.mark.parametrize("program", [hook_with_closure, hook_by_name, hook_removed, hook_with_closure_removed])
def test_hook_on_an_intermediate(program, backend):
    one_graph(program, torch.randn(3, requires_grad=True), backend=backend)


def read_by_a_hook(x, weights):
    y, factor = x * 2, weights * 1
    y.register_hook(lambda g: g * (factor + 1))
    return y.sin().sum(), factor.view(-1)


def read_by_a_hook_within_a_list(x, weights):
    y, factor = x * 2, weights * 1
    rows, kept = factor.view(-1), []
    y.register_hook(lambda g: g * (rows + 1))
    kept.append({"factor": factor})
    return y.sin().sum(), kept[0]["factor"]


def input_read_by_a_hook(x, weights):
    y, factor = x * 2, weights.view(-1)
    y.register_hook(lambda g: g * (factor + 1))
    return y.sin().sum(), weights


def written_after_a_hook(x, weights):
    y, factor = x * 2, weights * 1
    rows = factor.view(-1)
    y.register_hook(lambda g: g * rows)
    factor.mul_(3)
    return y.sin().sum(), weights


LATE = (read_by_a_hook, read_by_a_hook_within_a_list, input_read_by_a_hook, written_after_a_hook)


@pytest.mark.parametrize("write", [lambda t: t.add_(7), lambda t: t.data.add_(7)], ids=["counted", "unseen"])
@pytest.mark.parametrize("program", LATE)
def test_hook_reads_what_is_written_before_backward(program, write, backend):
    captured = capture(program, backend=backend, fullgraph=True)
    for _ in range(2):
        gradients = []
        for one in (program, captured):
            x = torch.arange(3.0).requires_grad_()
            loss, factor = one(x, torch.ones(3))
            write(factor)
            loss.backward()
            gradients.append(x.grad)
        assert torch.equal(*gradients)


def test_hook_removed_after_a_break():
    def program(x):
        y = x * 2
        handle = y.register_hook(scaled)
        graph_break()
        handle.remove()
        return y.sum()

    check(program, torch.randn(3, requires_grad=True), recaptures=None, graphs=None)


def test_hook_removed_by_a_branch():
    def program(x):
        y = x * 2
        handle = y.register_hook(scaled)
        if x.sum() > 0:
            handle.remove()
        return y.sum()

    for sign in (1.0, -1.0):
        check(program, torch.full((3,), sign, requires_grad=True), recaptures=None, graphs=None)


def test_hook_that_may_change_breaks():
    def program(x):
        y, factor = x * 2, 3.0
        y.register_hook(lambda g: g * factor)
        factor = 5.0
        return (y * factor).sum()

    check(program, torch.randn(3, requires_grad=True), breaks=["tensor-hook"], recaptures=None)


def test_hook_of_a_loop_uses_the_variable_of_its_last_turn():
    def program(x):
        total = x.sum()
        for factor in (2.0, 3.0):
            y = x * 2
            y.register_hook(lambda g: g * factor)
            total = total + y.sum()
        return total

    x = torch.randn(3, requires_grad=True)
    gradients = [torch.autograd.grad(run(x), x)[0] for run in (program, capture(program))]
    assert torch.equal(*gradients) and gradients[0].tolist() == [13.0] * 3
    check(program, x, breaks=["tensor-hook"] * 2, recaptures=None)


def test_hook_that_reads_a_setting_breaks():
    def program(x):
        y = x * 2
        y.register_hook(lambda g: g * SETTINGS.factor)
        return y.sum()

    check(program, torch.randn(3, requires_grad=True), breaks=["tensor-hook"], recaptures=None)


# flex_attention --------------------------------------------------------------------------------------


def relative(score, batch, head, query, key):
    return score + (query - key)


def causal(batch, head, query, key):
    return query >= key


BIAS = torch.arange(16.0)
TABLE = torch.arange(32.0).reshape(2, 16)


@pytest.mark.filterwarnings("ignore")
def test_flex_attention(backend):
    def program(q, k):
        out = flex_attention(q, k, k, score_mod=relative)
        return out + flex_attention(q, k, k, score_mod=lambda s, b, h, i, j: s * 2 + BIAS[j] + TABLE[h, i])

    q, k = torch.randn(2, 1, 2, 16, 16)
    program(q, k)  # which warns once that it is slow
    one_graph(program, q, k, backend=backend, recaptures=None)


@pytest.mark.filterwarnings("ignore")
def test_flex_attention_with_a_block_mask(backend):
    mask = create_block_mask(causal, 1, 1, 16, 16, device="cpu")

    def program(q, mask):
        return flex_attention(q, q, q, block_mask=mask).sum()

    reset()
    q = torch.randn(1, 2, 16, 16)
    captured = capture(program, backend=backend, fullgraph=True)
    assert torch.allclose(captured(q, mask), program(q, mask))
    assert counters().graphs == 1
