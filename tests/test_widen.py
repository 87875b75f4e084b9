"""Domains widened by trials: what holds beyond the recorded calls is claimed, what does not is not."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from passes.infer.assessment.assess import tally
from passes.infer.study import Plan, study
from passes.infer.validity.widen import widened
from passes.infer.validity.withdraw import withdrawn_widely
from passes.infer.worker import Laboratory
from passes.record.calls import Call
from passes.rules.rule import Domain, Rule
from tests.recording import recorded
from tests.rulebooks import rule

TRIALS = 140
TWO = Domain(ranks={"self": (2,)}, dtypes={"self": ("f32",)}, kinds={"self": ("tensor",)})
ROW_MAJOR = {"stride": "contiguous(self.shape)", "requires_grad": "False"}
RIGHT = {"stride": "iterated(shape, self)", "requires_grad": "False"}  # odd strides of size 1 are not preserved


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    with Laboratory() as opened:
        yield opened


def calls_of(folder, op: str, program) -> list[Call]:
    return [call for call in recorded(folder, program) if call.op == op]


def relus(sizes) -> None:
    for size in sizes:
        torch.relu(torch.rand(size))
        torch.relu(torch.rand(size[::-1]).permute(*reversed(range(len(size)))))


def learned(op: str, calls: list[Call], laboratory: Laboratory) -> list[Rule]:
    return list(study(op, "aten", calls, laboratory, Plan(trials=40, rounds=2)).rules)


def test_confirmed_ranks_dtypes_and_numbers_join_the_domain(tmp_path, laboratory):
    def program() -> None:
        for size in ((2, 3), (4, 1), (3, 5), (2, 3, 4), (7,)):
            torch.rand(size).mul_(torch.rand(size[-1:]))
            torch.rand(size).repeat([2] * len(size))

    for op, further in (
        ("aten::repeat", lambda: torch.rand(2, 3, 4, 5).transpose(1, 2).repeat(1, 2, 1, 1)),
        ("aten::mul_.Tensor", lambda: torch.rand(2, 3, 4, 5).mul_(2.5)),
    ):
        rules = [replace(each, domain=_seen(each)) for each in learned(op, calls_of(tmp_path, op, program), laboratory)]
        new = calls_of(tmp_path / op.replace(":", ""), op, further)
        assert tally(op, rules, new).unknown == len(new) == 1
        wider = widened(rules, calls_of(tmp_path, op, program), laboratory, TRIALS)
        assert tally(op, wider, new).exact == 1
        assert wider[0].form == rules[0].form and wider[0].outputs == rules[0].outputs


def _seen(rule: Rule) -> Domain:
    """The domain of the program above, whatever trials added while it was learned."""
    kinds = {name: ("ints",) if name == "repeats" else ("tensor",) for name in rule.parameters}
    tensors = [name for name, kind in kinds.items() if kind == ("tensor",)]
    return Domain(dict.fromkeys(tensors, (1, 2, 3)), dict.fromkeys(tensors, ("f32",)), kinds)


def test_a_contradicted_novelty_stays_outside_of_the_domain(tmp_path, laboratory):
    """A rule that says row-major of every result is right about matrices as they were recorded, not about others."""
    wrong = replace(
        rule("aten::relu", level="aten", stride="contiguous(self.shape)", requires_grad="False"), domain=TWO
    )
    calls = calls_of(tmp_path, "aten::relu", lambda: relus([(2, 3), (4, 5), (3, 3)]))
    (wider,) = widened([wrong], calls, laboratory, TRIALS)
    right = replace(wrong, outputs=rule("aten::relu", **RIGHT).outputs)
    (widest,) = widened([right], calls, laboratory, TRIALS)
    assert 3 not in wider.domain.ranks["self"] and 3 in widest.domain.ranks["self"]
    assert {"f64", "bf16"} <= {*widest.domain.dtypes["self"]}


def test_the_ranks_of_a_domain_have_no_gaps(tmp_path, laboratory):
    right = replace(rule("aten::relu", level="aten", **RIGHT), domain=TWO)
    calls = calls_of(tmp_path, "aten::relu", lambda: relus([(2, 3), (4, 5), (3, 3)]))
    (widest,) = widened([right], calls, laboratory, TRIALS)
    ranks = widest.domain.ranks["self"]
    assert [*ranks] == [*range(min(ranks), max(ranks) + 1)] and len(ranks) > 2


def test_a_rule_that_mispredicts_held_out_calls_is_withdrawn_there(tmp_path):
    wrong = rule("aten::relu", level="aten", **ROW_MAJOR)
    calls = calls_of(tmp_path, "aten::relu", lambda: relus([(2, 3), (4, 5), (2, 3, 4), (6, 2), (3, 2, 2)]))
    before = tally("aten::relu", [wrong], calls)
    assert before.wrong
    after = tally("aten::relu", [withdrawn_widely(wrong, calls, calls)], calls)
    assert not after.wrong and after.exact == before.exact
    right = rule("aten::relu", level="aten", requires_grad="False")
    assert withdrawn_widely(right, calls, calls) is right


def test_dtypes_of_the_same_kind_join_the_domain_together(tmp_path, laboratory):
    """`polar` takes two tensors of one float type: a dtype drawn for one of them is refused."""

    def program() -> None:
        for size in ((2, 3), (4, 1), (3, 5), (2, 3, 4), (7,)):
            torch.polar(torch.rand(size), torch.rand(size))

    calls = calls_of(tmp_path, "aten::polar", program)
    rules = [replace(each, domain=_seen(each)) for each in learned("aten::polar", calls, laboratory)]
    (wider,) = widened(rules, calls, laboratory, trials=0)
    assert wider.domain.dtypes == {"abs": ("f32", "f64"), "angle": ("f32", "f64")}
