"""The benchmarks' own arithmetic and output; what they measure is measured by `make bench`."""

import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmarks import demo, measure, scale
from benchmarks.measure import Spread, differences, first_calls, interleaved, ratios, spread
from benchmarks.subjects import qwen3
from benchmarks.suite import Row
from benchmarks.table import amount, as_json, cell


def test_statistics():
    assert spread([3.0]) == Spread(3.0, 3.0, 3.0, 1)
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == Spread(3.0, 2.0, 4.0, 5)
    assert differences([3.0, 5.0], [1.0, 1.0]).median == 3.0
    assert ratios([3.0, 5.0], [1.0, 1.0]).median == 4.0


class Clock:
    """Stands in for the module `time`; time passes when somebody sleeps."""

    def __init__(self):
        self.seconds = 0.0

    def perf_counter(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    return clock


def test_contestants_take_turns(clock):
    order = []
    contestants = {name: (lambda name=name: (order.append(name), clock.sleep(0.001))) for name in "ab"}
    samples = interleaved(contestants, rounds=3, seconds=0.001)
    assert order[-6:] == ["a", "b", "b", "a", "a", "b"]
    assert samples == {name: [pytest.approx(0.001)] * 3 for name in "ab"}


def test_first_call_of_a_warmed_process(clock):
    prepared = []

    def prepare():
        prepared.append(len(prepared))
        return lambda: clock.sleep(0.01 if prepared[-1] == 0 else 0.001)

    assert first_calls(prepare, rounds=2) == [pytest.approx(0.001)] * 2


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.5, "s", "1.5 s"),
        (0.0123, "s", "12.3 ms"),
        (4.5e-7, "s", "450 ns"),
        (-2e-6, "s", "-2 µs"),
        (0.5, "x", "0.5 x"),
    ],
)
def test_amounts_are_written_in_fitting_units(value, unit, text):
    assert amount(value, unit) == text


def test_row_knows_whether_its_target_is_reached():
    row = Row("group", "name", "s", None, spread([2.0]), spread([1.0, 2.0, 3.0]), 2.0)
    assert row.reached is True
    assert cell(row.bytegraph, "s").startswith("2 s")
    assert json.loads(as_json([row]))["rows"][0]["reached"] is True
    assert Row("group", "name", "s", None, None, spread([3.0]), 2.0).reached is False
    assert Row("group", "name", "s", None, None, None, 2.0).reached is None


def test_the_demo_shows_a_model_in_tables_and_as_json(capsys):
    shown = demo.summary(qwen3(1))
    console = Console(width=150, file=io.StringIO())
    demo.show(shown, console)
    out = console.file.getvalue()
    assert "Qwen3Model, captured from its bytecode" in out and "embed_tokens_weight" in out
    assert demo.main(["--json", "--layers", "1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["facts"]["breaks"] == 0 and all(len(row) == 3 for row in printed["guards"])


def test_growth_is_the_exponent_of_the_size():
    assert round(scale.exponent([1, 2, 4], [3, 6, 12]), 6) == 1 and round(scale.exponent([1, 2], [5, 5]), 6) == 0


def test_a_model_of_many_modules_and_many_functions_are_measured():
    rows = [*scale.of_model(32), *scale.of_functions(20)]
    assert len(rows) == 2 * len(scale.NAMES) + 3
    assert all(row.bytegraph is not None for row in rows)


def test_memory_that_nobody_can_see_counts_as_a_page(monkeypatch):
    sent: list[int] = []
    monkeypatch.setattr(scale, "resident", lambda: 0)
    scale._grow(2, SimpleNamespace(send=sent.append))
    assert sent == [scale.PAGE]


def test_processes_that_share_a_folder_capture_only_where_it_is_empty():
    rows = {(row.group, row.name): row for row in scale.of_processes(3)}
    assert len(rows) == 9
    missed = [row for row in rows.values() if row.reached is False]
    assert not missed
    assert rows["processes that captured", "3 processes, empty folder"].bytegraph.median >= 1
