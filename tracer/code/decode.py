"""Canonical instructions: what CPython's bytecode means, whichever version wrote it.

`decode` turns a native code object into a `Code`, a list of `Op`, once per code object. Offsets are native
bytes in `co_code`; indices count canonical instructions. Nothing here knows about tensors, guards or graphs.
"""

from __future__ import annotations

import dis
import inspect
import opcode
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import CodeType
from typing import Any, Final

from tracer.code.dialect import Half, Reader
from tracer.code.native import DIALECT
from tracer.code.opcodes import (
    BINARY_OPERATORS,
    COMPARISONS,
    CONVERSIONS,
    IDENTITY,
    MEMBERSHIP,
    OPCODES,
    UNARY_OPERATORS,
    Opcode,
)

UNIT = 2
"""Bytes in one code unit."""

DROPPED = DIALECT.dropped
"""Native opcodes with no canonical counterpart."""

JUMPS = frozenset({"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"})


@dataclass(frozen=True, slots=True)
class Handler:
    """Where an exception raised in ops `start` to `end` (exclusive) goes: the stack is cut to `depth`,
    then the offset of the raising instruction (if `lasti`) and the exception are pushed."""

    start: int
    end: int
    target: int
    depth: int
    lasti: bool


@dataclass(frozen=True, slots=True)
class Position:
    """Where an instruction stands in its source file: lines from 1, columns in UTF-8 bytes from 0, end exclusive."""

    line: int | None
    end_line: int | None
    column: int | None
    end_column: int | None


class Op:
    """One canonical instruction; made once per code object, never changed save for `run`.

    `operand` is the argument resolved by meaning: the constant; the name; the slot in `Code.slot_names`; the
    index of the op jumped to; the function that computes an operator; the count. `offset` is where native execution
    of the instruction begins (its prefixes included) and `end` the native offset just behind it.
    """

    __slots__ = (
        "arg",
        "code",
        "end",
        "index",
        "keywords",
        "line",
        "name",
        "offset",
        "opcode",
        "operand",
        "push_null",
        "run",
    )

    name: str
    opcode: Opcode
    arg: int
    operand: Any
    index: int
    offset: int
    end: int
    line: int | None
    keywords: tuple[str, ...]
    push_null: bool
    code: Code
    run: Any

    @property
    def positions(self) -> Position:
        """Where the instruction stands in the source: lines and columns."""
        return self.code.position(self)

    @property
    def slot_name(self) -> str:
        """Name of the variable that a slot instruction works on."""
        return self.code.slot_names[self.arg]

    def __repr__(self) -> str:
        shown = "" if self.operand is None else f" {self.operand!r}"
        return f"<{self.index} {self.name}{shown} at {self.offset}, line {self.line}>"


class Code:
    """A decoded code object.

    `slot_names` are CPython's "localsplus": the `local_names` (arguments first), then the cells that are no
    argument, then the free variables. An argument captured by an inner function is a local and a cell in one slot.
    """

    __slots__ = (
        "__weakref__",
        "_native",
        "_positions",
        "argument_count",
        "cell_names",
        "cell_slots",
        "exception_table",
        "filename",
        "flags",
        "free_names",
        "free_slots",
        "handlers",
        "has_varargs",
        "has_varkeywords",
        "index_at",
        "keyword_only_count",
        "local_names",
        "name",
        "ops",
        "positional_only_count",
        "qualname",
        "slot_names",
        "stack_size",
        "suspends",
    )

    ops: list[Op]
    index_at: dict[int, int]
    exception_table: list[Handler]
    handlers: list[Handler | None]

    def __init__(self, native: CodeType, forget: Callable[[Any], object] | None = None) -> None:
        self._native = weakref.ref(native, forget)
        self._positions: list[Position] | None = None
        self.name = native.co_name
        self.qualname = native.co_qualname
        self.filename = native.co_filename
        self.flags = native.co_flags
        self.argument_count = native.co_argcount
        """Positional ones, positional-only included."""
        self.positional_only_count = native.co_posonlyargcount
        self.keyword_only_count = native.co_kwonlyargcount
        self.has_varargs = bool(native.co_flags & inspect.CO_VARARGS)
        self.has_varkeywords = bool(native.co_flags & inspect.CO_VARKEYWORDS)
        self.suspends = bool(
            native.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR)
        )
        """Whether calling it makes a generator, a coroutine or an asynchronous generator."""
        self.stack_size = native.co_stacksize
        self.local_names = native.co_varnames
        self.cell_names = native.co_cellvars
        self.free_names = native.co_freevars
        self.slot_names = slot_names(native)
        slot = {name: index for index, name in reversed(list(enumerate(self.slot_names)))}
        self.cell_slots = tuple(slot[name] for name in self.cell_names)
        free_from = len(self.slot_names) - len(self.free_names)
        self.free_slots = tuple(range(free_from, len(self.slot_names)))

    @property
    def native(self) -> CodeType:
        """The code object decoded. Held weakly: whoever decodes keeps the function or the code object alive."""
        native = self._native()
        if native is None:
            raise ReferenceError(f"the code object of {self.qualname} ({self.filename}) is gone")
        return native

    @property
    def parameter_count(self) -> int:
        """Slots that a call fills: arguments, keyword-only ones, then *args, then **kwargs."""
        return self.argument_count + self.keyword_only_count + self.has_varargs + self.has_varkeywords

    def position(self, op: Op) -> Position:
        """Where an instruction stands in the source; the table is read once."""
        if self._positions is None:
            self._positions = [Position(*row) for row in self.native.co_positions()]
        return self._positions[(op.end - 1) // UNIT]  # what is in front may stand elsewhere, such as names of keywords

    def __repr__(self) -> str:
        return f"<Code {self.qualname} {self.filename}, {len(self.ops)} ops>"


def slot_names(native: CodeType) -> tuple[str, ...]:
    """Names of all slots of a frame, in their native order."""
    local_names = native.co_varnames
    plain_cells = tuple(name for name in native.co_cellvars if name not in local_names)
    return local_names + plain_cells + native.co_freevars


def canonical_name(native_name: str) -> str | None:
    """The canonical name of a native opcode; None when it has no counterpart."""
    if native_name in DROPPED:
        return None
    if native_name in JUMPS:
        return "JUMP"
    if native_name in DIALECT.renamed:
        return DIALECT.renamed[native_name]
    return native_name.replace("_FORWARD_", "_").replace("_BACKWARD_", "_")


OPERANDS: dict[str, Reader] = {
    "none": lambda native, name, argument: None,
    "count": lambda native, name, argument: argument,
    "slot": lambda native, name, argument: argument,
    "flag": lambda native, name, argument: bool(argument & 1),
    "constant": lambda native, name, argument: native.co_consts[argument],
    "name": lambda native, name, argument: native.co_names[argument],
    "global": lambda native, name, argument: native.co_names[argument >> 1],
    "unary": lambda native, name, argument: UNARY_OPERATORS[name],
    "binary": lambda native, name, argument: NATIVE_BINARY[argument],
    "comparison": lambda native, name, argument: NATIVE_COMPARISONS[argument],
    "identity": lambda native, name, argument: IDENTITY[argument],
    "membership": lambda native, name, argument: MEMBERSHIP[argument],
    "assertion error": lambda native, name, argument: AssertionError,
    "conversion": lambda native, name, argument: CONVERSIONS[argument],
    "format": lambda native, name, argument: (CONVERSIONS[argument & 3], bool(argument & 4)),
    "unpack": lambda native, name, argument: (argument & 0xFF, argument >> 8),
}
"""How each kind of operand is read: (code object, canonical name, argument) to `Op.operand`."""

_ENTRIES: Any = opcode._inline_cache_entries  # pyright: ignore[reportAttributeAccessIssue]
CACHES: list[int] = [_ENTRIES.get(name, 0) for name in dis.opname] if isinstance(_ENTRIES, dict) else _ENTRIES
"""By opcode number: code units behind the instruction that its specialised forms use."""

NATIVE_BINARY = tuple(BINARY_OPERATORS[symbol] for _, symbol in opcode._nb_ops)  # pyright: ignore[reportAttributeAccessIssue]
NATIVE_COMPARISONS = tuple(COMPARISONS[symbol] for symbol in dis.cmp_op)

Row = tuple[Opcode | None, Reader | None, int]
"""(canonical opcode or None, operand reader, code units that the instruction takes).

The reader is None for jumps, whose target is an offset yet."""

COMPILED: Final = {number: name for name, number in dis.opmap.items() if number < 256 and "INSTRUMENTED" not in name}
"""The opcodes of code objects, by number: neither what the compiler alone uses nor what a monitored frame runs."""


def row_of(canonical: str, units: int) -> Row:
    """The row of a canonical opcode."""
    row = OPCODES[canonical]
    return row, None if row.jumps else DIALECT.operands.get(canonical, OPERANDS[row.operand]), units


def native_rows() -> list[Row]:
    """The rows by native opcode number; those of SPECIAL_ROWS and HALVES have no opcode here."""
    elsewhere = {*DIALECT.halves, *DIALECT.flagged, *DIALECT.numbered}
    rows: list[Row] = [(None, None, 1)] * 256
    for number, name in COMPILED.items():
        canonical = canonical_name(name)
        units = 1 + CACHES[number]
        rows[number] = (None, None, units) if canonical is None or name in elsewhere else row_of(canonical, units)
    return rows


def special_rows() -> dict[int, Callable[[int], Row]]:
    """By native opcode number: the row for an argument, of opcodes whose argument says what they mean."""
    rows: dict[int, Callable[[int], Row]] = {}
    for name, other in DIALECT.flagged.items():
        units = NATIVE_ROWS[dis.opmap[name]][2]
        rows[dis.opmap[name]] = partial(_flagged_row, row_of(name, units), row_of(other, units))
    for name, others in DIALECT.numbered.items():
        units = NATIVE_ROWS[dis.opmap[name]][2]
        by_argument = {argument: row_of(other, units) for argument, other in others.items()}
        rows[dis.opmap[name]] = partial(_numbered_row, row_of(name, units), by_argument)
    for name, bit in DIALECT.halved_by.items():
        units = NATIVE_ROWS[dis.opmap[name]][2]
        rows[dis.opmap[name]] = partial(_halved_row, row_of(name, units), (None, None, units), bit)
    return rows


def _flagged_row(plain: Row, flagged: Row, argument: int) -> Row:
    return flagged if argument & 1 else plain


def _numbered_row(plain: Row, by_argument: dict[int, Row], argument: int) -> Row:
    return by_argument.get(argument, plain)


def _halved_row(plain: Row, none: Row, bit: int, argument: int) -> Row:
    return none if argument & bit else plain


NATIVE_ROWS = native_rows()
SPECIAL_ROWS = special_rows()
HALVES: dict[int, tuple[Half, Half]] = {dis.opmap[name]: halves for name, halves in DIALECT.halves.items()}
BACKWARD = frozenset(number for name, number in dis.opmap.items() if "BACKWARD" in name)
EXTENDED_ARG = dis.opmap["EXTENDED_ARG"]
ABSORBING = {dis.opmap[name]: absorbed for name, absorbed in DIALECT.absorbing.items()}
COMPLETING = {dis.opmap[name]: completed for name, completed in DIALECT.completing.items()}
KW_NAMES = dis.opmap.get("KW_NAMES", -1)
CALL_KW = dis.opmap.get("CALL_KW", -1)
PRECALL = dis.opmap.get("PRECALL", -1)
EXIT_OF_LOOP = dis.opmap[DIALECT.exit_of_loop[0]] if DIALECT.exit_of_loop else -1
REST_OF_EXIT = UNIT * (len(DIALECT.exit_of_loop) - 1)
"""Bytes of the instructions behind EXIT_OF_LOOP that are dropped with it."""

_DECODED: dict[int, Code] = {}


def decode(native: CodeType) -> Code:
    """The canonical form of `native`; always the same object for the same code object."""
    code = _DECODED.get(id(native))
    if code is None:
        code = Code(native, partial(_DECODED.pop, id(native)))
        _fill(code, native)
        _DECODED[id(native)] = code
    return code


def decoded() -> list[Code]:
    """The canonical forms of all code objects that were decoded and are alive."""
    return list(_DECODED.values())


def _fill(code: Code, native: CodeType) -> None:
    """Decode the instructions, then what refers to them: jump targets, exception table, lines."""
    ops: list[Op] = []
    index_at: dict[int, int] = {}
    targets: list[tuple[Op, int]] = []
    raw = native.co_code
    offset = start = argument = 0
    keywords: tuple[str, ...] = ()
    while offset < len(raw):
        number = raw[offset]
        argument |= raw[offset + 1]
        row, read, units = NATIVE_ROWS[number]
        index_at[offset] = len(ops)
        end = offset + units * UNIT
        if number == EXTENDED_ARG:
            argument <<= 8
            offset = end
            continue
        if row is None and number in SPECIAL_ROWS:
            row, read, _ = SPECIAL_ROWS[number](argument)
        if row is None:
            if number == KW_NAMES:
                keywords = native.co_consts[argument]
            elif number in HALVES:
                _add_halves(code, ops, HALVES[number], argument, (start, offset + 1, end))
                index_at[offset + 1] = len(ops) - 1
            elif number in COMPLETING:
                _complete(ops[-1], COMPLETING[number], argument, end)
                index_at[offset] -= 1
            elif number == EXIT_OF_LOOP:
                index_at[end] = len(ops)
                end += REST_OF_EXIT
            if number not in (KW_NAMES, PRECALL):
                start = end
        else:
            if number in ABSORBING and ops and ops[-1].name == ABSORBING[number]:
                absorbed = ops.pop()
                index_at[start] = index_at[offset] = len(ops)
                start = absorbed.offset
                keywords = absorbed.operand if number == CALL_KW else ()
            elif number == CALL_KW:
                raise ValueError(f"{code!r}: the names of the keywords at {offset} are no constant")
            op = _add_op(code, ops, row, argument, start, end)
            op.keywords = keywords
            if read is None:
                distance = argument * UNIT
                targets.append((op, end - distance if number in BACKWARD else end + distance))
            else:
                op.operand = read(native, row.name, argument)
            keywords = ()
            start = end
        argument = 0
        offset = end
    index_at[len(raw)] = len(ops)
    for op, target in targets:
        op.operand = index_at[target]
    code.ops = ops
    code.index_at = index_at
    _set_lines(ops, native)
    _set_handlers(code, native)


def _add_op(code: Code, ops: list[Op], row: Opcode, argument: int, start: int, end: int) -> Op:
    """Append an op whose native instruction begins at `start`; its operand is missing yet."""
    op = Op()
    op.name = row.name
    op.opcode = row
    op.arg = argument
    op.index = len(ops)
    op.offset = start
    op.end = end
    op.line = None
    op.keywords = ()
    op.push_null = row.name == "LOAD_GLOBAL" and argument & 1 == 1
    op.code = code
    op.run = None
    ops.append(op)
    return op


def _add_halves(
    code: Code, ops: list[Op], halves: tuple[Half, Half], argument: int, offsets: tuple[int, int, int]
) -> None:
    """Decode an instruction that stands for two; `offsets`: where the first begins, where it ends, and the second."""
    for half, start, end in zip(halves, offsets, offsets[1:], strict=False):
        number, part = dis.opmap[half.name], half.argument(argument)
        row, read, _ = SPECIAL_ROWS[number](part) if number in SPECIAL_ROWS else NATIVE_ROWS[number]
        assert row is not None and read is not None
        op = _add_op(code, ops, row, part, start, end)
        op.operand = read(code.native, row.name, part)


def _complete(op: Op, name: str, argument: int, end: int) -> None:
    """Add the argument of an instruction to that of the op in front of it, which it is a part of."""
    if op.name != name:
        raise ValueError(f"{op!r} is no {name}, which the instruction behind it would complete")
    op.arg |= argument
    op.operand = op.arg
    op.end = end


def _set_handlers(code: Code, native: CodeType) -> None:
    """Read the exception table. A handler that the compiler hides is passed over, for the one around it."""
    index_at = code.index_at
    table = [
        Handler(index_at[entry.start], index_at[entry.end], index_at[entry.target], entry.depth, entry.lasti)
        for entry in native_exception_table(native)
    ]
    code.exception_table = table
    code.handlers = [None] * len(code.ops)
    for handler in table:
        code.handlers[handler.start : handler.end] = [handler] * (handler.end - handler.start)
    if not any(code.ops[handler.target].name in DIALECT.hidden_handlers for handler in table):
        return
    code.exception_table = [
        handler for handler in table if code.ops[handler.target].name not in DIALECT.hidden_handlers
    ]
    native_handlers = code.handlers
    code.handlers = []
    for handler in native_handlers:
        while handler is not None and code.ops[handler.target].name in DIALECT.hidden_handlers:
            handler = native_handlers[handler.target]
        code.handlers.append(handler)


def _set_lines(ops: list[Op], native: CodeType) -> None:
    ranges = iter(native.co_lines())
    end, line = 0, None
    for op in ops:
        while op.end > end:
            _, end, line = next(ranges)
        op.line = line


@dataclass(frozen=True, slots=True)
class NativeHandler:
    """A row of a native exception table; `start`, `end` (exclusive) and `target` are byte offsets."""

    start: int
    end: int
    target: int
    depth: int
    lasti: bool


def native_exception_table(native: CodeType) -> list[NativeHandler]:
    """The rows of `co_exceptiontable`, format: CPython's Objects/exception_handling_notes.txt."""
    numbers: list[int] = []
    value = 0
    for byte in native.co_exceptiontable:
        value = value << 6 | byte & 0x3F
        if not byte & 0x40:
            numbers.append(value)
            value = 0
    return [
        NativeHandler(
            numbers[row] * UNIT,
            (numbers[row] + numbers[row + 1]) * UNIT,
            numbers[row + 2] * UNIT,
            numbers[row + 3] >> 1,
            bool(numbers[row + 3] & 1),
        )
        for row in range(0, len(numbers), 4)
    ]
