"""The log: what BYTEGRAPH_LOG, BYTEGRAPH_LOG_JSON and `set_log` write, and what is said without them."""

import json
import logging
import os
import subprocess
import sys

import pytest
import torch

from tests.imports import ROOT
from tracer import capture, graph_break, logs, reset, set_log
from tracer.captured import captured_form
from tracer.dispatch import engine
from tracer.dispatch.engine import Engine
from tracer.events import KINDS, LOG, Event
from tracer.options import Options


@pytest.fixture(autouse=True)
def no_log():
    reset()
    logs._warned.clear()
    yield
    set_log()


def program():
    def step(x, flag):
        y = x + len(flag)
        graph_break()
        return y * 2

    return step


def run(*flags, **options):
    captured = capture(program(), **options)
    return [captured(torch.ones(2), flag) for flag in flags]


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "bytegraph"]


def test_without_a_log_nothing_is_said(caplog, capfd):
    run("a", "bb")
    assert not lines(caplog) and capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "topic, said",
    [
        ("breaks", "graph break in program.<locals>.step, test_logs.py:32: explicit"),
        ("recaptures", "step, test_logs.py:30 is captured again: flag is 'bb', captured with 'a'"),
        ("guards", "step, test_logs.py:30 has "),
        ("graphs", "graph of program.<locals>.step, test_logs.py:30: 1 operators"),
        ("cache", "captured program.<locals>.step, test_logs.py:30 in "),
    ],
)
def test_a_topic_is_logged_and_no_other(topic, said, caplog):
    set_log(topic)
    run("a", "bb")
    kinds = {record.event.kind for record in caplog.records}
    assert any(said in line for line in lines(caplog)), lines(caplog)
    assert kinds and kinds <= set(logs.TOPICS[topic])
    assert all("\n" not in line for line in lines(caplog))


@pytest.mark.parametrize(
    "topic, said",
    [("+breaks", "^^^^"), ("breaks+", "hint: "), ("+graphs", "def graph("), ("+guards", "torch.Tensor f32[2]")],
)
def test_a_plus_asks_for_detail(topic, said, caplog):
    set_log(topic)
    run("a")
    assert any(said in line for line in lines(caplog)), lines(caplog)


def test_rules_are_logged(caplog):
    set_log("rules")
    LOG.emit(Event("quarantine", {"rule": "aten::add", "found": "f32[2]"}))
    assert lines(caplog) == ["quarantine: {'rule': 'aten::add', 'found': 'f32[2]'}"]


def test_every_topic_has_kinds_that_there_are_and_all_names_them_all(caplog):
    kinds = [kind for topic in logs.TOPICS.values() for kind in topic]
    assert len(set(kinds)) == len(kinds) and set(KINDS) - set(kinds) == {"stage"}
    assert set(logs.topics_of("all")) == set(logs.TOPICS) and set(logs.topics_of("all").values()) == {False}
    set_log("+all")
    run("a")
    assert {"break", "graph", "guards", "capture"} <= {record.event.kind for record in caplog.records}


def test_the_guide_has_the_kinds_of_each_topic():
    page = (ROOT / "docs" / "debugging.md").read_text()
    for topic, kinds in logs.TOPICS.items():
        assert f"| `{topic}` | {', '.join(f'`{kind}`' for kind in kinds)} |" in page


def test_calls_that_a_capture_answers_emit_no_event():
    set_log("+all")
    captured = capture(program())
    captured(torch.ones(2), "a")
    before = len(LOG.recent())
    captured(torch.ones(2), "a")
    assert len(LOG.recent()) == before


def test_a_log_is_turned_off(caplog):
    set_log("all")
    set_log()
    run("a", "bb")
    assert not lines(caplog) and not LOG.detailed and not logs.LOGGER.handlers
    assert logs.LOGGER.level == logging.NOTSET


def test_a_topic_that_there_is_not_is_named():
    set_log("breaks")
    with pytest.raises(ValueError, match="no topic of the log is named 'brekas'; did you mean 'breaks'"):
        set_log("graphs,brekas")
    assert list(logs._topics) == ["breaks"]  # as before


def test_a_captured_function_sets_the_log_natively():
    @capture
    def step(x):
        set_log("breaks")
        return x + 1

    assert step(torch.ones(1)) == 2 and list(logs._topics) == ["breaks"]


def test_limit_is_one_warning_for_a_function_and_says_what_keeps_changing(caplog):
    run("a", "bb", "ccc", "dddd", "eeeee", recompile_limit=2)
    (record,) = [record for record in caplog.records if "step, test_logs.py:30" in record.getMessage()]
    assert record.levelno == logging.WARNING and "2 captures, its limit" in record.getMessage()
    assert "What keeps changing: flag (flag is 'ccc', captured with" in record.getMessage()
    assert "pass what changes as a tensor, if it is a number" in record.getMessage()


def test_limit_names_the_number_that_the_captures_were_specialised_on(caplog):
    @capture(recompile_limit=5)
    def step(x, number):
        return x + len(str(number))

    for number in range(9):
        assert step(torch.ones(1), number) == 2
    (line,) = [line for line in lines(caplog) if "its limit" in line]
    assert "What keeps changing: number (" in line and line.count(";") == 3 and "; 2 more)" in line
    assert "pass what changes as a tensor, if it is a number" in line


def test_internal_error_is_one_warning_for_a_function(caplog, monkeypatch):
    def fail(request):
        raise KeyError("lost")

    monkeypatch.setattr(engine, "capture_frame", fail)
    captured = captured_form(Engine(Options(raise_bugs=False)), program())
    for flag in ("a", "bb"):
        assert captured(torch.ones(1), flag) == 2 * (1 + len(flag))
    (line,) = lines(caplog)
    assert "internal error" in line and "KeyError: 'lost'" in line and "step, test_logs.py:30" in line


SCRIPT = """
import logging, sys, torch
if "basic" in sys.argv:
    logging.basicConfig(format="THEIRS %(message)s")
import bytegraph
@bytegraph.capture
def step(x):
    bytegraph.graph_break()
    return x + 1
for _ in range(3):
    step(torch.ones(2))
"""


def run_script(tmp_path, *words, **variables):
    (tmp_path / "script.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, "script.py", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=True,
    )


def test_environment_asks_for_topics_and_for_json(tmp_path):
    ended = run_script(tmp_path, BYTEGRAPH_LOG="breaks", BYTEGRAPH_LOG_JSON="log.jsonl")
    assert ended.stderr == "bytegraph: graph break in step, script.py:8: explicit (no detail)\n"
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"capture", "break", "graph", "guards"} <= {event["kind"] for event in events}
    assert next(event for event in events if event["kind"] == "break")["line"] == 8
    assert "def graph(" in next(event for event in events if event["kind"] == "graph")["text"]


def test_logging_of_the_program_gets_the_records_once(tmp_path):
    ended = run_script(tmp_path, "basic", BYTEGRAPH_LOG="breaks")
    assert ended.stderr == "THEIRS graph break in step, script.py:8: explicit (no detail)\n"


def test_a_mistake_in_the_environment_is_a_warning(tmp_path):
    ended = run_script(tmp_path, BYTEGRAPH_LOG="brekas", BYTEGRAPH_DISABLE="1")
    assert "BYTEGRAPH_LOG: no topic of the log is named 'brekas'; did you mean 'breaks'?" in ended.stderr


def test_environment_turns_captures_off(tmp_path):
    ended = run_script(tmp_path, BYTEGRAPH_LOG="all", BYTEGRAPH_LOG_JSON="log.jsonl", BYTEGRAPH_DISABLE="1")
    assert ended.stderr == "" and (tmp_path / "log.jsonl").read_text() == ""
