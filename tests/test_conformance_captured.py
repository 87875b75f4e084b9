"""The programs of tests/conformance under `capture`: guards, breaks, rebuilt values and mutations included.

Here whatever can be observed must agree: results with their aliases, errors, arguments and globals afterwards. The
numbers of captures, graphs and breaks of each program are in tests/pins/test_conformance_captured.json, except for the
programs that take one capture for each call and do not break.
"""

import contextlib
import io
import warnings
from collections import Counter

import pytest

from tests.conformance.catalogue import Program, load
from tests.conformance.compare import difference, observe
from tests.conformance.split import split
from tests.pins import read
from tracer import capture, counters, reset

PROGRAMS = [pytest.param(program, id=program.name) for program in load()]


@pytest.mark.parametrize("program", PROGRAMS)
def test_captured(program: Program, pin):
    halves = split(program)

    def second_half(*arguments, **keywords):
        assert halves is not None
        return capture(halves(*arguments, **keywords))()

    totals = Counter[str]()
    for call in program.calls:
        reset()
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = observe(program.function, program, call)
            observed = observe(capture(program.function) if halves is None else second_half, program, call)
        assert difference(plain, observed) is None
        assert counters().tracer_bugs == 0
        totals.update(captures=counters().captures, graphs=counters().graphs, **counters().breaks)
    pin(dict(+totals), {"captures": len(program.calls)})


def test_pins_are_of_programs_that_exist():
    assert set(read("test_conformance_captured")) <= {program.name for program in load()}
