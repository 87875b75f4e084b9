"""CPython's language features, one small program at a time: the interpreter against CPython itself.

Nothing here knows about tensors. `run(program)(*arguments)` must be indistinguishable from `program(*arguments)`;
a program registered with `may_break` may be refused instead.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator

import pytest

from tests.conformance.catalogue import Program, load
from tests.conformance.compare import difference, observe

PROGRAMS = load()
NAMES = [program.name for program in PROGRAMS]

# Instructions that no source program of 3.11 compiles to, or only a module body does.
NOT_IN_FUNCTIONS = {
    "CACHE",
    "EXTENDED_ARG",
    "IMPORT_STAR",
    "LOAD_CLASSDEREF",
    "PRINT_EXPR",
    "SETUP_ANNOTATIONS",
}


def code_objects(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and everything nested in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_objects(constant)


def test_names_are_unique():
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("program", PROGRAMS, ids=NAMES)
def test_plain(program: Program):
    """Each program ends as registered, and two plain runs of it cannot be told apart."""
    for call in program.calls:
        first, second = observe(program.function, program, call), observe(program.function, program, call)
        assert type(first.error) is (call.raises or type(None)) or isinstance(first.error, call.raises), first.error
        assert difference(first, second) is None


def test_programs_use_every_instruction():
    codes = [code for program in PROGRAMS for code in code_objects(program.function.__code__)]
    used = {instruction.opname for code in codes for instruction in dis.get_instructions(code)}
    assert set(dis.opmap) - used <= NOT_IN_FUNCTIONS
