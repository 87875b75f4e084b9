"""Continuations and trampolines as code objects: sharing, life time, refusals, well-formedness, handlers."""

from __future__ import annotations

import gc
import subprocess
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import resume_programs
from tracer.code.analyse import CALLEE, METHOD, NULL, VALUE, stack_kinds
from tracer.code.decode import Code, Op, decode
from tracer.code.resume import (
    Layout,
    continuation,
    kinds_at,
    make_function,
    origin,
    original_place,
    trampoline,
)

FUNCTION = tuple(NULL if kind == METHOD else kind for kind in CALLEE)
"""What the call of a function has on the stack below its arguments."""


def op_named(code: Code, name: str, operand: Any = None) -> Op:
    return next(op for op in code.ops if op.name == name and (operand is None or op.operand == operand))


def nested_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested_codes(constant)


def all_functions() -> Iterator[types.CodeType]:
    """Every function that the programs of this folder and one big module of the standard library define."""
    modules = [resume_programs, sys.modules["argparse"], sys.modules["dataclasses"]]
    for module in modules:
        with open(str(module.__file__), encoding="utf-8") as file:
            body = compile(file.read(), str(module.__file__), "exec")
        for code in nested_codes(body):
            decoded = decode(code)
            if not decoded.suspends and code.co_flags & 3 == 3:
                yield code


def layouts(code: types.CodeType) -> Iterator[tuple[Op, Layout]]:
    decoded = decode(code)
    plain = tuple(name for name in decoded.local_names if name not in decoded.cell_names)
    for op, kinds in zip(decoded.ops, stack_kinds(decoded), strict=True):
        if kinds is not None and op.name not in ("MAKE_CELL", "COPY_FREE_VARS"):
            yield op, Layout(tuple(NULL if kind == METHOD else kind for kind in kinds), plain)


def assert_well_formed(rebuilt: types.CodeType) -> Code:
    """Stacks agree wherever paths meet, never too deep or too shallow, and all slots exist."""
    decoded = decode(rebuilt)
    depths = [len(kinds) for kinds in stack_kinds(decoded) if kinds is not None]
    assert max(depths) <= rebuilt.co_stacksize
    for op in decoded.ops:
        assert op.opcode.operand != "slot" or 0 <= op.arg < len(decoded.slot_names)
    return decoded


def test_every_continuation_is_well_formed_and_enters_where_it_should():
    count = 0
    for code in all_functions():
        for op, layout in list(layouts(code))[::5]:
            rebuilt = continuation(code, op.offset, layout)
            decoded = assert_well_formed(rebuilt)
            entry = next(each for each in decoded.ops if each.name == "JUMP").operand
            entered = decoded.ops[entry]
            assert (entered.name, entered.line, entered.positions) == (op.name, op.line, op.positions)
            assert original_place(rebuilt, entered.offset) == (code, op.offset)
            assert rebuilt.co_freevars == code.co_cellvars + code.co_freevars
            assert rebuilt.co_varnames[: len(layout.parameters)] == layout.parameters or not layout.parameters
            count += 1
    assert count > 2000


def test_every_trampoline_is_well_formed():
    count = 0
    for code in all_functions():
        reached: dict[int, Layout] = {}
        for op, layout in list(layouts(code))[::7]:
            rebuilt = trampoline(
                code, op.offset, layout, lambda offset, after: reached.setdefault(offset, after) and print
            )
            assert_well_formed(rebuilt)
            count += 1
        for offset, layout in reached.items():
            continuation(code, offset, layout)
    assert count > 1000


def loop(log, n):
    for i in range(n):
        log.append((i, n))
    return log


LOOP = decode(loop.__code__)
AT_APPEND = next(op for op in LOOP.ops if op.name == "CALL" and op.line == loop.__code__.co_firstlineno + 2)
APPENDING = Layout(("value", *FUNCTION, "value"), ("log", "n"))


def test_the_same_place_gives_the_same_code_object_while_in_use():
    rebuilt = continuation(loop.__code__, AT_APPEND.offset, APPENDING)
    assert continuation(loop.__code__, AT_APPEND.offset, Layout(APPENDING.stack, APPENDING.locals)) is rebuilt
    other = continuation(loop.__code__, AT_APPEND.offset, Layout(("value", "value", "value", "value"), ("log", "n")))
    assert other is not rebuilt
    provenance = origin(rebuilt)
    assert provenance is not None and provenance.code is loop.__code__ and provenance.layout == APPENDING
    assert origin(loop.__code__) is None


def test_a_continuation_of_a_continuation_is_one_of_the_original():
    first = continuation(loop.__code__, AT_APPEND.offset, APPENDING)
    decoded = decode(first)
    inner = next(op for op in decoded.ops if op.name == "CALL" and op.line == AT_APPEND.line)
    assert inner.offset != AT_APPEND.offset
    assert kinds_at(first, inner.offset) == kinds_at(loop.__code__, AT_APPEND.offset)
    assert continuation(first, inner.offset, APPENDING) is first
    jump = next(op for op in decoded.ops if op.name == "FOR_ITER")
    second = continuation(first, jump.offset, Layout(("value",), ("log", "n")))
    assert second is continuation(loop.__code__, op_named(LOOP, "FOR_ITER").offset, Layout(("value",), ("log", "n")))
    with pytest.raises(ValueError, match="prologue"):
        continuation(first, 0, APPENDING)


def test_code_objects_are_not_kept():
    code = loop.__code__.replace()
    rebuilt = continuation(code, AT_APPEND.offset, APPENDING)
    provenance = origin(rebuilt)
    assert provenance is not None
    gone = weakref.ref(code), weakref.ref(rebuilt)
    del code, rebuilt, provenance
    gc.collect()
    assert [each() for each in gone] == [None, None]


@pytest.mark.parametrize(
    "layout, words",
    [
        (Layout(("value",), ("log", "n")), "the stack at"),
        (Layout(("value", "null", "null", "value"), ("log", "n")), "the stack at"),
        (Layout(APPENDING.stack, ("log", "log")), "not distinct"),
        (Layout(APPENDING.stack, ("nothing",)), "not distinct"),
    ],
)
def test_layouts_that_cannot_be(layout, words):
    with pytest.raises(ValueError, match=words):
        continuation(loop.__code__, AT_APPEND.offset, layout)
    with pytest.raises(ValueError, match=words):
        trampoline(loop.__code__, AT_APPEND.offset, layout, lambda offset, after: print)


def test_code_that_cannot_be_entered():
    def numbers(n):
        yield n

    class_body = next(code for code in nested_codes(compile("class A:\n  x = 1", "m", "exec")) if code.co_name == "A")
    for code in (numbers.__code__, class_body, compile("x = 1", "m", "exec")):
        with pytest.raises(ValueError, match="cannot be entered"):
            continuation(code, decode(code).ops[0].offset, Layout())


def run_trampoline(
    function: Callable[..., Any], op: Op, layout: Layout, target: Callable[..., Any], *values: Any
) -> Any:
    rebuilt = trampoline(function.__code__, op.offset, layout, lambda offset, after: target)
    return make_function(rebuilt, function.__globals__, function.__name__, function.__closure__ or ())(*values)


def guarded(log):
    try:
        log.append(1)
        return log
    except ValueError as error:
        return ["handled", str(error), sys.exception() is error]


GUARDED = decode(guarded.__code__)
GUARDED_CALL = op_named(GUARDED, "CALL", 1)


def test_handlers_run_natively_around_the_instruction():
    def fails(item):
        raise ValueError("from the call")

    found = run_trampoline(guarded, GUARDED_CALL, Layout((*FUNCTION, "value"), ("log",)), print, fails, 1, [])
    assert found == ["handled", "from the call", True]


def test_no_handler_is_around_the_target():
    def target(cells, *values):
        assert sys.exception() is None
        raise ValueError("from the target")

    with pytest.raises(ValueError, match="from the target"):
        run_trampoline(guarded, GUARDED_CALL, Layout((*FUNCTION, "value"), ("log",)), target, print, 1, [])


class Weakly:
    pass


def holder(a, b):
    print(a)
    return b


def end_within_the_target():
    """Print what is left of an argument once the continuation has let go of it."""
    code = decode(holder.__code__)
    call = op_named(code, "CALL", 1)

    def target(cells, result, b):
        gone = weakref.ref(b)
        del b
        print(gone())

    rebuilt = trampoline(holder.__code__, call.offset, Layout((*FUNCTION, VALUE), ("b",)), lambda *place: target)
    function = make_function(rebuilt, {}, "holder", ())
    function(lambda a: a, 1, Weakly())


def test_the_trampoline_holds_no_reference_to_what_it_passes():
    """In a new process: while another thread captures, CPython's own calls hold their arguments."""
    script = "from tests.test_resume_code import end_within_the_target; end_within_the_target()"
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    assert printed.stdout == "None\n"


def test_bound_locals_are_passed_on_whether_read_again_or_not():
    passed: list[Layout] = []
    code = decode(holder.__code__)
    load = op_named(code, "LOAD_FAST", 0)
    call = op_named(code, "CALL", 1)

    def remember(offset: int, after: Layout) -> Any:
        passed.append(after)
        return print

    trampoline(holder.__code__, load.offset, Layout(FUNCTION, ("a", "b")), remember)
    trampoline(holder.__code__, call.offset, Layout((*FUNCTION, VALUE), ("a", "b")), remember)
    assert [layout.locals for layout in passed] == [("a", "b"), ("a", "b")]


INLINED = sys.version_info >= (3, 12)


@pytest.mark.skipif(INLINED, reason="comprehensions are functions up to 3.11")
def test_a_comprehension_can_be_entered():
    source = (lambda n, k: [i * k + j for i in range(n) for j in (i, k) if i != j]).__code__
    code = next(each for each in nested_codes(source) if each.co_name == "<listcomp>")
    decoded = decode(code)
    append = op_named(decoded, "LIST_APPEND")
    rebuilt = continuation(code, append.offset, Layout(("value",) * 4, ("i",)))
    found = make_function(rebuilt, {}, "comprehension", [types.CellType(10)])([], iter([1, 2]), iter([5]), 7, 1)
    assert found == [7, 15, 11, 20, 21, 30][:2] + found[2:] and found[0] == 7


@pytest.mark.skipif(not INLINED, reason="comprehensions are inlined from 3.12 on")
def test_an_inlined_comprehension_gives_back_what_it_hides():
    def bound(items, i):
        return [i * 2 for i in items], i

    def unbound(items):
        doubled = [i * 2 for i in items]
        return doubled, i  # noqa: F821

    append = op_named(decode(bound.__code__), "LIST_APPEND")
    rebuilt = continuation(bound.__code__, append.offset, Layout(("value",) * 4, ("items", "i")))
    assert make_function(rebuilt, {}, "bound", ())(7, [], iter([5]), 1, (), 3) == ([1, 10], 7)
    append = op_named(decode(unbound.__code__), "LIST_APPEND")
    assert kinds_at(unbound.__code__, append.offset) == ("method", "value", "value", "value")
    rebuilt = continuation(unbound.__code__, append.offset, Layout(("null", *["value"] * 3), ("items", "i")))
    with pytest.raises(NameError, match="'i'"):
        make_function(rebuilt, {}, "unbound", ())([], iter([5]), 1, (), 3)


@pytest.mark.skipif(not INLINED, reason="comprehensions are inlined from 3.12 on")
def test_a_trampoline_hides_a_variable_and_gives_it_back():
    def program(items, i):
        return [i * 2 for i in items], i

    code = decode(program.__code__)
    hide = op_named(code, "LOAD_FAST_AND_CLEAR")
    restore = next(op for op in reversed(code.ops) if op.name == "STORE_FAST")
    layouts: list[Layout] = []
    for op, stack, names in (
        (hide, ("value",), ("items", "i")),
        (hide, ("value",), ("items",)),
        (restore, ("value", "value"), ("items",)),
        (restore, ("value", "null"), ("items", "i")),
    ):
        trampoline(
            program.__code__, op.offset, Layout(stack, names), lambda offset, after: layouts.append(after) or print
        )
    assert [(layout.stack, layout.locals) for layout in layouts] == [
        (("value", "value"), ("items",)),
        (("value", "null"), ("items",)),
        (("value",), ("items", "i")),
        (("value",), ("items",)),
    ]


def test_a_return_of_a_constant_can_be_entered_behind_its_load():
    def program():
        return 5

    load, back = decode(program.__code__).ops[-2:]
    assert (load.name, back.name) == ("LOAD_CONST", "RETURN_VALUE") and load.offset != back.offset
    rebuilt = continuation(program.__code__, back.offset, Layout(("value",), ()))
    assert make_function(rebuilt, {}, "program", ())(6) == 6
    assert original_place(rebuilt, decode(rebuilt).ops[-1].offset) == (program.__code__, back.offset)


def test_names_of_the_user_may_look_like_ours():
    def program(_stack_0, _stack_1):
        return [_stack_0, len((_stack_1, _stack_0)), _stack_1]

    call = op_named(decode(program.__code__), "CALL", 1)
    layout = Layout(("value", *FUNCTION, "value"), ("_stack_1", "_stack_0"))
    rebuilt = continuation(program.__code__, call.offset, layout)
    assert make_function(rebuilt, {}, "program", ())(1, len, (3, 4, 5), 2, 9) == [1, 3, 2]
    seen: list[Any] = []
    run_trampoline(program, call, layout, lambda *values: seen.append(values), 1, len, (3, 4, 5), 2, 9)
    assert seen == [((), 1, 3, 2, 9)]
