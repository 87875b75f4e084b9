"""Debuggers and profilers show the user's lines and names, or the programs that run instead, and nothing of ours."""

from __future__ import annotations

import bdb
import dis
import gc
import linecache
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from tests.check import check
from tests.debug_adapter import debugged_stops
from tracer import capture, graph_break

ROOT = Path(__file__).parent.parent
OURS = tuple(f"{ROOT / name}/" for name in ("tracer", "passes", "backends"))
X = torch.ones(2, 3)


class Stepper(bdb.Bdb):
    """A debugger that steps through everything: `seen` has (file, function, text of the line, names of the locals)."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str, str, dict[str, Any]]] = []

    def user_line(self, frame: FrameType) -> None:
        file, code = frame.f_code.co_filename, frame.f_code
        line = linecache.getline(file, frame.f_lineno).strip()
        self.seen.append((file, code.co_name, line, dict(frame.f_locals)))

    def stepped(self, function: Callable[..., Any], *args: Any) -> Any:
        """The result of a call, stepped through."""
        self.reset()
        sys.settrace(self.trace_dispatch)
        try:
            return function(*args)
        finally:
            sys.settrace(None)


def lines(stepper: Stepper, function: str) -> list[str]:
    return [line for _, name, line, _ in stepper.seen if name == function]


def scaled(x: Any, factor: int) -> Any:
    product = x * factor
    return product.relu()


class Stops(bdb.Bdb):
    """What `breakpoint()` runs: it notes the frames that it stops in, line by line, until the first one returns."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str, dict[str, Any]]] = []

    def user_line(self, frame: FrameType) -> None:
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        self.seen.append((frame.f_code.co_name, line, dict(frame.f_locals)))
        self.set_next(frame)

    def user_return(self, frame: FrameType, value: Any) -> None:
        sys.settrace(None)

    def hook(self) -> None:
        self.set_trace(sys._getframe(1))


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> Stops:
    stops = Stops()
    monkeypatch.setattr(sys, "breakpointhook", stops.hook)
    return stops


def test_breakpoint_shows_the_lines_and_names_of_the_function_that_calls_it(stops: Stops) -> None:
    def inner(x: Any) -> Any:
        unused = x + 1
        breakpoint()
        y = x * 2
        return y + 1

    def program(x: Any) -> Any:
        return inner(scaled(x, 3)) * 2

    captured = capture(program)
    for _ in range(2):
        stops.seen.clear()
        assert torch.equal(captured(X), X * 14)
        assert [(name, line) for name, line, _ in stops.seen] == [("inner", "y = x * 2"), ("inner", "return y + 1")]
        names = stops.seen[0][2]
        assert torch.equal(names["x"], X * 3) and torch.equal(names["unused"], X * 3 + 1)


def test_breakpoint_behind_a_break_has_the_names_from_before_it(stops: Stops) -> None:
    def program(x: Any) -> Any:
        before = x + 1
        y = x * 2
        if y.sum() > 0:
            breakpoint()
            y = y + 1
        return y

    assert torch.equal(capture(program)(X), X * 3)
    assert stops.seen[0][1] == "y = y + 1"
    assert torch.equal(stops.seen[0][2]["before"], X + 1)


def test_a_function_with_a_debugger_runs_as_it_is() -> None:
    def program(x: Any) -> Any:
        y = x + 1
        sys.settrace(None)
        return y * 2

    check(program, X, graphs=0)
    captured = capture(program)
    captured(X)
    (entry,) = captured.entries
    assert entry.skipped and entry.end is not None and entry.end.reason.id == "debugger"


def test_stepping_shows_the_residual_program_and_the_graph_with_the_names_of_dumps() -> None:
    def program(x: Any) -> Any:
        y = scaled(x, 2)
        return y @ torch.ones(3, 4)

    captured = capture(program)
    captured(X)
    captured(X)
    stepper = Stepper()
    result = stepper.stepped(captured, X)
    assert torch.equal(result, program(X))
    assert lines(stepper, "program_program") == ["matmul, = graph(x)", "return matmul"]
    shown = [" ".join(line.split()) for line in lines(stepper, "graph")]
    assert shown[0] == "try:"
    assert shown[2].startswith("relu = mul.relu() # f32[2, 3] stride (3, 1) test_debugger.py:")
    assert shown[2].endswith("in scaled")
    at_matmul = next(names for _, _, line, names in stepper.seen if line.startswith("matmul = relu @ ones"))
    assert sorted(at_matmul) == ["ones", "relu", "x"]


def test_stepping_shows_no_frame_of_ours_across_captures_and_breaks() -> None:
    def inner(x: Any) -> Any:
        graph_break()
        return x + 1

    def program(x: Any) -> Any:
        y = inner(x * 2)
        if y.sum() > 0:
            y = y + 1
        return y

    captured = capture(program)
    for _ in range(3):  # the first call captures, and checks what it has captured
        stepper = Stepper()
        result = stepper.stepped(captured, X)
        assert torch.equal(result, program(X))
        ours = {name for file, name, _, _ in stepper.seen if file.startswith(OURS)}
        assert ours == {"graph_break"}
        assert "y = y + 1" not in lines(stepper, "program")  # in a graph


def test_every_breakpoint_is_reached() -> None:
    def program(x: Any) -> Any:
        y = scaled(x, 2)
        return y + 1

    captured = capture(program)
    captured(X)
    captured(X)
    line = scaled.__code__.co_firstlineno + 2

    class Breakpoints(bdb.Bdb):
        hits: list[tuple[str, int]] = []

        def user_line(self, frame: FrameType) -> None:
            if self.get_break(self.canonic(frame.f_code.co_filename), frame.f_lineno):
                self.hits.append((frame.f_code.co_name, frame.f_lineno))
            self.set_continue()

    debugger = Breakpoints()
    assert debugger.set_break(__file__, line) is None
    try:
        debugger.reset()
        debugger.botframe = sys._getframe()
        debugger._set_stopinfo(debugger.botframe, None)  # pyright: ignore[reportAttributeAccessIssue]
        sys.settrace(debugger.trace_dispatch)
        result = captured(X)
    finally:
        sys.settrace(None)
        debugger.clear_all_breaks()
    assert torch.equal(result, program(X))
    assert debugger.hits == [("scaled", line)]
    hits = captured.entries[0].hits
    captured(X)
    assert captured.entries[0].hits == hits + 1


DEBUGGED = """
import torch
from tracer import capture

def scaled(x, factor):
    product = x * factor
    return product.relu()

@capture
def program(x):
    y = scaled(x, 2)
    if y.sum() > 0:
        y = y + 1
    return y

for _ in range(2):
    program(torch.ones(2))
print("entries:", len(program.entries))
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("debugpy") is None, reason="debugpy is not installed")
def test_every_breakpoint_of_debugpy_is_reached(tmp_path: Path) -> None:
    script = tmp_path / "debugged.py"
    script.write_text(DEBUGGED)
    stops, printed = debugged_stops(script, [7, 13])
    assert stops == [("scaled", 7, ["factor", "product", "x"]), ("program", 13, ["x", "y"])] * 2
    assert "entries: 0" in printed, "the originals ran"
    stops, printed = debugged_stops(script, [])
    assert stops == [] and "entries: 1" in printed, "without breakpoints, captures answer"


def test_a_debugger_sees_the_users_own_backend() -> None:
    def backend(module: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        nodes = len(module.graph.nodes)
        assert nodes
        return module.forward

    captured = capture(lambda x: x + 1, backend=backend)
    stepper = Stepper()
    stepper.stepped(captured, X)
    assert lines(stepper, "backend") == ["nodes = len(module.graph.nodes)", "assert nodes", "return module.forward"]


def test_a_graph_may_use_the_names_of_its_own_program() -> None:
    def program(_note: Any, error: Any, graph: Any) -> Any:
        graph_1 = graph * 2
        return _note + error * graph_1, torch.add(_note, 1, alpha=2)

    check(program, X, X, X, graphs=1)


def test_sources_are_forgotten_with_their_programs() -> None:
    def files() -> set[str]:
        return {file for file in linecache.cache if file.startswith("<bytegraph ") and "forgotten" in file}

    def forgotten(x: Any) -> Any:
        return scaled(x, 2)

    captured = capture(forgotten)
    captured(X)
    assert len(files()) == 2
    del captured
    from tracer import reset

    reset()
    gc.collect()
    assert not files()


def test_a_profiler_shows_where_in_the_program_a_graph_comes_from() -> None:
    def program(x: Any) -> Any:
        y = scaled(x, 2)
        graph_break()
        return scaled(y, 3)

    captured = capture(program)
    captured(X)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        captured(X)
    names = [event.name for event in profiled.events()]
    first = program.__code__.co_firstlineno
    name = program.__qualname__
    assert f"{name}, test_debugger.py:{first}" in names
    assert f"{name}, test_debugger.py:{first + 2} and on" in names


def test_code_that_a_profiler_has_lengthened_is_captured():
    """line_profiler appends instructions that nothing reaches, and leaves the table of lines as it is."""

    def program(x):
        y = x * 2
        if y.sum() > 0:
            y = y + 1
        return y * 3

    code = program.__code__
    unreached = bytes([dis.opmap["NOP"], 0]) * 3
    program.__code__ = code.replace(co_code=code.co_code + unreached)
    check(program, torch.ones(2), graphs=2, breaks=["data-dependent-jump"])
