"""Layouts in the domains of rules: a rule answers only for tensors that lie as those did that it was tried on."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from passes.infer.assessment.assess import tally
from passes.infer.assessment.sweep import swept
from passes.infer.fake_kernels.emit import fake_kernels, registered
from passes.infer.study import Plan, study
from passes.infer.trials.from_domain import inputs_from, tensors_of
from passes.infer.trials.observe import observe
from passes.infer.validity.in_distribution import limited_to_variation
from passes.infer.validity.layouts import LayoutEvidence, in_layouts, tried_in_layouts
from passes.infer.worker import Laboratory
from passes.meta import TensorMeta, meta_of
from passes.operators.outcome import ListArg, New, Outcome
from passes.record.calls import Call
from passes.rules.answer import Answerer
from passes.rules.book import Rulebook, shipped_folder
from passes.rules.layout_class import CLASSES, layout_class
from passes.rules.rule import Domain, Rule, from_json, to_json
from tests.recording import recorded
from tests.rulebooks import rule

X = torch.zeros(2, 3, 4, 5)
IN_LAYOUT = {
    "contiguous": [X, X[0, 0, 0, 0], X[:0, ..., ::2], X[:1].transpose(0, 1), torch.zeros(3, 1).t()],
    "channels-last": [X.contiguous(memory_format=torch.channels_last), X[:1].to(memory_format=torch.channels_last)],
    "permuted": [X.transpose(0, 1), X[0, 0].t(), X[0].permute(2, 0, 1), X.transpose(2, 3)],
    "sliced": [X[:, 1:], X[..., ::2], X[0, 0, :, :3], X[:, :1, 0]],
    "permuted slice": [X[:, 1:].transpose(0, 1), X[0, 0, :, ::2].t()],
    "expanded": [X[:1].expand(7, 3, 4, 5), X[0, 0, 0, 0].expand(2, 2)],
    "overlapping": [torch.zeros(9).unfold(0, 3, 1), torch.zeros(9).as_strided((2, 2), (1, 1))],
    "spaced": [X[0, 0, 0, ::2], X[:, 0, 0, 0], X[:, :1, 0, 0]],
    "repeated": [torch.zeros(()).expand(3), torch.zeros(1).expand(1, 3)],
}


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    with Laboratory() as opened:
        yield opened


def row_major(op: str = "torch.exp", layouts: tuple[str, ...] = (), level: str = "function") -> Rule:
    """A rule that says row-major of every result, for tensors in some layouts only."""
    one = rule(op, level=level, stride="contiguous(self.shape)", dtype="floating(self.dtype)")
    return replace(one, domain=replace(one.domain, layouts={"self": layouts} if layouts else {}))


@pytest.mark.parametrize("name", IN_LAYOUT)
def test_classes_of_layouts(name):
    for tensor in IN_LAYOUT[name]:
        assert layout_class(meta_of(tensor)) == name, tensor.stride()


def test_every_class_has_an_example():
    assert set(CLASSES) == set(IN_LAYOUT)


def test_a_rule_answers_in_the_layouts_of_its_domain_only():
    answerer = Answerer(row_major(layouts=("contiguous", "sliced")))
    for name, tensors in IN_LAYOUT.items():
        for tensor in tensors:
            answer = answerer.answer({"self": meta_of(tensor)})
            assert (answer is not None) == (name in ("contiguous", "sliced")), tensor.stride()
    (transposed,) = [meta_of(torch.zeros(3, 4).t())]
    assert answerer.why_not([transposed], {"self": 0}, True) == "self is outside the domain"


def test_a_rule_that_was_never_tried_on_contiguous_tensors_does_not_answer_for_them():
    answerer = Answerer(row_major(layouts=("sliced",)))
    assert answerer.answer({"self": meta_of(X)}) is None
    assert answerer.answer({"self": meta_of(X[:, 1:])}) is not None


def test_layouts_are_asked_of_tensors_in_lists_and_of_optional_ones():
    one = row_major(layouts=("contiguous",))
    for kinds, wrap in ((("list",), lambda meta: ListArg((meta,))), (("none", "tensor"), lambda meta: meta)):
        answerer = Answerer(replace(one, domain=replace(one.domain, kinds={"self": kinds})))
        assert not answerer.is_inside([wrap(meta_of(X.transpose(0, 1)))])
        assert answerer.is_inside([wrap(meta_of(X))])


def test_layouts_survive_json():
    one = row_major(layouts=("contiguous", "sliced"))
    assert from_json(to_json(one)) == one


def test_a_fake_kernel_says_that_it_was_not_verified_for_a_layout():
    one = row_major("aten::neg", ("contiguous", "sliced"), level="aten")
    source = fake_kernels([one])
    kernel = registered(source.replace('@torch.library.register_fake("aten::neg")', ""), "aten::neg").fake_neg
    assert kernel(X[:, 1:]).stride() == (40, 20, 5, 1)
    for tensor in (X.transpose(0, 1), X[:1].expand(7, 3, 4, 5)):
        with pytest.raises(RuntimeError, match="not verified for self"):
            kernel(tensor)


def test_trials_confirm_layouts_and_refute_others(laboratory):
    """Row-major is right about slices, and about nothing that is permuted."""
    (tried,) = tried_in_layouts([row_major()], [], laboratory)
    assert set(tried.domain.layouts["self"]) == {"contiguous", "sliced", "spaced", "repeated"}
    (right,) = tried_in_layouts(
        [rule("torch.exp", stride="iterated(shape, self)", dtype="floating(self.dtype)")], [], laboratory
    )
    assert {*right.domain.layouts["self"]} >= {"permuted", "channels-last", "permuted slice", "expanded"}


def test_layouts_that_no_call_had_are_not_claimed():
    evidence = LayoutEvidence(row_major())
    calls = [observe("torch.exp", "function", {"self": TensorMeta((n, 3), (3, 1))}, (0,)) for n in range(2, 9)]
    vectors = [observe("torch.exp", "function", {"self": TensorMeta((n,), (2,))}, (0,)) for n in range(2, 9)]
    evidence.add([*calls, *vectors])
    assert evidence.confirmed().domain.layouts == {"self": ("contiguous", "spaced")}


def test_the_parameter_is_blamed_whose_layout_the_rule_is_wrong_about(laboratory):
    """Row-major is right about two tensors as long as the first one is: its strides decide before the second's."""
    facts = {"shape": "broadcast(self, other)", "stride": "contiguous(shape)", "requires_grad": "False"}
    names = ("self", "other")
    domain = Domain(dict.fromkeys(names, (2, 3)), dict.fromkeys(names, ("f32",)), dict.fromkeys(names, ("tensor",)))
    one = replace(rule("aten::maximum", "other", level="aten", **facts), domain=domain)
    (tried,) = tried_in_layouts([one], [], laboratory)
    assert "permuted" not in tried.domain.layouts["self"]
    assert "sliced" in tried.domain.layouts["other"]


@pytest.mark.parametrize("op", ["exp", "acos"])
def test_the_learner_makes_calls_in_layouts_that_the_corpus_lacks(op, tmp_path, laboratory):
    """From vectors alone: trials that never vary a layout would leave `contiguous` unrefuted."""

    def program() -> None:
        for size in (2, 3, 5, 7):
            getattr(torch.rand(size), op)()

    calls = [call for call in recorded(tmp_path, program) if call.op == f"aten::{op}"]
    found = study(f"aten::{op}", "aten", calls, laboratory, Plan(trials=60))
    tensors = [X[0, 0].t(), X[0].permute(2, 0, 1), X[0].transpose(0, 1), X[0, :, :, :3], X[0, 0, :, ::2].t()]
    metas = [meta_of(tensor) for tensor in tensors]
    held_out = [observe(f"aten::{op}", "aten", {"self": meta}, (0,)) for meta in metas]
    predicted = tally(f"aten::{op}", found.rules, held_out)
    assert predicted.wrong == 0 and predicted.exact == len(held_out)


def test_inputs_in_layouts_have_two_dimensions_and_sizes_other_than_one():
    call = observe("torch.exp", "function", {"self": TensorMeta((5,), (1,))}, (0,))
    variants = list(in_layouts([call], random.Random(0), 3))
    classes = {layout_class(variant.arguments["self"]) for variant in variants}
    assert classes == set(CLASSES)


def test_inputs_are_made_from_a_domain():
    one = row_major()
    metas = [variant.arguments["self"] for variant in inputs_from(one)]
    assert {meta.rank for meta in metas} == {0, 1, 2, 3, 4}
    assert {meta.dtype for meta in metas} == {torch.float32, torch.int64}
    assert {layout_class(meta) for meta in metas} >= set(CLASSES) - {"overlapping", "repeated"}
    assert not any(1 in meta.shape for meta in metas)


def test_flags_that_never_varied_are_no_evidence():
    """`output_mask` decides whether there is None in the place of a tensor."""
    arguments = {"self": TensorMeta((2,), (1,)), "mask": ListArg((True, False)), "keep": True}
    one = replace(rule("torch.exp", "mask", "keep"), domain=Domain())
    outcome = Outcome(New(TensorMeta((2,), (1,))), {})
    calls = [Call("torch.exp", "function", arguments, (0,), outcome, "", "", 1)]
    texts = [case.condition for case in limited_to_variation(one, calls).form]
    assert texts[:2] == ["mask != (True, False,)", "keep != True"]
    varied = [*calls, replace(calls[0], arguments={**arguments, "mask": ListArg((True, True)), "keep": False})]
    assert limited_to_variation(one, varied).form == one.form


@pytest.mark.parametrize("part", range(4))
def test_no_shipped_rule_of_one_tensor_is_wrong_in_any_layout(part, laboratory):
    """Every function and overload, in six layouts and row-major, three dtypes, ranks 0 to 5."""
    book = Rulebook(shipped_folder())
    rules = [each for level, op in book.operators()[part::4] for each in book.rules(op, level)]
    results = list(swept([each for each in rules if len(tensors_of(each)) == 1], laboratory))
    assert [each for each in results if each.wrong] == []
    exact, unanswered = (sum(getattr(each, name) for each in results) for name in ("exact", "unanswered"))
    assert exact > 15 * unanswered and exact > 5000
