"""CPython's language features, one small program at a time: the interpreter against CPython itself.

Nothing here knows about tensors. `run(program)(*arguments)` must answer as `program(*arguments)` does. The programs
whose calls may be refused with a GraphBreak instead, and why, are those of tests/pins/test_conformance.json.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conformance.catalogue import Program, load
from tests.conformance.compare import Comparison, Observation, difference, observe
from tests.conformance.split import split
from tests.pins import read
from tracer.code.decode import COMPILED, DROPPED, canonical_name
from tracer.code.native import DIALECT
from tracer.code.opcodes import OPCODES
from tracer.interpret import run
from tracer.interpret.registry import HANDLERS
from tracer.reasons import GraphBreak

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
NOT_IN_FUNCTIONS_OF_3_12 = {"INTERPRETER_EXIT", "LOAD_FROM_DICT_OR_DEREF", "LOAD_FROM_DICT_OR_GLOBALS", "RESERVED"}
NOT_IN_FUNCTIONS_OF_3_13 = {"ENTER_EXECUTOR", "EXIT_INIT_CHECK"}


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
    assert set(COMPILED.values()) - used <= NOT_IN_FUNCTIONS | NOT_IN_FUNCTIONS_OF_3_12 | NOT_IN_FUNCTIONS_OF_3_13


@dataclass(frozen=True)
class Verdict:
    """The result of interpreting a program: differences in words, and the reasons why calls were refused."""

    differences: tuple[str, ...]
    breaks: tuple[str, ...]


def interpret(program: Program) -> Verdict:
    """Interpret every call of a program: all of it, or what follows its class definitions."""
    halves = split(program)
    differences, breaks = [], []

    def second_half(*arguments, **keywords):
        assert halves is not None
        return run(halves(*arguments, **keywords))()

    for call in program.calls:
        plain = observe(program.function, program, call)
        interpreted = observe(run(program.function) if halves is None else second_half, program, call)
        if isinstance(interpreted.error, GraphBreak):
            breaks.append(interpreted.error.reason.id)
            continue
        differs = difference_of_results(plain, interpreted)
        if differs:
            differences.append(f"{call}: {differs}")
    return Verdict(tuple(differences), tuple(breaks))


def difference_of_results(plain: Observation, interpreted: Observation) -> str | None:
    """`run` leaves arguments as they were and rebuilds its result: aliases and mutations are for capture to keep."""
    if (plain.error is None) is not (interpreted.error is None):
        return f"plain ended in {plain.error!r}, interpreted in {interpreted.error!r}"
    comparison = Comparison(aliases=False)
    if plain.error is not None and interpreted.error is not None:
        if not comparison.same_type(type(plain.error), type(interpreted.error)):
            return f"plain ended in {plain.error!r}, interpreted in {interpreted.error!r}"
        return comparison.difference(plain.error.args, interpreted.error.args, "error.args")
    return comparison.difference(plain.result, interpreted.result, "result")


@pytest.mark.parametrize("program", PROGRAMS, ids=NAMES)
def test_interpreted(program: Program, pin):
    verdict = interpret(program)
    assert not verdict.differences
    pin(list(verdict.breaks), [])


def test_refusals_are_pinned_for_programs_that_exist():
    assert set(read("test_conformance")) <= set(NAMES)


def test_every_opcode_is_canonical_or_disappears():
    native = set(COMPILED.values()) - DROPPED - set(DIALECT.halves)
    assert {name for name in native if canonical_name(name) not in OPCODES} == set()


def test_every_canonical_opcode_has_a_handler():
    assert set(OPCODES) - set(HANDLERS) == set()
