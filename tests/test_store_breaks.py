"""Stored captures that end in a graph break, and the rests of functions after it."""

import contextlib
import inspect

import pytest
import torch

import tracer
from tests.check import check  # noqa: F401 - registers what every test of captures needs
from tests.stored import files, forget, kinds
from tests.test_store_files import contents, rewrite
from tracer.code.decode import decode
from tracer.store.branches import read_branch
from tracer.store.errors import BadFile

SCALE = 3


def at_branch(x):
    y = x * SCALE
    if y.sum() > 0:
        z = y + 1
    else:
        z = y - 1
    return z * SCALE


def in_loop(x, steps=(1, 2, 3)):
    y = x + 1
    for step in steps:
        y = y * 2
        tracer.graph_break()
        y = y + step
    return y


def in_with(x):
    with torch.no_grad(), contextlib.nullcontext(x * 2) as y:
        tracer.graph_break()
        y = y + 1
    return x + y


def with_cells(x):
    total = x + 1

    def add(y):
        nonlocal total
        total = total + y
        return total

    add(x)
    tracer.graph_break()
    return add(x) * 2


@tracer.disable
def disabled(x):
    return x - 5


def in_expression(x):
    items = [x + 1, disabled(x), x * 2]
    return items[0] * items[1] + items[2]


def helper(x):
    y = x.exp()
    tracer.graph_break()
    return y + SCALE


def in_callee(x):
    return helper(x * 2) + 1


def in_handler(x):
    try:
        raise ValueError(x)
    except ValueError as error:
        y = error.args[0] * 2
        tracer.graph_break()
        return y + 1


def with_super(x):
    class Base:
        def run(self, x):
            return x * 2

    class Derived(Base):
        def run(self, x):
            tracer.graph_break()
            return super().run(x) + 1

    return Derived().run(x)


PROGRAMS = [at_branch, in_loop, in_with, with_cells, in_expression, in_callee]
LEFT = [in_handler, with_super]


def results(program, path):
    """What two calls with data of another sign give, and the events of them."""
    captured = tracer.capture(program, cache=path)
    values = [captured(x) for x in (torch.ones(3), -torch.ones(3), torch.ones(3))]
    return values, kinds()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda each: each.__name__)
def test_a_later_process_captures_nothing(program, tmp_path):
    values, first = results(program, tmp_path)
    assert first.count("stored") == first.count("capture") > 1
    forget()
    again, events = results(program, tmp_path)
    assert set(events) == {"loaded"}
    for one, other, x in zip(values, again, (1.0, -1.0, 1.0), strict=True):
        assert torch.equal(one, other) and torch.equal(one, program(torch.full((3,), x)))


@pytest.mark.parametrize("program", LEFT, ids=lambda each: each.__name__)
def test_what_is_not_stored_is_captured_again(program, tmp_path):
    values, _ = results(program, tmp_path)
    forget()
    again, events = results(program, tmp_path)
    assert "capture" in events and "bug" not in events and "file refused" not in events
    assert all(map(torch.equal, values, again))


def test_a_break_is_told_as_it_was(tmp_path):
    messages = []
    for _ in range(2):
        program = tracer.capture(at_branch, cache=tmp_path)
        program(torch.ones(3))
        (entry,) = program.entries
        messages.append((entry.broke.message, entry.broke.facts, entry.place))
        forget()
    assert messages[0] == messages[1] and "if y.sum() > 0" in messages[0][0]


@pytest.mark.parametrize("program", [at_branch, in_callee], ids=lambda each: each.__name__)
def test_a_global_that_the_rest_reads_is_compared(program, tmp_path, monkeypatch):
    results(program, tmp_path)
    forget()
    monkeypatch.setitem(globals(), "SCALE", 7)
    values, events = results(program, tmp_path)
    assert "capture" in events
    assert torch.equal(values[0], program(torch.ones(3))) and torch.equal(values[1], program(-torch.ones(3)))


def test_another_function_in_the_place_of_one_that_the_rest_calls(tmp_path, monkeypatch):
    def program(x):
        tracer.graph_break()
        return other(x)

    monkeypatch.setitem(globals(), "other", lambda x: x + 1)
    results(program, tmp_path)
    forget()
    monkeypatch.setitem(globals(), "other", lambda x: x + 2)
    values, events = results(program, tmp_path)
    assert "capture" in events and torch.equal(values[0], torch.full((3,), 3.0))


def test_fullgraph_asks_for_another_key(tmp_path):
    results(at_branch, tmp_path)
    forget()
    with pytest.raises(tracer.GraphBreakError):
        tracer.capture(at_branch, cache=tmp_path, fullgraph=True)(torch.ones(3))


def test_another_break_in_the_place_of_one_is_an_exception_at_the_most(tmp_path):
    results(in_loop, tmp_path)
    for file in files(tmp_path):
        data = contents(file.path)
        for constant in (data["program"] or {"constants": {}})["constants"].values():
            if constant[0] == "branch":
                constant[1] += 2
        rewrite(file.path, data)
    forget()
    values, events = results(in_loop, tmp_path)
    assert "capture" in events and "bug" not in events
    assert torch.equal(values[0], in_loop(torch.ones(3)))


def offsets(program):
    return [(op.name, op.offset) for op in decode(program.__code__).ops]


@pytest.mark.parametrize("program", [*PROGRAMS, *LEFT], ids=lambda each: each.__name__)
def test_no_place_is_entered_where_a_slot_must_be_of_one_kind(program):
    """Every instruction, with stacks of values: those that a file may name, the interpreter survives any object in."""
    code = program.__code__
    for name, offset in offsets(program):
        for depth in range(6):
            row = [offset, ["value"] * depth, list(decode(code).local_names)]
            with contextlib.suppress(BadFile):
                read_branch(row, code, lambda *place: Branch())
                assert name not in ("PUSH_EXC_INFO", "RERAISE", "MAKE_FUNCTION", "LIST_APPEND")


class Branch:
    place = None

    def __call__(self, globals, cells, *slots):
        return slots


def test_a_loop_goes_on_with_iterators_only():
    code = in_loop.__code__
    names = [name for name in decode(code).local_names if name != "step"]
    offset = next(offset for name, offset in offsets(in_loop) if name == "FOR_ITER")
    branch = read_branch([offset, ["value"], names], code, lambda *place: Branch())
    assert branch({}, (), it := iter([1]), 2) == (it, 2)
    with pytest.raises(BadFile):
        branch({}, (), [1], 2)


COUNT = 0


def counting(x):
    global COUNT
    COUNT += 1
    return x * COUNT


def calls_counting(x):
    return counting(x) + 1


@pytest.mark.parametrize("name", ["counting", "calls_counting"])
def test_globals_that_are_written_are_those_of_the_function(name, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "COUNT", 0)
    tracer.capture(globals()[name], cache=tmp_path)(torch.ones(2))
    assert kinds() == ["capture", "stored"] and COUNT == 1
    forget()
    source = inspect.getsource(counting) + "\n\n" + inspect.getsource(calls_counting)
    line = inspect.getsourcelines(counting)[1]
    space = {"__name__": __name__, "COUNT": 0}
    exec(compile("\n" * (line - 1) + source, __file__, "exec"), space)
    assert space[name].__code__.co_code == globals()[name].__code__.co_code
    assert torch.equal(tracer.capture(space[name], cache=tmp_path)(torch.ones(2)), space[name](torch.zeros(2)) + 1)
    assert COUNT == 1 and space["COUNT"] == 2
