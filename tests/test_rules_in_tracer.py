"""Tracing with rules: they are asked first, what they lack is tried, and a wrong one does no harm."""

import gc
import json
import sys
from dataclasses import replace

import pytest
import torch

import tracer
from passes.operators.evaluate import Evaluator
from passes.operators.verify import CheckedRun
from passes.rules.language import RuleError
from passes.rules.rule import always, from_json, to_json
from tests.rulebooks import IN_PLACE, NEG, RECIPROCAL, RELU, TIMES, book, rule
from tracer import report
from tracer.events import LOG
from tracer.interpret import evaluator
from tracer.interpret.evaluator import EVALUATOR
from tracer.reasons import TracerBug


@pytest.fixture
def use(tmp_path):
    """Use a book of these rules until the test ends."""
    before = EVALUATOR.book

    def use_rules(*rules):
        tracer.use_rulebook(book(tmp_path, *rules))
        EVALUATOR.tally = type(EVALUATOR.tally)()
        return tmp_path

    yield use_rules
    EVALUATOR.book = before


def program(x):
    y = torch.relu(x.t())
    return y.sum(0), y


X = torch.linspace(-1, 1, 6).reshape(2, 3)


def test_rules_are_asked_before_anything_is_run(use):
    use(RELU)
    captured = tracer.capture(program)
    for got, expected in zip(captured(X), program(X), strict=True):
        assert got.equal(expected)
    assert EVALUATOR.tally.by_rules == 1
    assert {trial.operator for trial in EVALUATOR.tally.trials} == {"torch.Tensor.t", "torch.Tensor.sum"}


def test_explain_tells_which_operators_had_no_rule(use):
    use(RELU)
    numbers = tracer.explain(program, X).numbers
    assert "predicted by rules    1  of 3 operators" in numbers
    assert "1 x torch.Tensor.t: no rule" in numbers


def test_a_file_of_rules_that_cannot_be_read_is_reported_with_its_place_and_the_operator_is_tried(use):
    folder = use(RELU, NEG)
    file = folder / "function" / "torch.relu.json"
    file.write_text(file.read_text().replace("self.shape", "self.shape + wide"))
    explanation = tracer.explain(program, X)
    words = f"{file}: rule of torch.relu, result 0 shape: 'self.shape + wide', column 14: nothing is called 'wide'"
    assert f"1 x torch.relu: its rules were refused: {words}" in explanation.numbers
    assert explanation.captures == 1 and not explanation.bugs
    (event,) = LOG.recent("rules refused")
    assert event.details["why"].startswith(words)
    tracer.explain(program, X + 1)
    assert len(LOG.recent("rules refused")) == 1


def test_a_folder_without_a_book_is_refused_when_it_is_named():
    before = EVALUATOR.book
    with pytest.raises(RuleError, match="nowhere is no rulebook: it has no book.json"):
        tracer.use_rulebook("nowhere")
    assert EVALUATOR.book is before


def test_a_folder_without_a_book_that_the_environment_names_is_reported(monkeypatch):
    """It is opened at the first capture, which evaluates operators without rules then."""
    monkeypatch.setenv("BYTEGRAPH_RULES", "nowhere")
    monkeypatch.setattr(evaluator, "EVALUATOR", Evaluator(open_book=evaluator._book_at_start))
    monkeypatch.setattr(report, "EVALUATOR", evaluator.EVALUATOR)
    assert evaluator.EVALUATOR.book is None
    (event,) = LOG.recent("rules refused")
    assert event.details["why"].startswith("BYTEGRAPH_RULES: nowhere is no rulebook")
    assert "rulebook refused    1  nowhere is no rulebook" in report.Explanation([], [], None).numbers


@pytest.mark.parametrize("strict", [False, True])
def test_right_rules_stay(use, strict):
    use(RELU, NEG, TIMES, RECIPROCAL, IN_PLACE)

    def many(x):
        y = (-torch.relu(x) * x).neg()
        y *= 2
        return y, 2 / x, 2 * x, x * 2.5

    captured = tracer.capture(many, strict=strict)
    for _ in range(2):
        for got, expected in zip(captured(X.clone()), many(X), strict=True):
            torch.testing.assert_close(got, expected)
    assert not LOG.recent("quarantine")
    assert not EVALUATOR.tally.trials
    assert tracer.counters().captures == 1


def test_named_results_are_those_of_the_function_that_was_called(use):
    """torch.linalg.slogdet gives a linalg_slogdet, torch.slogdet a slogdet, and with `out` there are others still."""
    matrix = {"shape": "first(self.shape, -2)", "stride": "contiguous(shape)"}
    one = rule("torch.slogdet", **matrix)
    two = replace(one, form=always("(tensor_0, tensor_1)"), outputs=one.outputs * 2)
    renamed = from_json(json.loads(json.dumps(to_json(two)).replace("self", "A")))  # as the parameter is called there
    use(two, replace(renamed, op="torch.linalg.slogdet"))
    x = torch.eye(3) * 2
    for function in (lambda x: torch.linalg.slogdet(x), lambda x: torch.slogdet(x)):
        got = tracer.capture(function)(x)
        assert type(got) is type(function(x)) and got[1].equal(function(x)[1])
    assert not LOG.recent("quarantine")
    assert EVALUATOR.tally.by_rules == 2


WRONG = {
    "shape": {"shape": "reordered(self.shape, (1, 0))", "stride": "contiguous(shape)"},
    "stride": {"stride": "contiguous(self.shape)"},
    "dtype": {"dtype": "float64"},
    "offset": {"storage_offset": "1"},
    "view": {"alias": "view self"},
    "itself": {"alias": "same self"},
    "gradient": {"requires_grad": "True"},
}


@pytest.mark.parametrize("facts", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("backend", ["eager", lambda module, inputs: module.forward], ids=["replayed", "compiled"])
def test_a_wrong_rule_is_quarantined_and_the_answer_is_right(use, facts, backend):
    use(rule("torch.relu", **facts))

    def shape_of_it(x):
        y = torch.relu(x.t())
        return y, y.shape, y.dtype

    captured = tracer.capture(shape_of_it, backend=backend)
    for _ in range(2):
        got, shape, dtype = captured(X)
        assert got.equal(torch.relu(X.t()))
        assert got.stride() == torch.relu(X.t()).stride()
        assert (shape, dtype) == (got.shape, got.dtype)
    (event,) = LOG.recent("quarantine")
    assert event.details["rule"].startswith("relu(")
    at_once = backend != "eager" or facts == {"alias": "same self"}  # before there was an entry
    assert tracer.counters().captures == (1 if at_once else 2)
    assert [found.op for found in EVALUATOR.book.quarantined] == ["torch.relu"]
    assert len(captured.entries) == 1


def test_a_fake_kernel_is_no_proof_against_a_rule():
    """torch's fake dropout copies what the kernel returns as it is."""
    dropout = torch.nn.functional.dropout
    captured = tracer.capture(lambda x: (x + 1, dropout(x, 0.5, training=False) is x), dynamic=True)
    for x in (X.clone(), torch.ones(5, 7)):
        got, is_itself = captured(x)
        assert got.equal(x + 1)
        assert is_itself
    assert not LOG.recent("quarantine")


def test_numbers_of_dimensions_that_vary_are_guarded():
    captured = tracer.capture(lambda x, last: x.permute((0, last, 3 - last)), dynamic=True)
    x = torch.arange(24.0).reshape(2, 3, 4)
    for last in (1, 2, 1):
        got = captured(x, last)
        assert got.equal(x.permute(0, last, 3 - last))
        assert got.stride() == x.permute(0, last, 3 - last).stride()
    assert not any("no such dimension" in trial.reason for trial in EVALUATOR.tally.trials)


def test_a_wrong_rule_about_what_is_never_run(use):
    use(rule("torch.relu", shape="reordered(self.shape, (1, 0))", stride="contiguous(shape)"))

    def only_the_shape(x):
        return x + torch.relu(x).shape[0]

    assert tracer.capture(only_the_shape)(X).equal(X + 2)
    assert LOG.recent("quarantine")


def test_what_was_written_before_a_mistake_is_written_once(use):
    use(IN_PLACE, rule("torch.relu", dtype="float64"))

    def writes(x):
        x *= 2
        return torch.relu(x)

    captured, x = tracer.capture(writes), X.clone()
    got = captured(x)
    assert x.equal(X * 2)
    assert got.equal(torch.relu(X * 2))
    assert LOG.recent("quarantine")


def test_what_was_written_by_a_call_seen_before_is_written_once(use):
    """The write is known to be right from another graph, or was tried: it is undone all the same."""

    def first(x):
        return x.mul_(3)

    def writing(x):
        x.mul_(3)
        x.add_(2)
        return torch.relu(x.t())

    use(TIMES, IN_PLACE, rule("torch.relu", stride="contiguous(self.shape)"))
    x, expected = X.clone(), X.clone()
    tracer.capture(first)(X.clone())
    assert tracer.capture(writing)(x).equal(writing(expected))
    assert x.equal(expected)
    assert len(LOG.recent("quarantine")) == 1


def test_random_numbers_are_drawn_once_for_a_call_made_anew(use):
    use(rule("torch.relu", dtype="float64"))

    def draws(x):
        return torch.relu(x + torch.rand(3))

    torch.manual_seed(3)
    got = tracer.capture(draws)(X)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    assert got.equal(draws(X))
    assert after.equal(torch.get_rng_state())
    assert LOG.recent("quarantine")


def test_writes_that_autograd_noted_are_not_undone(use):
    use(IN_PLACE, rule("torch.relu", dtype="float64"))
    weight = torch.ones(3, requires_grad=True)

    def writes(x, weight):
        x *= weight
        return torch.relu(x)

    x = X.clone()
    got = tracer.capture(writes)(x, weight)
    got.sum().backward()
    assert x.equal(X)
    assert got.dtype is torch.float32
    assert weight.grad.equal((X * (X > 0)).sum(0))
    assert LOG.recent("quarantine")


def test_strict_mode_finds_a_wrong_rule_before_the_graph_runs(use):
    use(rule("torch.relu", stride="contiguous(self.shape)"))
    with pytest.raises(TracerBug, match=r"a rule and its operator disagree: relu\(f32\[3, 2\].*stride .* instead of"):
        tracer.capture(program, strict=True)(X)


def test_later_calls_go_straight_to_the_graph(use):
    use(RELU)
    calls = []

    def backend(module, inputs):
        def compiled(*args):
            calls.append(len(args))
            return module(*args)

        return compiled

    captured = tracer.capture(program, backend=backend)
    for _ in range(3):
        captured(X)
    assert len(calls) == 3
    (entry,) = captured.entries
    function = entry.function
    assert function.__globals__["graph"].__name__ == "compiled"
    assert function.__code__.co_name == "program_program"


def test_no_garbage_is_collected_in_a_first_run(use):
    use(RELU, NEG)
    seen = []

    def note(phase, facts):
        frame = sys._getframe()
        while frame is not None:
            seen.extend([phase] * (frame.f_code is CheckedRun.run.__code__))
            frame = frame.f_back

    before = gc.get_threshold()
    gc.callbacks.append(note)
    gc.set_threshold(1)
    try:
        tracer.capture(lambda x: torch.relu(x.neg()))(X)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(note)
    assert not seen
    assert gc.isenabled()


def test_symbols_are_predicted_and_guarded(use):
    use(RELU, TIMES, NEG)

    def sizes(x):
        return -(torch.relu(x) * x)

    captured = tracer.capture(sizes)
    for rows in (2, 3, 4, 5, 6):
        x = torch.randn(rows, 3)
        assert captured(x).equal(sizes(x))
    assert tracer.counters().captures == 2
    assert not EVALUATOR.tally.trials
    assert not LOG.recent("quarantine")


def test_no_rules_and_no_such_book(use, tmp_path):
    use(RELU)
    with pytest.raises(RuleError, match="is no rulebook"):
        tracer.use_rulebook(tmp_path / "nothing")
    assert EVALUATOR.book is not None
    tracer.use_rulebook(None)
    tracer.capture(program)(X)
    assert EVALUATOR.tally.by_rules == 0


@pytest.mark.parametrize("inference", [True, False])
def test_tensors_of_inference_mode(use, inference):
    use(
        RELU,
        TIMES,
        rule(
            "torch.Tensor.view",
            "size",
            alias="view self",
            shape="literal(self.shape, size)",
            stride="contiguous(shape)",
        ),
    )

    def views(x):
        return (torch.relu(x) * 2).view(-1), x.view(-1), x.view(3, 2).is_inference()

    with torch.inference_mode():
        given = X.clone()
    captured = tracer.capture(views)
    with torch.inference_mode(inference):
        for x in (X, given):
            for got, expected in zip(captured(x), views(x), strict=True):
                assert got is expected if isinstance(got, bool) else got.equal(expected)
                assert isinstance(got, bool) or got.is_inference() == expected.is_inference()
    assert not LOG.recent("quarantine")
    assert EVALUATOR.tally.by_rules


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_views_of_tensors_that_require_gradients(use, mode):
    view = rule(
        "torch.t", alias="view self", shape="transpose(self, 0, 1).shape", stride="transpose(self, 0, 1).stride"
    )
    use(RELU, view, rule("torch.Tensor.detach", alias="view self", requires_grad="False"))
    weight = torch.ones(2, 3, requires_grad=True)

    def views(weight, computed):
        parts = weight.t(), computed.t(), torch.relu(weight.t()), weight.detach()
        return parts, [(part.requires_grad, part.is_leaf) for part in parts]

    given = weight, weight * 2
    with mode():
        parts, facts = tracer.capture(views)(*given)
        assert facts == views(*given)[1] == [(part.requires_grad, part.is_leaf) for part in parts]
    assert not LOG.recent("quarantine")
    assert not EVALUATOR.tally.trials
