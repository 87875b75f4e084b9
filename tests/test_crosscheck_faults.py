"""Faults of seventy kinds: found, at the right operator and line, with a script that fails by its assertion."""

import linecache
import subprocess
import sys

import pytest

from tests import faults
from tracer import capture

# Runs scripts in one process that knows nothing of this repository, and prints those that end with an AssertionError.
RUN_ALL = """
import sys, pathlib
for path in sys.argv[1:]:
    text = pathlib.Path(path).read_text()
    try:
        exec(compile(text, path, "exec"), {"__name__": "__main__"})
        print("passed:", path)
    except AssertionError as error:
        print("failed:" if str(error) and str(error) in text else "otherwise:", path)
    except BaseException as error:
        print("otherwise:", path, type(error).__name__, error)
"""
SAMPLE = 9  # one row of the table in so many is checked by every run of the tests


def first_finding(program, inputs, folder, **options):
    """What is found first, and its script, which was not run."""
    reports = []
    settings = {"report": reports.append, "verify": False, "shrink": 1.0, "folder": str(folder), **options}
    capture(program, backend="crosscheck", options=settings)(*(one.clone() for one in inputs))
    return next((report.first for report in reports if not report.ok), None)


def own_line(program):
    """The text of the line that calls the operator: the lambda's own."""
    code = program.__code__
    return linecache.getline(code.co_filename, code.co_firstlineno).strip()


def swapped(name):
    program, operator, wrong, inputs, kind = faults.SWAPS[name]

    def surrounded(*args):
        result = program(*args)
        return result, args[0] + 1

    return surrounded, program, operator, faults.swap(operator, wrong), inputs, kind


def assert_found(finding, operator, kind, line):
    assert finding is not None, "not found"
    assert operator in finding.operator, finding
    assert finding.difference.kind == kind, finding
    assert line in (finding.line or ""), finding
    assert finding.script is not None, finding.why


def cases(names):
    """One row in SAMPLE of the table for every run, the others for those that take their time."""
    marks = [[] if index % SAMPLE == 0 else pytest.mark.slow for index, _ in enumerate(names)]
    return [pytest.param(name, marks=mark, id=name) for name, mark in zip(names, marks, strict=True)]


@pytest.mark.parametrize("name", cases(faults.SWAPS))
def test_found_named_and_written(name, tmp_path):
    surrounded, program, operator, candidate, inputs, kind = swapped(name)
    finding = first_finding(surrounded, inputs, tmp_path, candidate=candidate)
    assert_found(finding, operator, kind, own_line(program))
    assert_fails(finding.path)


def assert_fails(*paths):
    """Each script ends with its own assertion, in a process that cannot import this repository."""
    done = subprocess.run([sys.executable, "-I", "-c", RUN_ALL, *paths], capture_output=True, text=True, cwd="/")
    assert done.stdout.splitlines() == [f"failed: {path}" for path in paths], done.stdout + done.stderr
