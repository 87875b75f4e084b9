"""Which book a capture uses: one for this torch and device, and the order in which operators are asked about."""

import json
import logging
import operator
import re

import pytest
import torch

import tracer
from passes.errors import RuleError
from passes.meta import TensorMeta, meta_of
from passes.operators.evaluate import Evaluator
from passes.operators.modes import Modes
from passes.operators.outcome import DataDependent, ListArg, New, Same, SliceArg
from passes.operators.resolve import resolve
from passes.rules.book import Rulebook, misfit, shipped_folder, write_rules, write_title
from tests.rulebooks import RELU, book, needs_book, rule
from tracer.interpret import evaluator, rulebook
from tracer.interpret.evaluator import EVALUATOR

X = torch.linspace(-1, 1, 12).reshape(3, 4)
MODES = Modes()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"torch": "1.0", "device": "mps"}, "it was made for torch 1.0 on mps"),
        ({"torch": "1.0"}, "it was made for torch 1.0 on cpu"),
        ({"device": "cuda"}, f"it was made for torch {torch.__version__} on cuda"),
        ({"torch": None}, "its title does not say"),
    ],
)
def test_a_book_for_another_torch_or_device_is_refused(tmp_path, facts, words):
    write_title(tmp_path, **facts)
    write_rules(tmp_path, RELU.op, RELU.level, [RELU])
    before = EVALUATOR.book
    with pytest.raises(RuleError, match=re.escape(words)):
        tracer.use_rulebook(tmp_path)
    assert EVALUATOR.book is before


def test_a_book_for_another_patch_of_this_torch_is_used(tmp_path):
    release = ".".join(torch.__version__.split(".")[:2])
    write_title(tmp_path, torch=f"{release}.99+cu130")
    assert misfit(Rulebook(tmp_path).title) == ""


def test_a_refused_book_of_the_environment_is_warned_of_once(tmp_path, monkeypatch, caplog):
    write_title(tmp_path, torch="1.0", device="mps")
    monkeypatch.setenv("BYTEGRAPH_RULES", str(tmp_path))
    monkeypatch.setattr(evaluator, "EVALUATOR", Evaluator(open_book=evaluator._book_at_start))
    with caplog.at_level(logging.WARNING, "bytegraph"):
        for _ in range(3):
            assert evaluator.EVALUATOR.book is None
    (warning,) = caplog.records
    assert f"torch 1.0 on mps, and this is torch {torch.__version__} on cpu" in warning.getMessage()


def test_a_torch_without_a_shipped_book_is_warned_of(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(rulebook, "SHIPPED_BOOK", tmp_path / "torch-9.9-cpu")
    with caplog.at_level(logging.WARNING, "bytegraph"):
        assert rulebook.shipped_book() is None
    assert "no rulebook is shipped for torch" in caplog.text


@needs_book
def test_the_shipped_book_names_its_torch_and_device():
    title = json.loads((shipped_folder() / "book.json").read_text())
    assert misfit(title) == ""
    assert misfit(title | {"device": "cuda"}) and misfit(title | {"torch": "2.12.0"})


def shipped() -> Evaluator:
    return Evaluator(book=Rulebook(shipped_folder()))


@needs_book
def test_the_book_is_asked_before_the_table_of_operators_that_read_values():
    """Indices that are integers do not decide the shape, masks do."""
    x, index, mask = meta_of(X), meta_of(torch.tensor([0, 2])), meta_of(X > 0)
    outcome = shipped().evaluate(torch.ops.aten.index.Tensor, (x, ListArg((index,))), (), MODES)
    assert outcome.result == New(meta_of(X[:2].clone())) and outcome.trial is None
    with pytest.raises(DataDependent):
        shipped().evaluate(torch.ops.aten.index.Tensor, (x, ListArg((mask,))), (), MODES)


def test_a_call_outside_of_a_domain_is_run_on_small_real_tensors_before_fake_ones(tmp_path):
    """Fake kernels are wrong about many strides."""
    x = X.reshape(1, 1, 1, 3, 4).transpose(3, 4)  # of a rank that the rules were not verified for
    for name, target in (
        ("torch.Tensor.logaddexp", torch.Tensor.logaddexp),
        ("torch.special.zeta", torch.special.zeta),
    ):
        evaluation = Evaluator(book=Rulebook(book(tmp_path, rule(name, "other", shape="broadcast(self, other)"))))
        outcome = evaluation.evaluate(target, (meta_of(x), meta_of(x)), (), MODES)
        assert outcome.trial is not None and not outcome.trial.fake
        assert outcome.result == New(meta_of(target(x, x))), name


def test_a_call_whose_result_hangs_on_values_is_not_run_on_made_up_ones(tmp_path):
    dependent = rule("torch.bincount")
    stored = json.loads(next(book(tmp_path, dependent).rglob("torch.bincount.json")).read_text())
    stored[0]["provenance"]["dependent"] = 3
    (tmp_path / "function" / "torch.bincount.json").write_text(json.dumps(stored))
    with pytest.raises(DataDependent):
        Evaluator(book=Rulebook(tmp_path)).evaluate(torch.bincount, (TensorMeta((3,), (1,), torch.int32),), (), MODES)


@needs_book
def test_only_a_real_kernel_quarantines_a_rule():
    """Fake tensors say that `lift_fresh` makes a copy; the rule that it gives back what it is given is right."""
    evaluation = shipped()
    lift = resolve("aten::lift_fresh", "aten")
    for meta in (meta_of(X), meta_of(torch.zeros(2000, 2000))):
        assert evaluation.evaluate(lift, (meta,), (), MODES).result == Same(0)
    assert evaluation.book.quarantined == []


@needs_book
@pytest.mark.parametrize("name", ["alias", "relu", "exp", "t"])
def test_overloads_on_tensors_that_require_grad_are_tried(name):
    """Rules of ATen were learned behind autograd, where no result requires grad."""
    overload = getattr(torch.ops.aten, name).default
    given = torch.ones(2, 3, requires_grad=True)
    evaluator = Evaluator(book=rulebook.shipped_book())
    for tensor in (given, given.detach()):
        outcome = evaluator.evaluate(overload, (meta_of(tensor),), (), MODES)
        assert outcome.result.meta == meta_of(overload(tensor))
        assert (outcome.trial is not None) == tensor.requires_grad


INDICES = torch.zeros(2, 5, dtype=torch.int64)
KEYS = {
    "indices": INDICES,
    "indices of two dimensions": (INDICES, INDICES[0]),
    "indices apart": (INDICES, slice(None), INDICES),
    "a list behind a slice": (slice(1, None), [0, 1]),
    "a new dimension": (None, 1, ...),
}


@needs_book
@pytest.mark.parametrize("name", KEYS)
def test_the_shipped_rule_of_indexing_answers(name):
    tensor, key = torch.zeros(4, 3, 6).transpose(0, 2), KEYS[name]
    real = tensor[key]
    outcome = shipped().evaluate(operator.getitem, (meta_of(tensor), _asked(key)), (), MODES)
    assert outcome.trial is None and outcome.result == New(meta_of(real), None if real._base is None else 0)


@needs_book
@pytest.mark.parametrize("bounds", [(0, 5, 0.5), (0, 5.0, 1), (1.5, 4, 1), (False, True, True), (0, 7, 2)])
def test_the_shipped_rules_of_ranges_ask_every_number_for_its_type(bounds):
    for target in (torch.arange, torch.ops.aten.arange.start_step):
        outcome = shipped().evaluate(target, bounds, (), MODES)
        assert outcome.trial is None and outcome.result == New(meta_of(target(*bounds)))


def _asked(key):
    """A key as an argument of a call: tensors by their metas."""
    if isinstance(key, torch.Tensor):
        return meta_of(key)
    if isinstance(key, slice):
        return SliceArg(key.start, key.stop, key.step)
    if isinstance(key, tuple | list):
        return (tuple if isinstance(key, tuple) else ListArg)(map(_asked, key))
    return key
