"""Assembling what was disassembled gives the same code object; long jumps and prefixes come out right."""

from __future__ import annotations

import pytest

from tests.test_code_decode import programs
from tracer.code.decode import native_exception_table
from tracer.code.emit import Instruction, assemble, disassemble


def reassembled(code, instructions=None):
    return assemble(
        disassemble(code)[0] if instructions is None else instructions,
        code,
        constants=code.co_consts,
        variables=code.co_varnames,
        cells=code.co_cellvars,
        free=code.co_freevars,
        argument_count=code.co_argcount,
        stack_size=code.co_stacksize,
    )


def test_round_trip():
    for code in programs():
        rebuilt = reassembled(code)
        assert rebuilt.co_code == code.co_code
        assert list(rebuilt.co_positions()) == list(code.co_positions())
        assert native_exception_table(rebuilt) == native_exception_table(code)


def test_padding_lengthens_jumps():
    def program(n):
        quotients = []
        for i in range(n):
            try:
                if i % 2:
                    quotients.append(i // (i - 3))
            except ZeroDivisionError:
                quotients.append("zero")
        return quotients

    instructions, _ = disassemble(program.__code__)
    for padding in (100, 300, 70_000):
        padded = [instructions[0]]
        for each in instructions[1:]:
            padded.append(each)
            if each.name == "FOR_ITER":
                padded += [Instruction("NOP") for _ in range(padding)]
        rebuilt = reassembled(program.__code__, padded)
        program_padded = type(program)(rebuilt, {"range": range, "ZeroDivisionError": ZeroDivisionError})
        assert program_padded(6) == program(6)


def test_a_jump_the_wrong_way_is_refused():
    def program():
        return 1

    instructions, _ = disassemble(program.__code__)
    with pytest.raises(ValueError, match="JUMP_FORWARD jumps the wrong way"):
        reassembled(program.__code__, [*instructions, Instruction("JUMP_FORWARD", target=instructions[0])])
