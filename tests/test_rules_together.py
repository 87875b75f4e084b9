"""Rules asked about tensors beside each other: which calls are made, which wrong rules they find, what is left then."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
import torch
from typer.testing import CliRunner

from passes.infer.assessment.assess import tally
from passes.infer.assessment.sweep import narrowed, swept, twins_of
from passes.infer.trials.from_domain import tensors_of
from passes.infer.trials.inputs import in_place_of_metas, metas_of, tensors_for
from passes.infer.trials.observe import observe
from passes.infer.trials.runner import trials_made
from passes.infer.trials.together import RELATIONS, together
from passes.infer.trials.variant import CallVariant
from passes.infer.validity.trials_together import trials_of, tried_together, with_provoked_refusals
from passes.infer.worker import Laboratory
from passes.meta import TensorMeta
from passes.record import record
from passes.rules.answer import Answerer
from passes.rules.book import Rulebook, read_title, shipped_folder, write_rules, write_title
from passes.rules.generate import PredictedError
from passes.rules.primitives.layouts import contiguous
from passes.rules.rule import Case, Domain, Output, Provenance, Rule, always
from tests.rulebooks import rule
from tracer.commands.application import application

BOTH = ("self", "other")
EMPTY, FULL = TensorMeta((2, 0, 3), (3, 3, 1)), TensorMeta((2, 6, 3), (18, 3, 1))
FACTS = {"shape": "broadcast(self, other)", "stride": "iterated(shape, self, other)"}


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    with Laboratory() as opened:
        yield opened


def of_two(op: str = "torch.maximum", ranks: tuple[int, ...] = (0, 1, 2, 3), **facts: str) -> Rule:
    """A rule of two tensors of floats or integers."""
    domain = Domain(
        dict.fromkeys(BOTH, ranks), dict.fromkeys(BOTH, ("f32", "f64", "i64")), dict.fromkeys(BOTH, ("tensor",))
    )
    gradient = "grad_mode and any_requires_grad(self, other)"
    one = rule(op, "other", level="function", **{**FACTS, "requires_grad": gradient, **facts})
    return replace(one, domain=domain, provenance=Provenance(calls=100))


def counted(one: Rule, laboratory: Laboratory, seed: int = 5) -> tuple[int, int, int]:
    """Exact, wrong and unanswered calls of a sweep."""
    (result,) = swept([one], laboratory, seed)
    return result.exact, result.wrong, result.unanswered


def refused(one: Rule, *metas: TensorMeta, **others: object) -> bool:
    try:
        Answerer(one).answer({**dict(zip(BOTH, metas, strict=True)), **others})
    except PredictedError:
        return True
    return False


def test_calls_that_an_operator_refuses_become_preconditions(laboratory):
    """No corpus has shapes that a tensor cannot be written in, or types that it cannot hold: the sweep makes them."""
    written = replace(of_two("torch.Tensor.mul_"), outputs=(Output(always("same self")),))
    learned = with_provoked_refusals(written, laboratory, 0)
    row, column = TensorMeta((1, 4), (4, 1)), TensorMeta((3, 1), (1, 1))
    matrix = TensorMeta((3, 4), (4, 1))
    assert refused(learned, row, column) and refused(learned, row, matrix)
    assert refused(learned, matrix.replace(dtype=torch.int64), matrix)
    assert not refused(learned, matrix, row) and not refused(learned, matrix, matrix.replace(dtype=torch.int64))
    assert with_provoked_refusals(learned, laboratory, 1) == learned


class NoTrials:
    """A laboratory in which nothing can be tried."""

    def observe_all(self, op, level, variants, seconds=0.0, fill=None):
        return []


def test_calls_that_were_recorded_as_refused_become_preconditions():
    names, shapes = ("self", "values"), [(3, 4), (2, 3), (4,), (2, 3, 4)]
    one = replace(of_two("aten::heaviside"), level="aten", parameters=names)
    domain = Domain(*(dict.fromkeys(names, getattr(one.domain, part)["self"]) for part in ("ranks", "dtypes", "kinds")))
    facts = {"shape": "broadcast(self, values)", "stride": "iterated(shape, self, values)", "dtype": "self.dtype"}
    one = replace(rule("aten::heaviside", "values", level="aten", **facts), domain=domain)
    kinds = (torch.float32, torch.float64)
    choices = product(shapes, kinds, kinds)
    pairs = [[TensorMeta(shape, contiguous(shape), kind) for kind in both] for shape, *both in choices]
    recorded = [observe(one.op, "aten", dict(zip(names, pair, strict=True)), (0, 1)) for pair in pairs * 3]
    random.Random(0).shuffle(recorded)  # as the digests of calls do in a corpus
    assert with_provoked_refusals(one, NoTrials(), 0, recorded).raises == (
        Case("self.dtype != values.dtype", "RuntimeError"),
    )
    assert with_provoked_refusals(one, NoTrials(), 0).raises == ()


def test_no_precondition_refuses_what_another_trial_shows_to_be_taken(laboratory):
    """`alpha=True` fails for floats and is taken for truth values, which no call of the sweep has."""
    names = (*BOTH, "alpha")
    one = of_two("torch.add")
    dtypes = dict.fromkeys(BOTH, ("f32", "i64", "bool"))
    domain = replace(one.domain, dtypes=dtypes, kinds={**one.domain.kinds, "alpha": ("int", "bool")})
    learned = with_provoked_refusals(replace(one, parameters=names, domain=domain), laboratory, 0)
    truth = TensorMeta((3, 4), (4, 1)).replace(dtype=torch.bool)
    assert not refused(learned, truth, truth, alpha=True)


def test_every_relation_is_made():
    variants = list(together(of_two(), 0, ("row-major", "permuted"), 4))
    pairs = [metas_of(variant.arguments) for variant in variants]
    shapes = [(left.shape, right.shape) for left, right in pairs]
    assert any(left != right and left and right for left, right in shapes)
    assert any((left == ()) != (right == ()) for left, right in shapes)
    assert any(0 in left and 0 in right for left, right in shapes)
    assert any(1 in left and 1 in right and left == right for left, right in shapes)
    assert any(left.dtype != right.dtype for left, right in pairs)
    shared = [(variant, pair) for variant, pair in zip(variants, pairs, strict=True) if variant.shares == (0, 0)]
    assert any(left == right for _, (left, right) in shared)
    assert any(left.storage_offset != right.storage_offset for _, (left, right) in shared)
    assert any(left.stride != right.stride for _, (left, right) in shared)


def test_one_tensor_in_two_places_is_one_tensor():
    for variant in together(of_two(), 0, ("row-major",), 4):
        metas = metas_of(variant.arguments)
        if variant.shares == (0, 0) and metas[0] == metas[1]:
            tensors = tensors_for(metas, variant.shares, torch.Generator().manual_seed(0))
            live = in_place_of_metas(variant.arguments, tensors)
            assert live["self"] is live["other"]
            return
    raise AssertionError("no call has one tensor twice")


def test_a_rule_of_one_tensor_has_no_relations():
    assert list(together(rule("torch.exp"), 0, ("row-major",), 4)) == []


def test_calls_follow_from_domain_and_seed():
    first, again, other = (list(together(of_two(), seed, ("permuted",), 4)) for seed in (1, 1, 2))
    assert first == again != other
    assert len(RELATIONS) == 10


def test_a_right_rule_stays_as_it_is(laboratory):
    right = of_two(dtype="promoted(self, other)")
    exact, wrong, unanswered = counted(right, laboratory)
    assert exact > 80 and not wrong and not unanswered
    assert tried_together([right], laboratory) == [right]


@pytest.mark.parametrize(
    "facts",
    [
        {"dtype": "self.dtype"},  # wrong about tensors of other types
        {"shape": "self.shape", "stride": "iterated(self.shape, self)", "dtype": "promoted(self, other)"},  # broadcast
        {"stride": "contiguous(shape)", "dtype": "promoted(self, other)"},
    ],
    ids=["dtype", "shape", "stride"],
)
def test_wrong_rules_are_found_and_narrowed(facts, laboratory):
    wrong = of_two(ranks=(0, 1, 2), **facts)
    assert counted(wrong, laboratory)[1] > 0
    (narrow,) = tried_together([wrong], laboratory)
    exact, still_wrong, _ = counted(narrow, laboratory)
    assert exact > 20 and not still_wrong
    assert tried_together([narrow], laboratory) == [narrow]


def test_recorded_calls_count_as_trials(laboratory):
    """No trial has eleven rows, so only calls that were recorded contradict what a rule says of these."""
    right = of_two(ranks=(0, 1, 2), dtype="promoted(self, other)")
    rare = Case("rank(self.shape) == 2 and self.shape[0] == 11", "(1, 1)")
    wrong = replace(right, outputs=(replace(right.outputs[0], shape=(rare, *right.outputs[0].shape)),))
    metas = [TensorMeta((11, size), (size, 1)) for size in range(2, 9)]
    pairs = [CallVariant({"self": meta, "other": meta}, (0, 1)) for meta in metas]
    recorded = trials_made(laboratory.observe_all(right.op, right.level, pairs))
    assert tally(wrong.op, [wrong], recorded).wrong == len(pairs) and tried_together([wrong], laboratory) == [wrong]
    (narrow,) = tried_together([wrong], laboratory, recorded=recorded)
    assert not tally(narrow.op, [narrow], recorded).wrong and counted(narrow, laboratory)[0] > 20


def test_a_rule_learned_from_few_calls_is_withdrawn_whole_once_it_is_contradicted(laboratory):
    wrong = of_two(dtype="self.dtype")
    (narrow,) = tried_together([replace(wrong, provenance=Provenance(calls=19))], laboratory)
    assert narrow.is_unknown
    right = replace(of_two(dtype="promoted(self, other)"), provenance=Provenance(calls=3))
    assert tried_together([right], laboratory) == [right]


def test_calls_that_depend_on_values_contradict_a_rule(laboratory):
    """`x[i]` for an integer `i` without dimensions is a view at an offset that only the data tell."""
    view = Output(
        always("view self"),
        always("select(self, 0, 0).shape"),
        always("select(self, 0, 0).stride"),
        always("self.storage_offset"),
        always("self.dtype"),
        always("False"),
    )
    domain = Domain(
        {"self": (2,), "key": (0,)},
        {"self": ("f32",), "key": ("i64",)},
        {"self": ("tensor",), "key": ("tensor",)},
    )
    form = always("tensor_0")
    one = Rule("torch.Tensor.__getitem__", "function", ("self", "key"), form, (view,), domain=domain)
    inputs = replace(one, domain=replace(domain, ranks={"self": (0, 1, 2), "key": (0, 1, 2)}))
    dependent = replace(inputs, provenance=Provenance(dependent=1))
    asked = [call for call in trials_of(dependent, laboratory, 0) if call.arguments["key"].rank == 0]
    assert asked
    (result,) = swept([dependent], laboratory)
    assert result.wrong


def test_a_refusal_that_the_operator_contradicts_is_withdrawn(laboratory):
    right = of_two(dtype="promoted(self, other)")
    refusing = replace(right, raises=(Case("rank(self.shape) == 2", "RuntimeError"),))
    assert counted(refusing, laboratory)[1] > 0
    assert tried_together([refusing], laboratory) == [right]


def test_a_function_and_its_method_are_twins():
    assert twins_of("torch.where", "function") == ["torch.Tensor.where"]
    assert twins_of("torch.Tensor.where", "function") == ["torch.where"]
    assert twins_of("torch.Tensor.add_", "function") == ["torch.add_"]
    assert twins_of("torch.Tensor.__eq__", "function") == ["torch.Tensor.eq", "torch.eq"]
    assert twins_of("aten::where.self", "aten") == twins_of("torch._C._nn.gelu", "function") == []


def test_the_twin_that_answers_more_is_taken(tmp_path, laboratory):
    right = of_two("torch.maximum", dtype="promoted(self, other)")
    poor = replace(of_two("torch.Tensor.maximum", dtype="promoted(self, other)"), domain=of_two(ranks=(1,)).domain)
    write_title(tmp_path)
    for one in (right, poor):
        write_rules(tmp_path, one.op, one.level, [one])
    (taken,) = narrowed(Rulebook(tmp_path), poor.op, poor.level, laboratory)
    assert taken.op == "torch.Tensor.maximum" and taken.domain.ranks == right.domain.ranks
    (kept,) = narrowed(Rulebook(tmp_path), right.op, right.level, laboratory)
    assert kept == right
    write_rules(tmp_path, right.op, right.level, [of_two("torch.maximum", dtype="self.dtype")])
    (alone,) = narrowed(Rulebook(tmp_path), poor.op, poor.level, laboratory)
    assert alone == poor


def test_recorded_calls_of_a_twin_contradict_a_rule_too(tmp_path):
    """Of a dimension without elements `chunk` gives as many pieces as were asked for, not one; no trial asks that."""
    op, book = "torch.Tensor.chunk", tmp_path / "book"
    with record(tmp_path / "corpus", levels=["function"]):
        for size in range(1, 13):
            torch.chunk(torch.zeros(size, 0, 3), 3, 1)
    (right,) = Rulebook(shipped_folder()).rules(op, "function")
    write_title(book)
    write_rules(book, op, "function", [replace(right, form=right.form[-1:])])
    words = ["rules", "narrow", str(book), "-o", str(book), "--corpus", str(tmp_path / "corpus")]
    assert CliRunner().invoke(application, words).exit_code == 0
    (narrow,) = Rulebook(book).rules(op, "function")
    empty, full = (Answerer(narrow).answer({"self": meta, "chunks": 3, "dim": 1}) for meta in (EMPTY, FULL))
    assert empty is None and full is not None


def test_the_command_writes_a_book_that_it_leaves_as_it_is(tmp_path):
    book, once, again = tmp_path / "book", tmp_path / "once", tmp_path / "again"
    write_title(book, machine="here")
    write_rules(book, "torch.maximum", "function", [of_two(ranks=(1, 2), dtype="self.dtype")])
    write_rules(book, "torch.exp", "function", [rule("torch.exp")])
    run = CliRunner().invoke
    swept_before = run(application, ["rules", "sweep", "--book", str(book), "--ops", "maximum", "--json"])
    assert swept_before.exit_code == 1
    (facts,) = json.loads(swept_before.stdout)
    assert facts["differences"]["dtype"] == facts["wrong"] > 0
    for source, out in ((book, once), (once, again)):
        assert run(application, ["rules", "narrow", str(source), "-o", str(out), "--ops", "maximum"]).exit_code == 0
    texts = [{path.name: path.read_text() for path in each.rglob("*.json")} for each in (book, once, again)]
    assert texts[0] != texts[1] == texts[2]
    assert read_title(once) == read_title(book)
    assert run(application, ["rules", "sweep", "--book", str(once), "--ops", "maximum"]).exit_code == 0


@pytest.mark.parametrize("part", range(8))
def test_no_shipped_rule_of_several_tensors_is_wrong(part, laboratory):
    """Broadcast, empty, of other types, the same tensor twice, in one memory: in seven layouts, ranks 0 to 5."""
    book = Rulebook(shipped_folder())
    rules = [each for level, op in book.operators()[part::8] for each in book.rules(op, level)]
    several = [each for each in rules if len(tensors_of(each)) > 1]
    results = list(swept(several, laboratory))
    assert [(each.op, each.examples[0]) for each in results if each.wrong] == []
    exact, unanswered = (sum(getattr(each, name) for each in results) for name in ("exact", "unanswered"))
    assert exact > 3 * unanswered and exact > 1000
