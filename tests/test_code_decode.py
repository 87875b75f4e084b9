"""Canonical instructions: names, operands, offsets, handlers, lines, over the features of the language."""

from __future__ import annotations

import dis
import gc
import operator
import sys
import types
import weakref
from collections.abc import Iterator

import pytest

from tests import resume_programs
from tracer.code import opcodes
from tracer.code.decode import (
    COMPILED,
    DROPPED,
    NATIVE_ROWS,
    SPECIAL_ROWS,
    Handler,
    decode,
    native_exception_table,
)
from tracer.code.native import DIALECT, DIALECTS, dialect_of
from tracer.code.opcodes import OPCODES, Opcode


def nested_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested_codes(constant)


def programs() -> list[types.CodeType]:
    operands: list[types.CodeType] = []
    for module in (resume_programs, dis, types, operator):
        with open(str(module.__file__), encoding="utf-8") as file:
            operands += nested_codes(compile(file.read(), str(module.__file__), "exec"))
    return operands


def ops(function) -> list[tuple[str, object]]:
    return [(op.name, op.operand) for op in decode(function.__code__).ops]


def canonical_rows(number: int, argument: int) -> list[Opcode]:
    """The canonical opcodes that a native instruction stands for."""
    if halves := DIALECT.halves_of(dis.opname[number], argument):
        return [row for half in halves for row in canonical_rows(dis.opmap[half.name], half.argument(argument))]
    row = SPECIAL_ROWS[number](argument)[0] if number in SPECIAL_ROWS else NATIVE_ROWS[number][0]
    return [] if row is None else [row]


def test_every_native_opcode_has_a_row_or_is_dropped():
    meant = set()
    for number, name in COMPILED.items():
        rows = [row.name for argument in range(32) for row in canonical_rows(number, argument)]
        assert (not rows) is (name in DROPPED)
        meant.update(rows)
    assert meant == set(OPCODES) - DIALECT.unused
    assert set(OPCODES) >= DIALECT.unused and set(dis.opmap) >= DROPPED


def test_each_dialect_speaks_of_opcodes_that_exist():
    for dialect in DIALECTS.values():
        assert set(OPCODES) >= dialect.unused | set(dialect.plain_loads) | set(dialect.operands)
        assert set(OPCODES) >= dialect.hidden_handlers | set(dialect.renamed.values()) | set(dialect.flagged.values())
        assert set(OPCODES) >= {name for names in dialect.numbered.values() for name in names.values()}
        assert set(OPCODES) >= {*dialect.absorbing.values(), *dialect.completing.values()}
        assert set(dialect.halves) >= set(dialect.halved_by)


def test_a_version_without_a_dialect_is_refused():
    assert dialect_of((3, 11)) is DIALECTS[3, 11]
    with pytest.raises(ImportError, match=r"of Python 3\.11, 3\.12 and 3\.13, not of 3\.10"):
        dialect_of((3, 10))


KNOWN_DIFFERENCES = {
    "BUILD_SLICE": "dis only knows 2 and 3",
    "RETURN_GENERATOR": "the caller pushes",
    "CALL": "split",
    "CALL_KW": "the names are part of it",
    **(
        {}
        if sys.version_info < (3, 12)
        else dict.fromkeys(("FOR_ITER", "SEND", "CLEANUP_THROW"), "END_* is part of it")
    ),
}


@pytest.mark.parametrize("name", sorted(set(COMPILED.values()) - DROPPED - set(KNOWN_DIFFERENCES)))
def test_stack_effects_are_the_native_ones(name):
    number = dis.opmap[name]
    for argument in (0, 1, 2, 3, 5, 8, 0x0203) if number >= dis.HAVE_ARGUMENT else (None,):
        rows = canonical_rows(number, argument or 0)
        for jump in (False, True) if rows[0].jumps else (False,):
            effects = [row.effect(argument or 0, jump) for row in rows]
            pops, pushes = (sum(counts) for counts in zip(*effects, strict=True))
            assert pushes - pops == dis.stack_effect(number, argument, jump=jump), (name, argument, jump)


def canonical_instructions(code: types.CodeType) -> list[tuple[dis.Instruction, Opcode]]:
    """Native instructions, each with a canonical opcode that it stands for; those without one of their own left out."""
    rows: list[tuple[dis.Instruction, Opcode]] = []
    exit_of_loop = DIALECT.exit_of_loop
    behind = 0
    for each in dis.get_instructions(code):
        behind = len(exit_of_loop) if each.opname in exit_of_loop[:1] else behind - 1
        if each.opname in DROPPED or behind > 0:
            continue
        if rows and DIALECT.absorbing.get(each.opname) == rows[-1][1].name:
            rows.pop()
        rows += [(each, row) for row in canonical_rows(each.opcode, each.arg or 0)]
    return rows


def test_instructions_agree_with_dis():
    for code in programs():
        decoded = decode(code)
        rows = canonical_instructions(code)
        native = [each for each, _ in rows]
        assert [row.name for _, row in rows] == [op.name for op in decoded.ops]
        for each, op in zip(native, decoded.ops, strict=True):
            assert decoded.index_at[op.offset] == op.index
            halves = DIALECT.halves_of(each.opname, each.arg or 0)
            if not halves:
                assert decoded.index_at[each.offset] == op.index
                assert op.offset <= each.offset < op.end
            assert each.positions is not None and op.positions.column == each.positions.col_offset
            assert op.line == each.positions.lineno == op.positions.line
            if op.opcode.jumps:
                assert op.operand == decoded.index_at[int(each.argval)]
            elif op.opcode.operand in ("name", "constant"):
                assert op.operand is each.argval or op.operand == each.argval
            elif op.opcode.operand == "slot":
                assert op.slot_name == each.argval or (halves and op.slot_name in each.argval)
        assert len({op.offset for op in decoded.ops}) == len(decoded.ops)


def test_operators_are_functions():
    def program(a, b):
        a += b
        a = a @ b - (a**b)
        return a < b, a is not b, a in b, not a, -a, f"{a!r:>3}", f"{b}"

    operands = [operand for name, operand in ops(program) if callable(operand) or name == "FORMAT_VALUE"]
    formats = [repr] if "FORMAT_VALUE" in DIALECT.unused else [(repr, True), (None, False)]
    assert operands == [
        operator.iadd,
        operator.matmul,
        operator.pow,
        operator.sub,
        operator.lt,
        operator.is_not,
        opcodes.contained,
        operator.not_,
        operator.neg,
        *formats,
    ]
    assert opcodes.contained(1, [1]) and opcodes.not_contained(2, [1])


def test_keywords_are_part_of_the_call():
    def program(f):
        return f(1, a=2, b=3), f.method(c=4), print()

    calls = [op for op in decode(program.__code__).ops if op.name == "CALL"]
    assert [(op.operand, op.keywords) for op in calls] == [(3, ("a", "b")), (1, ("c",)), (0, ())]
    load = next(op for op in decode(program.__code__).ops if op.name == "LOAD_GLOBAL")
    assert load.push_null and load.operand == "print"


def test_jumps_lead_to_operations():
    def program(n):
        while n:
            n -= 1
        for _ in n or ():
            pass
        return 1 if n is None else 2

    code = decode(program.__code__)
    names = {op.name for op in code.ops if op.opcode.jumps}
    assert names - {"JUMP_IF_TRUE_OR_POP"} == {
        "POP_JUMP_IF_FALSE",
        "POP_JUMP_IF_TRUE",
        "FOR_ITER",
        "JUMP",
        "POP_JUMP_IF_NOT_NONE",
    }
    assert ("JUMP_IF_TRUE_OR_POP" in names) is ("JUMP_IF_TRUE_OR_POP" not in DIALECT.unused)


def test_handlers_by_operation():
    def program(f):
        with f as g:
            g()

    code = decode(program.__code__)
    before = next(op for op in code.ops if op.name == "BEFORE_WITH")
    assert code.handlers[before.index] is None
    handler = code.handlers[before.index + 1]
    assert handler == Handler(before.index + 1, handler.end, handler.target, 1, True) if handler else False
    assert handler is not None and code.ops[handler.target].name == "PUSH_EXC_INFO"
    assert len(code.exception_table) == len(native_exception_table(program.__code__))


def test_slots():
    def outer(free):
        def inner(a, b, /, c, *rest, key, **named):
            local = [free, lambda: (a, local)]
            return local, b, c, rest, key, named

        return inner

    code = decode(outer(1).__code__)
    assert code.slot_names == ("a", "b", "c", "key", "rest", "named", "local", "free")
    assert (code.cell_names, code.cell_slots) == (("a", "local"), (0, 6))
    assert (code.free_names, code.free_slots) == (("free",), (7,))
    assert (code.argument_count, code.positional_only_count, code.keyword_only_count) == (3, 2, 1)
    assert code.parameter_count == 6 and code.has_varargs and code.has_varkeywords
    assert not code.suspends


def test_decoded_once_for_each_code_object_and_not_kept():
    def program(x):
        return x + 1

    equal = program.__code__.replace()
    assert equal == program.__code__ and decode(equal) is not decode(program.__code__)
    decoded = decode(equal)
    assert decode(equal) is decoded and decoded.native is equal
    gone = weakref.ref(equal)
    del equal
    gc.collect()
    assert gone() is None
    with pytest.raises(ReferenceError, match="program"):
        decoded.native  # noqa: B018
