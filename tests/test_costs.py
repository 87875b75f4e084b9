"""Which tests `make quick` leaves out, and that the list of them names tests that are there."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.costs import LIST, Meter, slow_tests, updated
from tests.imports import ROOT


def test_a_function_is_slow_when_its_tests_are_dear_on_average():
    costs = {"a.py::f[x]": 0.03, "a.py::f[y]": 0.01, "a.py::g[x]": 0.2, "a.py::g[y]": 0.01, "a.py::h": 0.03}
    assert slow_tests(costs) == ["a.py::g", "a.py::h"]


def test_a_dear_parameter_is_slow_alone():
    costs = {"a.py::f[x]": 3.0, "a.py::f[y]": 0.01, "a.py::g[x]": 3.0, "a.py::g[y]": 2.0}
    assert slow_tests(costs) == ["a.py::f[x]", "a.py::g"]


def test_what_did_not_run_keeps_its_place():
    listed = ["a.py::f[x]", "a.py::f[z]", "a.py::g", "b.py::f", "b.py::g[x]"]
    costs = {"a.py::f[x]": 0.01, "a.py::f[y]": 2.0, "b.py::g[y]": 1.0, "c.py::f": 1.0}
    assert updated(listed, costs) == ["a.py::f[y]", "a.py::f[z]", "a.py::g", "b.py::f", "b.py::g", "c.py::f"]


@pytest.mark.parametrize(("words", "is_ignored"), [("not slow", True), ("", None)])
def test_a_file_of_slow_tests_only_is_not_imported(words, is_ignored, monkeypatch):
    meter, config = Meter(), SimpleNamespace(option=SimpleNamespace(markexpr=words))
    names = re.findall(r"^def (test_\w+)", Path(__file__).read_text(), re.MULTILINE)
    monkeypatch.setattr(meter, "slow", frozenset(f"tests/test_costs.py::{name}" for name in names))
    assert meter.pytest_ignore_collect(Path(__file__), config) is is_ignored
    monkeypatch.setattr(meter, "slow", meter.slow - {f"tests/test_costs.py::{names[0]}"})
    assert meter.pytest_ignore_collect(Path(__file__), config) is None


def test_the_list_names_tests_that_are_there():
    names = [re.split(r"::|\[", line) for line in LIST.read_text().splitlines()]
    missing = [f"{file}::{test}" for file, test, *_ in names if f"def {test}(" not in (ROOT / file).read_text()]
    assert not missing
