"""The runner of CPython's test suite, run over a planted package whose tests come to every outcome there is.

What the interpreter's own tests come to is measured by `make cpython`, not here.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cpython import sample
from tests.cpython.exclusions import MODULES, SOURCES, TESTS, exclusion_of_module, exclusion_of_test
from tests.cpython.report import as_json, share, summary, total, unpinned
from tests.cpython.runner import ModuleRun
from tests.cpython.worker import Job

ROOT = Path(__file__).parents[1]

PLANTED = """
import os
import sys
import unittest
from time import sleep as nap

import tracer
from tracer.interpret.policy import lookaside

runs = []


def broken():
    pass


@lookaside(broken)
def _broken(trace):
    raise LookupError("planted")


def is_traced():
    return False


@lookaside(is_traced)
def _is_traced(trace):
    return True


class Planted(unittest.TestCase):
    def setUp(self):
        self.items = [1, 2]

    def test_crash(self):
        if tracer.is_capturing():
            os.abort()

    def test_excluded(self):
        sys._getframe()

    def test_fails_plainly(self):
        self.fail()

    def test_hang(self):
        while tracer.is_capturing():
            nap(0.1)

    def test_internal_error(self):
        broken()

    def test_same(self):
        self.items.append(3)
        self.assertEqual(sum(self.items), 6)

    def test_unsteady(self):
        runs.append(None)
        self.assertEqual(len(runs), 1)

    def test_wrong(self):
        self.assertFalse(is_traced())

    def test_wrong_result_of_a_callee(self):
        with self.assertRaises(ValueError):
            if not is_traced():
                raise ValueError


if __name__ == "__main__":
    unittest.main()
"""

EXPECTED = {
    "test_crash": "crash",
    "test_excluded": "excluded",
    "test_fails_plainly": "fails plainly",
    "test_hang": "hang",
    "test_internal_error": "internal error",
    "test_same": "same",
    "test_unsteady": "unsteady",
    "test_wrong": "wrong",
    "test_wrong_result_of_a_callee": "wrong",
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """A run of the planted package: the process, and its JSON."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "planted").mkdir()
    (folder / "planted" / "__init__.py").touch()
    (folder / "planted" / "test_planted.py").write_text(PLANTED)
    report = folder / "report.json"
    arguments = ["--package", "planted", "--search", folder, "--limit", "2", "--jobs", "2", "--json", report]
    process = subprocess.run(
        [sys.executable, "-m", "tests.cpython", "test_planted", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    return process, json.loads(report.read_text())


@pytest.mark.parametrize("mode", ["followed", "native"])
def test_outcomes(planted, mode):
    _, report = planted
    (tests,) = (module["tests"] for module in report["modules"] if module["mode"] == mode)
    assert {name.rpartition(".")[2]: result["outcome"] for name, result in tests.items()} == EXPECTED


def test_a_difference_says_how_the_test_came_out_plainly_and_captured(planted):
    process, report = planted
    rows = {(row["test"].rpartition(".")[2], row["mode"]): row for row in report["differences"]}
    assert len(rows) == 10
    for name, captured in (("test_wrong", "fail"), ("test_crash", "crash"), ("test_hang", "hang")):
        row = rows[name, "followed"]
        assert (row["plain"], row["captured"], row["call"]) == ("pass", captured, 1)
        assert row["alone"] == row["outcome"]  # seen again in a process of its own
    assert "planted" in rows["test_internal_error", "native"]["errors"][0]
    assert "Aborted" in rows["test_crash", "native"]["message"]
    assert "most recent call first" in rows["test_hang", "native"]["message"]
    assert report["outcomes"]["same"] == 2 and round(report["share"], 1) == round(100 * 2 / 12, 1)
    assert process.returncode == 1, process.stderr
    assert "the same: 16.67% of 12 tests that pass plainly" in process.stdout


def test_exclusions_have_reasons_and_match_what_they_say():
    assert all(row.reason and row.pattern for row in (*MODULES, *TESTS, *SOURCES))
    assert exclusion_of_module("test_socket") == "sockets and servers"
    assert exclusion_of_module("test_list") is None
    assert exclusion_of_test("test_x.Case.test_threads", "") == "threads"
    assert exclusion_of_test("test_x.Case.test_y", "sys._getframe(1)") == "looks at frame objects"
    assert exclusion_of_test("test_x.Case.test_y", "self.assertEqual(1, 1)") is None


def module_run(**outcomes: str) -> ModuleRun:
    """A module whose tests came to these outcomes."""
    names = [f"test.test_m.Case.{name}" for name in outcomes]
    results = {name: {"outcome": outcome, "call": 1} for name, outcome in zip(names, outcomes.values(), strict=True)}
    return ModuleRun(Job("test", "test_m", "native"), names, results)


def test_what_is_not_pinned():
    run = module_run(a="same", b="same", c="wrong", d="excluded")
    assert share(total([run])) == pytest.approx(200 / 3)
    known = {"native test.test_m.Case.c": "wrong"}
    assert unpinned([run], {"share": 60.0, "failing": known}) == []
    assert "less than the pinned 70.0%" in unpinned([run], {"share": 70.0, "failing": known})[0]
    assert "test_m.Case.c" in unpinned([run], {"share": 60.0, "failing": {}})[0]
    crash = module_run(c="crash")
    assert "crash: test.test_m.Case.c" in unpinned([crash], {"share": 0.0, "failing": known})[0]
    run.ids = [*(run.ids or ()), "test.test_m.Case.e"]
    assert unpinned([run], {"share": 60.0, "failing": known}) == ["1 tests of the sample have no result"]
    assert "not run" in summary([run]) and as_json([run])["outcomes"]["not run"] == 1


def test_the_sample_is_of_many_modules_and_pins_what_is_in_it():
    tests = sample.read()
    assert len({name.split(".")[1] for name in tests}) > 90
    pinned = sample.pinned()
    assert {name.partition(" ")[2] for name in pinned["failing"]} <= tests
    assert pinned["share"] >= 99


def test_choosing_a_sample():
    modules = [
        {
            "module": f"m{m}",
            "tests": {f"test.m{m}.Case.t{t}": {"outcome": "same", "seconds": t / 10} for t in range(30)},
        }
        for m in (1, 2)
    ]
    modules[0]["tests"]["test.m1.Case.t3"]["outcome"] = "wrong"
    chosen = sample.choose({"modules": modules})
    assert len(chosen) == 2 * sample.TESTS
    assert "test.m1.Case.t3" not in chosen and all(float(name.rpartition("t")[2]) < 15 for name in chosen)
    assert sample.choose({"modules": modules[::-1]}) == chosen
