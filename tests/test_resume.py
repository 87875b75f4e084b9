"""Continuations and trampolines: every instruction of many functions, entered and run one by one.

`Stepper` runs a function by trampolines only, one native instruction each, with its exception tables cut off so that
the test sees every intermediate state, handlers included. From each state the continuation must finish the function
as the original does.
"""

from __future__ import annotations

import copy
import functools
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.resume_programs import FROM_THE_STANDARD_LIBRARY, PROGRAMS
from tracer.code.analyse import PREVIOUS
from tracer.code.decode import decode
from tracer.code.resume import Layout, continuation, make_function, trampoline


@dataclass(frozen=True)
class State:
    """A function stopped before the instruction at `offset`; `values` are what its continuation takes."""

    offset: int
    layout: Layout
    cells: tuple[types.CellType, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Returned:
    value: Any


def first_state(function: types.FunctionType, arguments: tuple[Any, ...]) -> State:
    """The state behind the function's cell set-up."""
    code = decode(function.__code__)
    bound_arguments = inspect.signature(function, follow_wrapped=False).bind(*arguments)
    bound_arguments.apply_defaults()
    values = bound_arguments.arguments
    names = code.local_names[: code.parameter_count]
    cells = tuple(types.CellType(values[n]) if n in names else types.CellType() for n in code.cell_names)
    bound = tuple(name for name in names if name not in code.cell_names)
    first = next(op for op in code.ops if op.name not in ("MAKE_CELL", "COPY_FREE_VARS"))
    return State(first.offset, Layout((), bound), cells + (function.__closure__ or ()), tuple(values[n] for n in bound))


def stop_at(offset: int, layout: Layout) -> Callable[..., State]:
    return lambda cells, *values: State(offset, layout, cells, values)


@functools.cache
def one_step(function: types.FunctionType, offset: int, layout: Layout) -> types.CodeType:
    return trampoline(function.__code__, offset, layout, stop_at).replace(co_exceptiontable=b"")


def isolated(run: Callable[..., Any], values: tuple[Any, ...]) -> Iterator[Any]:
    """A generator has exception state of its own: what a frame without handlers leaves behind ends with it."""
    yield run(*values)


def step(function: types.FunctionType, state: State) -> State | Returned:
    """Run one instruction. Exceptions are led to the handler that the original's table names."""
    code = decode(function.__code__)
    native = one_step(function, state.offset, state.layout)
    runner = make_function(native, function.__globals__, function.__name__, state.cells)
    index = code.index_at[state.offset]
    try:
        result = next(isolated(runner, state.values))
    except BaseException as error:  # noqa: BLE001 - the test leads on whatever the program raises
        raised = error
    else:
        return result if isinstance(result, State) else Returned(result)
    handler = code.handlers[index]
    if handler is None:
        raise raised
    stack = list(zip(state.layout.parameters, state.values))[: len(state.values) - len(state.layout.locals)]
    by_slot = {int(name.removeprefix("_stack_")): value for name, value in stack}
    kept = state.layout.stack[: handler.depth]
    values = [by_slot[slot] for slot in range(handler.depth) if slot in by_slot]
    if kept and kept[-1] == PREVIOUS:
        # A pair cut in two: its exception was passed as the slot above.
        if len(state.layout.stack) > handler.depth and state.layout.stack[handler.depth] == "exception":
            values.append(by_slot[handler.depth])
    pushed = ([code.ops[index].offset // 2] if handler.lasti else []) + [raised]
    target = code.ops[handler.target]
    layout = Layout(kept + ("value",) * len(pushed), state.layout.locals)
    local_values = state.values[len(state.values) - len(state.layout.locals) :]
    return State(target.offset, layout, state.cells, (*values, *pushed, *local_values))


def states(function: types.FunctionType, arguments: tuple[Any, ...]) -> Iterator[State | Returned]:
    state: State | Returned = first_state(function, arguments)
    while True:
        yield state
        if isinstance(state, Returned):
            return
        state = step(function, state)


def seen(error: BaseException | None, depth: int = 0) -> Any:
    """What a program can see of an exception."""
    if error is None or depth > 5:
        return None
    return type(error).__name__, str(error), seen(error.__cause__, depth + 1), seen(error.__context__, depth + 1)


def own_line(error: BaseException, function: types.FunctionType) -> int | None:
    """The line of the last frame of the function itself."""
    line = None
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_qualname == function.__code__.co_qualname:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def shown(value: Any) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x", repr(value))


def outcome(function: types.FunctionType, run: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    try:
        result = run()
    except Exception as error:  # noqa: BLE001 - compared below
        return "raised", seen(error), own_line(error, function), shown(arguments)
    return "returned", shown(result), None, shown(arguments)


def run_from(function: types.FunctionType, state: State | Returned) -> Any:
    if isinstance(state, Returned):
        return state.value
    code = continuation(function.__code__, state.offset, state.layout)
    return make_function(code, function.__globals__, function.__name__, state.cells)(*state.values)


def nth(function: types.FunctionType, arguments: tuple[Any, ...], count: int) -> State | Returned:
    iterator = states(function, arguments)
    for _ in range(count):
        next(iterator)
    return next(iterator)


each_program = pytest.mark.parametrize(
    "function, arguments",
    [
        pytest.param(*row, id=f"{row[0].__name__}-{index}")
        for index, row in enumerate([*PROGRAMS, *FROM_THE_STANDARD_LIBRARY])
    ],
)
STRIDES = {"wide_function": 397, "translate": 23}
"""Long functions are not entered everywhere."""


@each_program
def test_every_state_can_be_continued(function, arguments):
    plain = copy.deepcopy(arguments)
    expected = outcome(function, lambda: function(*plain), plain)
    count = 0
    stride = STRIDES.get(function.__name__, 1)
    reached: set[int] = set()
    while True:
        copies = copy.deepcopy(arguments)
        try:
            state = nth(function, copies, count)
        except Exception:  # noqa: BLE001 - the program raises before that many steps
            break
        if isinstance(state, State):
            reached.add(state.offset)
        assert outcome(function, lambda: run_from(function, state), copies) == expected, state
        if isinstance(state, Returned):
            break
        count += stride
    assert count >= 0 and reached
    assert sys.exception() is None


@each_program
def test_stepping_to_the_end_equals_running(function, arguments):
    plain, copies = copy.deepcopy(arguments), copy.deepcopy(arguments)
    expected = outcome(function, lambda: function(*plain), plain)

    def run():
        for state in states(function, copies):
            if isinstance(state, Returned):
                return state.value

    assert outcome(function, run, copies) == expected
