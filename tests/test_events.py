"""The lowest layer: catalogue of reasons, options, events and their counters."""

import io
import json
from pathlib import Path

import pytest

from tracer import events, reasons
from tracer.events import KINDS, Event, EventLog, json_lines
from tracer.options import Options
from tracer.reasons import REASONS, GraphBreak, Reason

SOURCES = [path for path in Path(reasons.__file__).parent.rglob("*.py") if path.name != "reasons.py"]


def test_every_reason_has_one_constant_named_after_its_id():
    constants = {name: value for name, value in vars(reasons).items() if isinstance(value, Reason)}
    assert {value.id.upper().replace("-", "_"): value for value in constants.values()} == constants
    assert len(constants) == len(REASONS)


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_reason_reads_as_part_of_a_sentence(reason):
    for text in (reason.what, reason.hint):
        assert text and not text.endswith(".") and text[0].islower()


def test_a_remedy_can_be_read_without_those_before_it():
    """Explanations list each by itself, so that each has a verb of its own."""
    first_words = {remedy.split()[0] for reason in REASONS.values() for remedy in reason.remedies}
    assert not first_words & {"the", "a", "an", "its", "to"}, first_words


def test_every_reason_is_given_somewhere():
    text = "\n".join(path.read_text() for path in SOURCES)
    unused = [reason_id for reason_id in REASONS if reason_id.upper().replace("-", "_") not in text]
    assert not unused


def test_graph_break_says_why():
    assert str(GraphBreak(reasons.EXPLICIT, "because")) == "explicit: graph_break() was called (because)"


def test_options_are_frozen_and_hashable_by_choice():
    assert Options(recompile_limit=3) == Options(recompile_limit=3) != Options()
    with pytest.raises(AttributeError):
        Options().strict = True


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"backend": 3}, TypeError),
        ({"fullgraph": 1}, TypeError),
        ({"dynamic": "yes"}, TypeError),
        ({"recompile_limit": True}, TypeError),
        ({"recompile_limit": 0}, ValueError),
        ({"strict": None}, TypeError),
        ({"backend_options": [1]}, TypeError),
    ],
)
def test_wrong_option_is_named(wrong, error):
    with pytest.raises(error, match=next(iter(wrong))):
        Options(**wrong)


def test_counters_are_made_from_events():
    log = EventLog()
    log.emit(Event("capture", {"code": "f"}))
    log.emit(Event("graph", {"ops": 5}))
    log.emit(Event("graph", {"ops": 2}))
    log.emit(Event("break", {"reason": "explicit"}))
    log.emit(Event("bug"))
    counted = log.counters()
    assert (counted.captures, counted.graphs, counted.ops, counted.tracer_bugs) == (1, 2, 7, 1)
    assert counted.breaks == {"explicit": 1}
    counted.breaks["explicit"] = 9
    assert log.counters().breaks == {"explicit": 1}
    log.clear()
    assert log.counters() == events.Counters() and not log.recent()


def test_ring_keeps_the_last_events():
    log = EventLog(size=2)
    for kind in ("capture", "miss", "graph"):
        log.emit(Event(kind))
    assert [event.kind for event in log.recent()] == ["miss", "graph"]
    assert [event.kind for event in log.recent("graph")] == ["graph"]


def test_subscriber_hears_until_it_leaves():
    log, stream = EventLog(), io.StringIO()
    leave = log.subscribe(json_lines(stream))
    log.emit(Event("skip", {"code": "f", "why": {1, 2}}))
    leave()
    log.emit(Event("miss"))
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["kind"] == "skip"


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=next(iter(KINDS))):
        Event("nonsense")
