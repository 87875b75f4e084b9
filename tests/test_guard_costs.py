"""What guards cost, measured natively on the objects of calls while a report is made."""

import pytest
import torch
from torch import nn

from tests.test_report_page import facts_of
from tracer import capture, explain, graph_break
from tracer._native import guard_seconds
from tracer.guards.costs import seconds_in_words


def step(x, model):
    y = model(x)
    graph_break()
    return y * 2


def test_explain_times_the_guards_of_every_capture():
    explanation = explain(step, torch.ones(2, 4), nn.Linear(4, 4))
    assert len(explanation.entries) == 2
    for entry in explanation.entries:
        assert len(entry.costs.alone) == len(entry.guards)
        assert 0 < entry.costs.together < 1 and all(0 <= seconds < 1 for seconds in entry.costs.alone)
        assert sum(entry.costs.alone) > 0
        [heading] = [line for line in str(entry).splitlines() if line.startswith("guards, ")]
        assert seconds_in_words(entry.costs.together) in heading
    assert "to check all of them once" in explanation.numbers


def test_captures_made_before_are_timed_when_they_answer():
    captured = capture(step)
    model = nn.Linear(4, 4)
    captured(torch.ones(2, 4), model)
    assert captured.entries[0].costs is None
    explanation = explain(captured, torch.ones(2, 4), model)
    assert all(entry.costs for entry in explanation.entries)
    assert explanation.hits == len(explanation.entries) == 2


def test_nothing_is_timed_when_no_report_is_made():
    explain(step, torch.ones(2, 4), nn.Linear(4, 4))
    captured = capture(lambda x: x + 1)
    captured(torch.ones(2))
    captured(torch.ones(2))
    assert captured.entries[0].costs is None
    assert captured.frame_cache.strict is None


@pytest.mark.parametrize("strict", [False, True])
def test_strict_caches_check_as_before(strict):
    captured = capture(lambda x: x + 1, strict=strict)
    before = captured.frame_cache.strict
    explain(captured, torch.ones(2))
    assert captured.entries[0].costs is not None
    assert captured.frame_cache.strict is before


def test_the_page_has_the_cost_of_each_guard():
    facts = facts_of(explain(step, torch.ones(2, 4), nn.Linear(4, 4)))
    for entry in facts["entries"]:
        assert entry["checks"] > 0 and all(guard["seconds"] >= 0 for guard in entry["guards"])


def test_guards_that_do_not_hold_take_time_as_well():
    captured = capture(lambda x: x + 1)
    captured(torch.ones(2))
    [entry] = captured.entries
    assert guard_seconds(entry.guards, (), ("x",), captured.__wrapped__, (torch.ones(3),)) > 0


@pytest.mark.parametrize(
    "arguments",
    [((), (), ("x",), step, ()), ((), (), "x", step, ()), ((), ()), ((1,), (), (), step, ())],
)
def test_malformed_questions_are_errors(arguments):
    with pytest.raises((TypeError, ValueError)):
        guard_seconds(*arguments)
