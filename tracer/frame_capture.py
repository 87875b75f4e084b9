"""Capturing one frame, start to end: trace, break and trace again, rebuild, compile.

    attempt ► whole                       ► program that returns
            ► broke at step n ► attempt up to n ► program that runs the instruction natively
            ► nothing to gain             ► program that runs the original

This module knows nothing of caches: neither of the miss that led to a capture nor of what becomes of the entry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from backends.handover import Writes
from passes.operators.verify import Mispredicted
from tracer.breaks import Break
from tracer.code.decode import Code, decode
from tracer.code.resume import Layout
from tracer.entry import Entry, GuardList
from tracer.guards.explain import Difference
from tracer.guards.source import argument
from tracer.guards.source import function as function_source
from tracer.guards.state import read_state
from tracer.interpret.early_calls import FrameChanged
from tracer.interpret.frame import Frame
from tracer.interpret.interpreter import MACHINE
from tracer.interpret.location import Location
from tracer.interpret.loop import run_root
from tracer.interpret.trace import DataRead, Trace
from tracer.options import Options
from tracer.output.endings import (
    end_in_order,
    guard_ends,
    is_kept_alive,
    is_kept_by_a_change,
    lets_go_of_arguments,
    require_callbacks,
)
from tracer.output.first_run import FirstRun, refute, refute_unused, unproven, unrun
from tracer.output.memory_options import NO_MEMORY_OPTIONS, MemoryOptions
from tracer.output.program import ResidualProgram, breaking, let_replace, returning
from tracer.reasons import (
    COROUTINE,
    DEBUGGER,
    FRAME_OBJECT,
    OPERATOR_ERROR,
    RAISED_EXCEPTION,
    TOO_LONG,
    VISIBLE_END,
    GraphBreak,
    GraphBreakError,
    NeedsNumber,
    Reason,
    TracerBug,
)
from tracer.values.base import MISSING, Lazy
from tracer.values.cells import CellValue
from tracer.values.dicts import guard_unread
from tracer.values.item import Item
from tracer.values.raising import Raised
from tracer.values.rebuilding import Unrebuildable
from tracer.values.shapes import NotExpressible, Shapes
from tracer.values.tensors import guard_untouched

if TYPE_CHECKING:
    import types

BranchMaker = Callable[[Code, int, Layout], Any]


class Stopwatch:
    """Seconds spent in each stage of a capture."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Any:
        """Add the time that the `with` block takes to the stage `name`."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """A frame to capture: the function called and its bound locals, in the order of its parameters.

    A `transparent` frame, which only calls another, is captured whole or left to that other. `replays` says that the
    backend's callables make the calls of a graph one by one, `probes` that operators without a fake kernel are run on
    made-up numbers, and `writes` when they write to inputs.
    `compile_graph(builder, inputs, shape_env, label, replay)` makes the graph's callable, which makes its calls one by
    one if `replay` is true; `make_branch` is described at tracer.output.program.breaking; `run_original` is a
    callable that takes the function and its locals. `why` says how the call differed from each entry that there is.
    `depth` is how deeply the program may nest calls. `owns_arguments` and `watched` are described at Trace.
    """

    function: Any  # a types.FunctionType: declared as one, it would be taken for a method
    locals: Sequence[Any]
    options: Options
    compile_graph: Callable[[Any, list[Any], Any, str, bool], Callable[..., Any]]
    make_branch: BranchMaker
    run_original: Callable[..., Any]
    shapes: Callable[[], Shapes]
    transparent: bool = False
    memory: MemoryOptions = NO_MEMORY_OPTIONS
    replays: bool = False
    probes: bool = False
    writes: Writes = Writes.COUNTED
    why: Sequence[Difference] = ()
    depth: int = 1000
    owns_arguments: bool = False
    watched: Sequence[object] = ()


def capture_frame(request: CaptureRequest) -> tuple[Entry, FirstRun | None]:
    """Capture one frame: its entry for the cache, and what checks predictions in its first call, if any is unproven.

    A break is part of the entry; what a backend raises passes through.
    """
    traces: list[Trace] = []
    try:
        while True:
            try:
                entry, first_run = _capture(request, decode(request.function.__code__), traces)
            except (Mispredicted, FrameChanged):  # the rule is now quarantined: trace again without it
                continue
            entry.restarts = max(0, len(traces) - 1)
            entry.instantiated = traces[-1].instantiated if traces else 0  # a generator is refused before it is traced
            return entry, first_run
    finally:
        for trace in traces:
            trace.close()


def trace_whole(request: CaptureRequest, traces: list[Trace]) -> tuple[Trace, Frame]:
    """Trace one frame to its end, with verified metadata only, adding each trace to `traces`, for the caller to close.

    Raises GraphBreakError where it would break.
    """
    code = decode(request.function.__code__)
    if code.suspends:
        _refuse(_suspension(code))
    while True:
        trace, frame, broke, _ = _attempt(request, code, None, traces)
        try:
            refute(trace.predictions)
        except Mispredicted:  # that rule is now quarantined
            continue
        if broke is not None:
            _refuse(broke)
        return trace, frame


def _refuse(broke: Break) -> NoReturn:
    raise GraphBreakError(broke.reason, broke.message)


def _capture(request: CaptureRequest, code: Code, traces: list[Trace]) -> tuple[Entry, FirstRun | None]:
    """`capture_frame`, adding every trace that it makes to `traces`."""
    watch = Stopwatch()
    if code.suspends:
        return _skip(request, code, Trace(MACHINE), _suspension(code), watch)
    with watch.stage("trace"):
        trace, frame, broke, step = _attempt(request, code, None, traces)
    if broke is not None:
        refute(trace.predictions)  # a break that a wrong rule caused would be cached
    else:
        try:
            with watch.stage("output"):
                guard_ends(trace, frame)
                end_in_order(trace, frame)
                program = returning(trace, code, frame.result)
            if is_kept_alive(trace, frame, program.passed):
                return _skip(request, code, trace, _kept_by_traceback(frame), watch)
            return _finish(request, frame, program, None, watch)
        except Unrebuildable as error:
            broke, step = _unrebuildable(frame, error, trace.step)
    if request.transparent:
        return _skip(request, code, trace, broke, watch, transparent=True)
    if broke.reason in (DEBUGGER, FRAME_OBJECT):
        return _skip(request, code, trace, broke, watch)  # all lines and names of the function are shown
    if trace.answers_compiling and broke.reason in (RAISED_EXCEPTION, OPERATOR_ERROR):
        return _skip(request, code, trace, broke, watch)  # perhaps only where it is being compiled
    if broke.reason is TOO_LONG and (not broke.calls or not trace.graph.call_count):
        return _skip(request, code, trace, broke, watch)  # behind a break, the rest of the loop would be as long
    stops_while = trace.stops_while
    read = _read_before(trace, broke)
    if read is not None:
        step = read.step
    while True:
        with watch.stage("trace"):
            trace, frame, again, _ = _attempt(request, code, step, traces)
        if stops_while is not None:
            trace.guard(*stops_while)
        if again is not None:
            raise TracerBug(f"{code!r}: broke at step {step} with {broke}, but before it in the second run: {again}")
        if read is not None:
            broke, read = _break_at(code, read.reason, read.detail, frame.index), None
        try:
            with watch.stage("output"):
                guard_ends(trace, frame)
                program = breaking(trace, frame, request.make_branch)
                require_callbacks(trace)
            if is_kept_by_a_change(trace, frame) or is_kept_alive(trace, frame, program.passed):
                return _skip(request, code, trace, _kept_by_traceback(frame), watch)
            entry, first_run = _finish(request, frame, program, broke, watch)
            if broke.reason is TOO_LONG:
                entry.too_long = broke.long
            return entry, first_run
        except Unrebuildable as error:
            if error.birth is None or error.birth >= step:
                return _skip(request, code, trace, broke, watch)
            broke, step = _unrebuildable(frame, error, error.birth)


def _unrebuildable(frame: Frame, error: Unrebuildable, step: int) -> tuple[Break, int]:
    """A break at the instruction that made the value; where that is unknown, at the instruction the frame is at."""
    at = step if error.birth is None else error.birth
    return _break_at(frame.code, error.reason, error.what, frame.op.index), at


def _kept_by_traceback(frame: Frame) -> Break:
    """The break of a frame that an exception keeps alive, which is run as it is."""
    return _break_at(frame.code, VISIBLE_END, "what an exception keeps with the frame", max(frame.index - 1, 0))


def _read_before(trace: Trace, broke: Break) -> DataRead | None:
    """The call to break at instead, which reads data, where a later call of the captured frame needs a number that was
    read: it is one behind the break, and what needs it is inlined. None to break where it is needed.
    """
    read = trace.data_read
    is_later = read is not None and read.step < trace.step
    return read if broke.needs_number and broke.calls and is_later else None


def _break_at(
    code: Code, reason: Reason, detail: str, index: int, calls: Sequence[Location] = (), long: tuple[Any, ...] = ()
) -> Break:
    op = code.ops[index]
    location = Location(code, op.line or code.native.co_firstlineno, op.positions)
    inner = [call for call in calls if (call.code, call.line) != (code, location.line)]
    return Break(reason, detail, location, tuple(inner), long)


def _suspension(code: Code) -> Break:
    """The break of a generator or coroutine, at the first instruction that suspends it."""
    first = next((op.index for op in code.ops if op.name == "YIELD_VALUE"), 0)
    return _break_at(code, COROUTINE, code.qualname, first)


def _attempt(
    request: CaptureRequest, code: Code, stop_at: int | None, traces: list[Trace]
) -> tuple[Trace, Frame, Break | None, int]:
    """Trace until the frame returns, breaks, or reaches `stop_at`: (trace, frame, break, step)."""
    trace = Trace(MACHINE, request.shapes(), request.options)
    traces.append(trace)
    trace.cached.made = traces[0].cached.made
    trace.run_original = request.run_original
    trace.probes = request.probes
    trace.writes = request.writes
    trace.depth = request.depth
    trace.replays = request.replays
    trace.owns_arguments = request.owns_arguments
    trace.watched = request.watched
    frame = root_frame(trace, code, request.function, request.locals)
    trace.frame = frame
    trace.guard(None, "state", read_state())
    try:
        run_root(frame, stop_at)
        return trace, frame, None, trace.step
    except GraphBreak as stopped:
        long = tuple(callee for callee, turns in stopped.callees if 2 * turns < trace.turns)
        broke = _break_at(code, stopped.reason, stopped.detail, max(frame.index - 1, 0), stopped.places, long)
        return trace, frame, replace(broke, needs_number=isinstance(stopped, NeedsNumber)), trace.step
    except Raised as raised:
        detail = raised.value.cls.__name__
    return trace, frame, _break_at(code, RAISED_EXCEPTION, detail, max(frame.index - 1, 0)), trace.step


def root_frame(trace: Trace, code: Code, function: types.FunctionType, locals: Sequence[Any]) -> Frame:
    """The frame of the captured function itself: its arguments are lazy, reached by their names."""
    function_root = function_source(function.__code__)
    slots: list[Item] = [MISSING] * len(code.slot_names)
    for index, value in enumerate(locals):
        slots[index] = item = Lazy(value, argument(code.local_names[index]))
        trace.arguments.append(item)
    closure = tuple(
        CellValue(source=function_root.child("cell", index), obj=cell)
        for index, cell in enumerate(function.__closure__ or ())
    )
    for cell in closure:
        trace.known[id(cell.object)] = cell
    return Frame(trace, code, slots, function.__globals__, function_root.child("globals"), closure, None, function)


def _finish(
    request: CaptureRequest, frame: Frame, program: ResidualProgram, broke: Break | None, watch: Stopwatch
) -> tuple[Entry, FirstRun | None]:
    code, trace = frame.code, frame.trace
    example_inputs = [example for _, node, example in trace.inputs if node in program.graph_inputs]
    compiled = call = memory = first_run = None
    watched = request.replays and not request.memory  # other backends receive verified metadata only
    refute(unrun(trace.predictions, trace.graph.graph) if watched else trace.predictions)
    refute_unused(trace.graph.pruned)
    if program.calls_graph:
        shape_env = None if trace.shapes is None else trace.shapes.environment
        with watch.stage("backend"):
            builder = trace.graph
            if request.memory and any(type(example) is float for example in example_inputs):
                raise NotExpressible("memory is planned for graphs of tensors and sizes")
            if request.memory and not program.must_replay and trace.wrappers is None:
                from tracer.output.memory import rewrite

                builder, example_inputs, memory = rewrite(request.memory, trace, program, example_inputs)
            compiled = call = request.compile_graph(
                builder, example_inputs, shape_env, code.qualname, program.must_replay
            )
            if memory is not None:
                call = memory.guarded(compiled)
    if trace.shapes is not None:  # after the backend, which may have made further assumptions about sizes
        trace.shapes.finish(trace.guard)
    with watch.stage("compile"):
        if watched and call is not None and any(unproven(node) is not None for node in trace.graph.graph.nodes):
            first_run = FirstRun(trace.graph, call)
        function = program.compile(call if first_run is None else first_run.graph)
        if first_run is not None:
            first_run.stand_before(function)  # pyright: ignore[reportArgumentType]
    if call is compiled:
        let_replace(function, call)
    entry = Entry(
        guards_of(trace),
        program.inputs,
        function,
        code=code,
        program=program.source,
        statements=program.statements,
        builder=trace.graph,
        end=broke,
        compiled=compiled,
        memory=memory,
        why=request.why,
        seconds=watch.seconds,
    )
    entry.arguments_are_held = lets_go_of_arguments(trace, frame)
    entry.residual = program
    globals = request.function.__globals__
    entry.own_globals = tuple(name for name, value in program.constants.items() if value is globals)
    if trace.shapes is not None:
        entry.symbols = trace.shapes.sources
    entry.of_process = trace.of_process
    return entry, first_run


def guards_of(trace: Trace) -> GuardList:
    """The guards of a trace that has ended."""
    guard_untouched(trace)
    guard_unread(trace)
    return GuardList(trace.guards)


def _skip(
    request: CaptureRequest, code: Code, trace: Trace, broke: Break, watch: Stopwatch, transparent: bool = False
) -> tuple[Entry, None]:
    """An entry that runs the original function, under guards on everything that led to that decision.

    Raises NotExpressible if symbols stand for data, without which a part of the frame may be captured.
    """
    if trace.shapes is not None and trace.shapes.reads_data and not transparent and not request.options.fullgraph:
        raise NotExpressible("a frame that reads data cannot be left where it breaks")
    entry = Entry(
        guards_of(trace),
        [],
        None,
        code=code,
        end=broke,
        skipped=True,
        transparent=transparent,
        why=request.why,
        seconds=watch.seconds,
    )
    if broke.reason is TOO_LONG:
        entry.too_long = (code.native, *broke.long)
    return entry, None
