"""A program is the same wherever its graph ends: breaks before every instruction that may break, or before one of them.

The sample is of the programs of tests/conformance and of a few models; `FORCED_BREAKS=all` runs all programs.
"""

import contextlib
import io
import os
import warnings

import pytest
import torch

from tests import models
from tests.check import check
from tests.conformance.catalogue import NEEDS, Program, load
from tests.conformance.compare import difference, observe
from tests.conformance.split import split
from tests.same import differences
from tracer import capture, counters, reset
from tracer.code.decode import decode
from tracer.interpret.forced_breaks import NEVER_BREAK, at_index, every_other, everywhere, forced_breaks
from tracer.interpret.registry import HANDLERS

STEP = 1 if os.environ.get("FORCED_BREAKS") == "all" else 9


def programs(start: int) -> list:
    """Every ninth program, or every one; and all of those for later versions of Python."""
    chosen = [program for program in load() if program.feature not in NEEDS][start % STEP :: STEP]
    chosen += [program for program in load() if program.feature in NEEDS]
    return [pytest.param(program, id=program.name) for program in chosen]


def captured(program: Program):
    """The program captured, the second half of it where it defines classes."""
    halves = split(program)
    if halves is None:
        return capture(program.function)
    return lambda *arguments, **keywords: capture(halves(*arguments, **keywords))()


def compare(program: Program) -> None:
    for call in program.calls:
        reset()
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = observe(program.function, program, call)
            observed = observe(captured(program), program, call)
        assert difference(plain, observed) is None
        assert counters().tracer_bugs == 0


@pytest.mark.parametrize("choice", [everywhere, every_other])
@pytest.mark.parametrize("program", programs(0))
def test_many_breaks(program: Program, choice):
    with forced_breaks(choice):
        compare(program)


@pytest.mark.parametrize("program", programs(4)[::3])
def test_a_break_at_each_single_instruction(program: Program):
    ops = decode(program.function.__code__).ops
    for index in [op.index for op in ops if op.name not in NEVER_BREAK][:40]:
        with forced_breaks(at_index(index)):
            compare(program)


@pytest.mark.parametrize("name", list(models.models_torch.MODELS)[::4])
def test_model(name: str):
    model, args, kwargs = models.build(name)
    reset()
    with torch.no_grad():
        expected = model(*args, **kwargs)
        with forced_breaks(every_other):
            observed = [capture(model)(*args, **kwargs) for _ in range(2)]
    for result in observed:
        assert not differences(flat(expected), flat(result))
    assert counters().breaks["explicit"] > 1


def flat(result) -> list[torch.Tensor]:
    """The tensors of a result."""
    if isinstance(result, torch.Tensor):
        return [result]
    return [tensor for part in (result.values() if isinstance(result, dict) else result) for tensor in flat(part)]


def program_with_loops(x, items):
    total = x
    for item in items:
        total = total + item if item > 1 else total * 2
    items.append(len(items))
    return {"total": total, "items": [str(item) for item in items]}


def test_every_instruction_that_may_break_does():
    with forced_breaks():
        report = check(program_with_loops, torch.ones(2), [1, 2, 3], recaptures=None)
    assert report.first.breaks["explicit"] > 14
    assert report.first.graphs == 0  # each operator is an instruction that runs natively
    with forced_breaks(every_other):
        report = check(program_with_loops, torch.ones(2), [1, 2, 3], recaptures=None)
    assert report.first.breaks["explicit"] > 5


def test_a_single_break():
    index = next(
        op.index for op in decode(program_with_loops.__code__).ops if op.name == "STORE_SUBSCR" or op.name == "CALL"
    )
    with forced_breaks(at_index(index)):
        report = check(program_with_loops, torch.ones(2), [1, 2, 3])
    assert report.first.breaks == {"explicit": 1}


def test_nothing_is_left_behind():
    handlers = dict(HANDLERS)
    with pytest.raises(KeyError), forced_breaks(everywhere):
        assert HANDLERS != handlers
        raise KeyError
    assert HANDLERS == handlers
    check(program_with_loops, torch.ones(2), [1, 2, 3], graphs=1, breaks=[])
