"""Answers that a rule gives up and gets back: layouts that no call had, withdrawals wider than what contradicted it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from passes.infer.trials.observe import observe
from passes.infer.validity.regain import missing_places, regained, with_doubts_settled
from passes.infer.worker import Laboratory
from passes.meta import TensorMeta, meta_of
from passes.record.calls import Call
from passes.rules.answer import Answerer
from passes.rules.rule import UNKNOWN, Case, Domain, Rule
from tests.rulebooks import rule

MATRICES = ("self", "mat2")


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    with Laboratory() as opened:
        yield opened


def product() -> Rule:
    """The product of two matrices, which was never tried with a matrix of one row or column that is spaced."""
    domain = Domain(
        dict.fromkeys(MATRICES, (2,)),
        dict.fromkeys(MATRICES, ("f32",)),
        dict.fromkeys(MATRICES, ("tensor",)),
        layouts=dict.fromkeys(MATRICES, ("contiguous", "permuted", "sliced")),
    )
    facts = {"shape": "product(self.shape, mat2.shape)", "stride": "contiguous(shape)", "requires_grad": "False"}
    return replace(rule("aten::mm", "mat2", level="aten", **facts), domain=domain)


def products() -> list[Call]:
    shapes = [((2, 3), (3, 4)), ((5, 1), (1, 3)), ((4, 4), (4, 4)), ((1, 6), (6, 2))]
    metas = [(meta_of(torch.zeros(left)), meta_of(torch.zeros(right))) for left, right in shapes]
    return [observe("aten::mm", "aten", dict(zip(MATRICES, pair, strict=True)), (0, 1)) for pair in metas]


def test_layouts_that_the_domain_lacks_are_tried_until_they_are_confirmed(laboratory):
    one = product()
    column = TensorMeta((5, 1), (7, 3))
    assert ("self", "spaced") in missing_places(one)
    assert Answerer(one).answer({"self": column, "mat2": TensorMeta((1, 3), (3, 1))}) is None
    (wider,) = regained([one], products(), laboratory)
    assert {*wider.domain.layouts["self"]} >= {"contiguous", "permuted", "sliced", "spaced", "repeated", "expanded"}
    assert Answerer(wider).answer({"self": column, "mat2": TensorMeta((1, 3), (3, 1))}) is not None


def test_a_layout_in_which_a_rule_is_wrong_is_not_regained(laboratory):
    """Row-major is not what `exp` gives of tensors that are permuted."""
    one = rule("torch.exp", stride="contiguous(self.shape)", dtype="floating(self.dtype)")
    one = replace(one, domain=replace(one.domain, layouts={"self": ("contiguous",)}))
    (wider,) = regained([one], [], laboratory)
    answerer = Answerer(wider)
    for tensor in (torch.zeros(3, 4).t(), torch.zeros(2, 3, 4, 5).mT, torch.zeros(2, 3, 4)[:, 1:].transpose(0, 1)):
        assert answerer.answer({"self": meta_of(tensor)}) is None


def withdrawn(condition: str, **facts: str) -> Rule:
    one = rule("torch.exp", **{"stride": "iterated(shape, self)", "dtype": "floating(self.dtype)", **facts})
    return replace(one, form=(Case(condition, UNKNOWN), *one.form))


def test_a_withdrawal_that_only_trials_contradict_is_lifted(laboratory):
    calls = [observe("torch.exp", "function", {"self": meta_of(torch.zeros(n, 3))}, (0,)) for n in range(1, 9)]
    (wider,) = regained([withdrawn("is_dense(self)")], calls, laboratory)
    assert [case.answer for case in wider.form] == ["tensor_0"]


def test_a_withdrawal_is_not_lifted_for_layouts_that_no_call_there_had(laboratory):
    """Of contiguous tensors `clone` has their strides, of a slice it has not: trials in the region try both."""
    one = rule("torch.Tensor.clone", stride="self.stride")
    one = replace(one, form=(Case("rank(self.shape) > 1", UNKNOWN), *one.form))
    calls = [observe("torch.Tensor.clone", "function", {"self": meta_of(torch.zeros(n, 3))}, (0,)) for n in range(1, 9)]
    (wider,) = regained([one], calls, laboratory)
    answerer = Answerer(wider)
    for tensor in (torch.zeros(4, 6)[:, ::2], torch.zeros(1, 6).expand(4, 6), torch.zeros(3, 4, 5)[:, 1:].mT):
        assert answerer.answer({"self": meta_of(tensor)}) is None


def test_a_withdrawal_that_some_trials_support_holds_for_fewer_calls():
    one = withdrawn("rank(self.shape) == 2", stride="contiguous(shape)")
    metas = [meta_of(torch.zeros(n, m).t()) for n in range(2, 8) for m in range(2, 6)]
    metas += [meta_of(torch.zeros(n, m)) for n in range(2, 8) for m in range(2, 6)]
    trials = [observe("torch.exp", "function", {"self": meta}, (0,)) for meta in metas]
    settled = with_doubts_settled(one, trials)
    assert settled.form[0].condition.startswith("rank(self.shape) == 2 and ")
    answerer = Answerer(settled)
    assert answerer.answer({"self": meta_of(torch.zeros(3, 4))}) is not None
    assert answerer.answer({"self": meta_of(torch.zeros(3, 4).t())}) is None
    assert answerer.answer({"self": meta_of(torch.zeros(2, 3, 4))}) is not None
