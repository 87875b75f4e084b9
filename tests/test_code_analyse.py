"""Live variables and stack kinds."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable

from tests.test_code_decode import programs
from tracer.code.analyse import CALLEE, live_names, stack_kinds
from tracer.code.decode import Op, decode


def first(function: Callable[..., object], name: str, skip: int = 0) -> Op:
    code = decode(function.__code__)  # type: ignore[attr-defined]
    return [op for op in code.ops if op.name == name][skip]


def live_at(function: Callable[..., object], op: Op) -> tuple[str, ...]:
    return live_names(op.code, op.index)


def test_live_until_the_last_use():
    def program(a, b):
        c = a + b
        return c

    assert live_at(program, first(program, "BINARY_OP")) == ()
    assert live_at(program, first(program, "LOAD_FAST", 1)) == ("b",)
    assert live_at(program, first(program, "LOAD_FAST")) == ("a", "b")
    assert live_at(program, first(program, "RETURN_VALUE")) == ()


def test_live_around_a_loop_and_into_handlers():
    def program(items, seen, other):
        for item in items:
            try:
                result = item()
            except ValueError:
                return other
            seen = result
        return seen

    assert live_at(program, first(program, "CALL")) == ("other",)
    assert live_at(program, first(program, "FOR_ITER")) == ("seen", "other")


def test_a_deletion_is_a_use():
    def program(a):
        b = 1
        del a
        return b

    assert live_at(program, first(program, "LOAD_CONST")) == ("a",)


def test_everything_is_live_where_the_frame_may_be_read():
    def reads(a, b):
        a.eval()
        return locals()

    def by_frame(a, b):
        return sys._getframe(0)

    def does_not(a, b):
        return a.eval()

    assert live_at(reads, first(reads, "RETURN_VALUE")) == ("a", "b")
    assert live_at(by_frame, first(by_frame, "RETURN_VALUE")) == ("a", "b")
    assert live_at(does_not, first(does_not, "RETURN_VALUE")) == ()


def test_super_needs_the_first_argument():
    class Base:
        def method(self, x):
            return super().__init__()

    assert live_at(Base.method, first(Base.method, "RETURN_VALUE")) == ("self",)


def test_cells_are_not_among_the_locals():
    def program(a, b):
        return lambda: a, b

    assert live_at(program, first(program, "MAKE_FUNCTION")) == ("b",)


FUNCTION = tuple("null" if kind == "method" else kind for kind in CALLEE)
"""What the call of a function has on the stack below its arguments."""


def test_kinds_of_handled_exceptions():
    def program(f):
        try:
            f()
        except ValueError as error:
            f(error)

    code = decode(program.__code__)
    kinds = dict(zip([op.name for op in code.ops], stack_kinds(code), strict=True))
    assert kinds["CHECK_EXC_MATCH"] == ("previous", "exception", "value")
    in_handler = [op for op in code.ops if op.name == "CALL"][1]
    assert stack_kinds(code)[in_handler.index] == ("previous", *FUNCTION, "value")
    cleanup = [op for op in code.ops if op.name == "COPY"][-1]
    assert stack_kinds(code)[cleanup.index] == ("previous", "lasti", "value")
    assert stack_kinds(code)[cleanup.index + 1] == ("value", "lasti", "value", "previous")


def test_kinds_of_callables():
    def program(x):
        return print(x.method(1))

    code = decode(program.__code__)
    calls = [stack_kinds(code)[op.index] for op in code.ops if op.name == "CALL"]
    assert calls == [(*FUNCTION, *CALLEE, "value"), (*FUNCTION, "value")]


def test_stacks_agree_wherever_paths_meet():
    for native in programs():
        code = decode(native)
        for kinds in stack_kinds(code):
            assert kinds is None or len(kinds) <= max(native.co_stacksize, 1)  # `return 1` may need no slot natively
    assert isinstance(native, types.CodeType)
