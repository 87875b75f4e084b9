"""Answers about shapes that can be no law: of which rules they are taken, and that the shipped book has none."""

from dataclasses import replace

import pytest
import torch

from passes.infer.validity.accidents import without_accidents
from passes.meta import meta_of
from passes.rules.answer import Answerer
from passes.rules.book import Rulebook, shipped_folder
from passes.rules.rule import Case, Rule, always
from tests.rulebooks import rule


def with_shapes(*cases: tuple[str, str]) -> Rule:
    one = rule("torch.exp", stride="contiguous(shape)", dtype="self.dtype")
    shape = tuple(Case(condition, answer) for condition, answer in cases)
    return replace(one, outputs=(replace(one.outputs[0], shape=shape),))


def answers(one: Rule) -> bool:
    return Answerer(one).answer({"self": meta_of(torch.zeros(3, 4))}) is not None


@pytest.mark.parametrize("condition", ["any_requires_grad(self)", "self.storage_offset != 0 and rank(self.shape) == 2"])
def test_a_shape_that_hangs_on_a_gradient_or_an_offset_is_no_law(condition):
    one = with_shapes((condition, "self.shape"), ("", "self.shape"))
    assert answers(one) and not answers(without_accidents(one)) and without_accidents(one).is_unknown


def test_a_shape_in_numbers_is_given_up_and_the_others_stay():
    one = with_shapes(("rank(self.shape) == 2", "(5, 7,)"), ("", "self.shape"))
    left = without_accidents(one)
    assert answers(one) and not answers(left)
    assert Answerer(left).answer({"self": meta_of(torch.zeros(3))}) is not None


@pytest.mark.parametrize("shape", ["(2,)", "(1, 1,)", "()", "self.shape + (2,)", "(count(self.shape), 3)"])
def test_other_shapes_are_laws(shape):
    one = with_shapes(("is_contiguous(self)", shape), ("", "self.shape"))
    assert without_accidents(one) == one


def test_the_offset_of_a_result_may_follow_from_that_of_an_argument():
    one = rule("torch.exp", storage_offset="self.storage_offset", dtype="self.dtype")
    assert without_accidents(one) == one
    assert without_accidents(replace(one, form=always("None"), outputs=())).form == always("None")


def test_the_shipped_book_has_no_accidents():
    assert [rule.op for rule in Rulebook(shipped_folder()) if without_accidents(rule) != rule] == []
