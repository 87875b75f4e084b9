"""Each fact about the version of torch, on the torch that is installed."""

from __future__ import annotations

import torch
from torch.autograd import Function

from passes.torch_facts import FUNCTION_APPLY, applies_like_torch, function_behind, is_apply, is_fx_tracing
from tests.check import one_graph


class Double(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


class Loud(Double):
    @classmethod
    def apply(cls, *args):
        return super().apply(*args)


def test_apply_is_one_thing_for_all_classes_that_inherit_it():
    assert function_behind(vars(Function)["apply"]) is FUNCTION_APPLY
    assert applies_like_torch(Function) and applies_like_torch(Double)
    assert not applies_like_torch(Loud) and not applies_like_torch(int)


def test_apply_is_known_when_it_is_bound():
    assert is_apply(Function.apply) and is_apply(Double.apply)
    assert not is_apply(Loud.apply) and not is_apply(Double.forward) and not is_apply(dict.fromkeys)
    assert not is_apply(torch.relu)


def test_apply_becomes_a_node_whichever_way_it_is_reached():
    apply = Double.apply
    one_graph(lambda x: Double.apply(x) + 1, torch.ones(3))
    one_graph(lambda x: apply(x) + 1, torch.ones(3))
    one_graph(lambda x: getattr(Double, "apply")(x) + 1, torch.ones(3, requires_grad=True))


def test_symbolic_trace_is_seen_while_it_runs():
    seen = []

    def program(x):
        seen.append(is_fx_tracing())
        return x + 1

    assert not is_fx_tracing()
    torch.fx.symbolic_trace(program)
    assert seen == [True] and not is_fx_tracing()
