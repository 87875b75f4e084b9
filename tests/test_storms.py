"""What cannot be captured usefully is left alone soon: inner frames past a limit, and libraries without tensors."""

import contextvars
import statistics
import sys

import pytest
import torch

from tests.check import check
from tracer import capture, counters, explain, reset
from tracer.dispatch.engine import PATIENCE
from tracer.dispatch.reach import reaches_tensor
from tracer.events import LOG
from tracer.options import Options

natively = contextvars.Context().run
"""Makes a call from C."""


def innermost(x, flag):
    return x * len(flag)


def inner(x, flag):
    return innermost(x, flag) + 1


def outer(x, flag):
    return inner(x, flag) + 1


def flags(count):
    return [f"flag {number}" for number in range(count)]


def test_inner_frames_do_not_start_beyond_the_limit_of_the_outer():
    reset()
    captured = capture(outer, recompile_limit=3)
    results = [captured(torch.ones(1), flag) for flag in flags(12)]
    assert [result.item() for result in results] == [outer(torch.ones(1), flag).item() for flag in flags(12)]
    assert counters().captures == 3


def test_inner_frames_with_entries_use_them_beyond_the_limit():
    def program(x, flag):
        return [natively(shifted, x) + len(flag)]

    def shifted(x):
        return x * 2

    reset()
    captured = capture(program, recompile_limit=2)
    for flag in flags(6):
        assert captured(torch.ones(1), flag)[0].item() == 2 + len(flag)
    before = counters()
    assert captured(torch.ones(1), "another")[0].item() == 9
    assert counters().hits > before.hits
    assert counters().captures == before.captures


def test_function_captured_by_the_user_starts_below_a_limit():
    own = capture(lambda x: x * 2)

    def program(x, flag):
        return natively(own, x) if flag.endswith("2") else x

    reset()
    captured = capture(program, recompile_limit=1)
    for flag in flags(3):
        captured(torch.ones(1), flag)
    assert [event.details["code"].rpartition(".")[2] for event in LOG.recent("capture")] == ["program", "<lambda>"]


def test_limit_is_reported_once_with_its_guard_and_what_to_do():
    reset()
    captured = capture(outer, recompile_limit=3)
    for flag in flags(8):
        captured(torch.ones(1), flag)
    (event,) = LOG.recent("recompile limit")
    assert (event.details["code"], event.details["limit"], event.details["guard"]) == ("outer", 3, "flag")
    assert len(event.details["why"]) == 3
    assert "tensor" in event.details["hint"]


def test_explanation_says_which_guard_led_to_the_limit():
    captured = capture(outer, recompile_limit=2)
    for flag in flags(2):
        captured(torch.ones(1), flag)
    report = explain(captured, torch.ones(1), "another")
    assert [text.partition(";")[0] for text in report.limits] == ["outer: flag changes"]


def test_library_frames_without_tensors_are_left_alone():
    numbers = [1.0, 2.0, 4.0]

    def program(x):
        return x + torch.tensor(natively(statistics.fmean, numbers))

    check(program, torch.ones(1), calls=6, recaptures=None)


def test_pandas_is_not_captured_frame_by_frame():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [1.0, 2.0, 3.0]})

    def program(x):
        return x + torch.tensor(table["a"].values)

    reset()
    captured = capture(program)
    for _ in range(4):
        assert captured(torch.ones(3)).tolist() == [2.0, 3.0, 4.0]
    assert counters().captures <= 4


def write_library(folder, monkeypatch, text):
    """Import a module that lies where libraries are."""
    monkeypatch.setattr("tracer.interpret.location.LIBRARIES", (f"{folder}/",))
    (folder / "library_of_a_test.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("library_of_a_test", None)
    import library_of_a_test  # pyright: ignore[reportMissingImports]

    return library_of_a_test


def test_library_frame_that_computes_with_tensors_is_captured(tmp_path, monkeypatch):
    library = write_library(tmp_path, monkeypatch, "def double(pair):\n    return pair['x'] * 2\n")
    reset()
    captured = capture(lambda x: natively(library.double, {"x": x + 1}))
    assert captured(torch.ones(1)).item() == 4
    assert [event.details["code"] for event in LOG.recent("graph")].count("double") == 1


def test_library_frame_without_an_operator_is_given_up(tmp_path, monkeypatch):
    library = write_library(tmp_path, monkeypatch, "def name(x, flag):\n    return flag + str(x.dtype)\n")
    reset()
    captured = capture(lambda x, flag: natively(library.name, x, flag))
    for flag in flags(3 * PATIENCE):
        assert captured(torch.ones(1), flag) == f"{flag}torch.float32"
    of_library = [event for event in LOG.recent("capture") if event.details["code"] == "name"]
    assert 1 <= len(of_library) <= PATIENCE


class Holding:
    def __init__(self, item):
        self.item = item

    def method(self):
        return self.item


class Slotted:
    __slots__ = ("item",)


REACHING = [
    torch.ones(1),
    [[torch.ones(1)]],
    {"a": (torch.ones(1),)},
    Holding(Holding(torch.ones(1))),
    Holding(torch.ones(1)).method,
    torch.nn.Linear(1, 1),
    torch.nn.Linear(1, 1).forward,
]
NOT_REACHING = [1, "a", [1, [2, None]], Holding(3), Holding, Slotted(), Options(), len, {"a": {"b": 1}}]


def test_tensors_are_found_in_what_holds_them():
    assert all(reaches_tensor([value]) for value in REACHING)
    assert not any(reaches_tensor([value]) for value in NOT_REACHING)
    circle = []
    circle.append(circle)
    assert not reaches_tensor([circle])
