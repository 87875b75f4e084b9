"""Learning rules from recorded calls: what is found, what is left unknown, and that a rule is its JSON."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from passes.infer.assessment.assess import tally
from passes.infer.search.learn import learn
from passes.infer.search.observation import aliases_of
from passes.infer.study import Plan, study
from passes.infer.validity.withdraw import withdrawn_where_wrong
from passes.infer.worker import Laboratory
from passes.meta import TensorMeta
from passes.operators.outcome import ListArg, New, Outcome
from passes.record import Corpus, record
from passes.record.calls import Call
from passes.rules.generate import compiled
from passes.rules.language import RuleError
from passes.rules.rule import UNKNOWN, always, from_json, to_json

SHAPES = ((2, 3), (4, 1), (3, 5, 2), (5,), (1, 4, 2), (2, 2), (3, 1, 2, 4))


def calls_of(folder: Path, program, op: str):
    with record(folder):
        program()
    return list(Corpus(folder).calls(op))


def learned(folder: Path, program, op: str):
    calls = calls_of(folder, program, op)
    (found,) = learn(op, "aten", calls)
    assert tally(op, [found.rule], calls).exact == len(calls)
    return found.rule


def tensors():
    for shape in SHAPES:
        yield torch.zeros(shape)
        yield torch.zeros(shape[::-1]).permute(*reversed(range(len(shape))))
        yield torch.zeros(shape, dtype=torch.int64)


def the_answer(cases) -> str:
    (case,) = cases
    assert not case.condition
    return case.answer


def test_reduction(tmp_path):
    def program():
        for tensor in tensors():
            for keepdim in (True, False):
                tensor.sum(0, keepdim)
                tensor.sum((-1,), keepdim)

    rule = learned(tmp_path, program, "aten::sum.dim_IntList")
    assert the_answer(rule.outputs[0].shape).startswith("reduced")
    assert the_answer(rule.outputs[0].stride) == "contiguous(shape)"


def test_view(tmp_path):
    def program():
        for tensor in tensors():
            if tensor.is_contiguous():
                tensor.view(-1)
                tensor.view(1, -1)
                tensor.view(*tensor.shape, 1)

    rule = learned(tmp_path, program, "aten::view")
    assert the_answer(rule.outputs[0].alias) == "view self"
    assert "view(self, size)" in the_answer(rule.outputs[0].stride)


def test_write_in_place(tmp_path):
    def program():
        for tensor in tensors():
            tensor.add_(tensor.new_ones(tensor.shape[-1:]))

    rule = learned(tmp_path, program, "aten::add_.Tensor")
    assert the_answer(rule.outputs[0].alias) == "same self"
    assert set(rule.writes) == {"self"}


def test_flags_become_conditions(tmp_path):
    def program():
        for tensor in tensors():
            if tensor.dim() > 1 and tensor.is_floating_point():
                for full in (True, False):
                    torch.linalg.svd(tensor, full_matrices=full)

    rule = learned(tmp_path, program, "aten::_linalg_svd")
    assert "full_matrices" in {case.condition.removeprefix("not ") for case in rule.outputs[0].shape}


def test_lists_of_outputs(tmp_path):
    def program():
        for tensor in tensors():
            for size in (1, 2):
                tensor.split(size, 0)
                tensor.split(size, -1)

    rule = learned(tmp_path, program, "aten::split.Tensor")
    assert "each" in the_answer(rule.form)
    assert "piece(self, split_size, dim, i)" in the_answer(rule.outputs[0].shape)


def test_a_view_where_its_shape_allows_one(tmp_path):
    """Whether flatten copies depends on the shape it makes; the argument itself comes back where that is its own."""

    def program():
        sliced = torch.zeros(4, 6, 3)
        for tensor in (*tensors(), sliced[:, ::2], sliced[:, :4], sliced[1:, :, 1:], sliced[:, 2:4]):
            for start in range(tensor.dim()):
                torch.flatten(tensor, start)

    with record(tmp_path, levels=("function",)):
        program()
    calls = list(Corpus(tmp_path).calls("torch.flatten"))
    (found,) = learn("torch.flatten", "function", calls)
    assert tally("torch.flatten", [found.rule], calls).exact == len(calls)
    (output,) = found.rule.outputs
    assert {case.answer for case in output.alias} == {"same self", "view self", "new"}
    assert any("is_viewable(self, shape)" in case.condition for case in output.alias)
    assert output.storage_offset[0].condition == "is_new"


def test_a_write_to_shared_memory_is_attributed_to_one_argument(tmp_path):
    def program():
        for tensor in tensors():
            tensor.add_(tensor.new_ones(tensor.shape[-1:]))
            tensor.add_(tensor)

    rule = learned(tmp_path, program, "aten::add_.Tensor")
    assert set(rule.writes) == {"self"}


def test_formulas_divide_by_products(tmp_path):
    def program():
        for kernel in ((2, 2), (2, 3), (1, 2)):
            for channels in (1, 3):
                for batch in ((), (2,)):
                    columns = torch.zeros(*batch, channels * kernel[0] * kernel[1], (5 - kernel[0]) * (7 - kernel[1]))
                    torch.nn.functional.fold(columns, (4, 6), kernel)

    shape = the_answer(learned(tmp_path, program, "aten::col2im").outputs[0].shape)
    assert "self.shape[-2] // count(kernel_size)" in shape


def test_one_size_of_a_shape_is_a_formula_of_sizes_in_that_dimension(tmp_path):
    library = torch.library.Library("test_learn", "DEF")
    library.define("stretched(Tensor x, int dim, int by) -> Tensor")
    library.impl("stretched", lambda x, dim, by: x.repeat_interleave(by, dim), "CPU")

    def program():
        for shape in ((4, 3, 4), (5, 4, 3), (3, 7, 6), (6, 3)):
            for dim in range(len(shape)):
                for by in (1, 2, 3):
                    torch.ops.test_learn.stretched(torch.zeros(shape), dim, by)

    shape = the_answer(learned(tmp_path, program, "test_learn::stretched").outputs[0].shape)
    assert shape == "with_size(x.shape, dim, by * size_at(x.shape, dim))"


def test_a_rule_is_withdrawn_where_it_mispredicts(tmp_path):
    calls = calls_of(tmp_path / "all", lambda: [tensor.sgn() for tensor in tensors()], "aten::sgn")
    (found,) = learn("aten::sgn", "aten", calls)
    rule = replace(found.rule, outputs=(replace(found.rule.outputs[0], stride=always("contiguous(shape)")),))
    refuted = tally("aten::sgn", [rule], calls)
    careful = tally("aten::sgn", [withdrawn_where_wrong(rule, calls)], calls)
    assert refuted.wrong and refuted.exact
    assert careful.wrong == 0 and careful.exact == refuted.exact


def test_data_dependent_operators_are_unknown(tmp_path):
    def program():
        for tensor in tensors():
            torch.nonzero(tensor + torch.rand(tensor.shape).gt(0.5))

    calls = calls_of(tmp_path, program, "aten::nonzero")
    with Laboratory() as laboratory:
        found = study("aten::nonzero", "aten", calls, laboratory, Plan(trials=60, rounds=2))
    assert tally("aten::nonzero", found.rules, calls).wrong == 0
    assert all(case.answer == UNKNOWN for rule in found.rules for case in rule.form[-1:])


def test_trials_refute_a_rule_that_all_calls_agree_with(tmp_path):
    """Recorded calls are all contiguous: only trials tell that the order of dimensions is kept."""

    def program():
        for shape in SHAPES:
            torch.zeros(shape).acos()

    calls = calls_of(tmp_path, program, "aten::acos")
    alone = study("aten::acos", "aten", calls, None)
    with Laboratory() as laboratory:
        tried = study("aten::acos", "aten", calls, laboratory, Plan(trials=120))
    transposed = calls_of(tmp_path / "held", lambda: torch.zeros(3, 2).t().acos(), "aten::acos")
    assert tally("aten::acos", alone.rules, transposed).exact == 0
    assert tally("aten::acos", tried.rules, transposed).exact == len(transposed)
    assert tried.refuted > 0
    assert tried.clean


def test_trials_find_the_factors_of_sizes(tmp_path):
    def seen():
        for shape in ((1, 1, 2, 2), (2, 4, 3, 3), (3, 2, 5, 4), (4, 3, 1), (2, 1, 6, 2, 2)):
            torch.pixel_shuffle(torch.zeros(shape), 1)

    def unseen():
        for factor in (2, 3, 4):
            torch.pixel_shuffle(torch.zeros(2, 2 * factor * factor, 3, 5), factor)

    op = "aten::pixel_shuffle"
    with Laboratory() as laboratory:
        found = study(op, "aten", calls_of(tmp_path / "seen", seen, op), laboratory, Plan(trials=120))
    told = tally(op, found.rules, calls_of(tmp_path / "unseen", unseen, op))
    assert (told.exact, told.wrong) == (3, 0)


def test_a_rule_survives_json(tmp_path):
    def program():
        for tensor in tensors():
            tensor.transpose(0, -1)

    rule = learned(tmp_path, program, "aten::transpose.int")
    again = from_json(to_json(rule))
    assert again == rule
    assert compiled(again).source == compiled(rule).source


@pytest.mark.parametrize("text", ["__import__('os')", "self.__class__", "(lambda: 1)()", "open('x')", "self.shape["])
def test_learned_rules_use_the_rule_language_only(tmp_path, text):
    rule = to_json(learned(tmp_path, lambda: [tensor.transpose(0, -1) for tensor in tensors()], "aten::transpose.int"))
    rule["outputs"][0]["shape"] = [["", text]]
    with pytest.raises(RuleError):
        from_json(rule)


@pytest.mark.parametrize(
    "shares, words",
    [
        ((0, 1, 2), {"view tensors[1]", "view tensors[i]"}),
        ((0, 0, 2), {"view tensors[0]", "view tensors[1]", "view tensors[i]"}),  # each, or none, may be meant
        ((0, 1, 0), {"view tensors[1]", "view tensors[i]"}),
    ],
)
def test_a_view_of_memory_that_elements_of_a_list_share_may_be_of_each(shares, words):
    row = TensorMeta((3,), (1,))
    view = New(row, shares.index(shares[1]))
    call = Call("torch.meshgrid", "function", {"tensors": ListArg((row,) * 3)}, shares, Outcome(view, {}), "", "", 1)
    assert aliases_of(view, call, 1) == words
