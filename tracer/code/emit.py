"""Native instructions as objects that can be copied, re-numbered and assembled into a code object.

`disassemble` and `assemble` are inverse to each other: jumps and exception handlers refer to instructions, not to
offsets, and prefixes and caches are added when assembling. Nothing here knows what the instructions are for.
"""

from __future__ import annotations

import dis
from collections.abc import Iterable, Sequence
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import CodeType

from tracer.code.decode import BACKWARD, CACHES, EXTENDED_ARG, UNIT, native_exception_table
from tracer.code.native import DIALECT

JUMPS = frozenset(dis.hasjrel)

Positions = tuple[int | None, int | None, int | None, int | None]
"""First and last line, first and last column, as in `CodeType.co_positions`."""

NOWHERE: Positions = (None, None, None, None)


class Instruction:
    """One native instruction; `handler` is (target, depth, lasti) of the exception handler that covers it."""

    __slots__ = ("argument", "handler", "location", "number", "target", "unit")

    def __init__(self, name: str, argument: int = 0, target: Instruction | None = None) -> None:
        self.number = dis.opmap[name]
        self.argument = argument
        self.target = target
        self.location = NOWHERE
        self.handler: tuple[Instruction, int, bool] | None = None
        self.unit = 0
        """Where its first code unit (prefixes included) stands, once assembled."""

    @property
    def name(self) -> str:
        """The name of CPython's opcode."""
        return dis.opname[self.number]

    def rename(self, name: str) -> None:
        """Make it another opcode of CPython's, by name."""
        self.number = dis.opmap[name]

    def copy(self) -> Instruction:
        """The same instruction for another place: jump target, handler and location are shared."""
        copied = Instruction.__new__(Instruction)
        copied.number, copied.argument, copied.target = self.number, self.argument, self.target
        copied.location, copied.handler, copied.unit = self.location, self.handler, 0
        return copied

    def __repr__(self) -> str:
        return f"<{self.name} {self.target if self.target is not None else self.argument}>"


def disassemble(native: CodeType) -> tuple[list[Instruction], list[int]]:
    """The instructions without prefixes and caches, and for each code unit the index of its instruction."""
    raw = native.co_code
    locations = list(native.co_positions())
    # Profilers such as line_profiler lengthen code and leave its line table as it is.
    locations += [NOWHERE] * (len(raw) // UNIT - len(locations))
    instructions: list[Instruction] = []
    index_of_unit: list[int] = []
    jumps: list[tuple[Instruction, int]] = []
    argument = unit = 0
    while unit * UNIT < len(raw):
        number = raw[unit * UNIT]
        argument |= raw[unit * UNIT + 1]
        index_of_unit.append(len(instructions))
        if number == EXTENDED_ARG:
            argument <<= 8
            unit += 1
            continue
        instruction = Instruction.__new__(Instruction)
        instruction.number, instruction.argument, instruction.target = number, argument, None
        instruction.location, instruction.handler, instruction.unit = locations[unit], None, 0
        index_of_unit += [len(instructions)] * CACHES[number]
        instructions.append(instruction)
        unit += 1 + CACHES[number]
        if number in JUMPS:
            jumps.append((instruction, unit - argument if number in BACKWARD else unit + argument))
        argument = 0
    for instruction, target in jumps:
        instruction.target = instructions[index_of_unit[target]]
        instruction.argument = 0
    index_of_unit.append(len(instructions))
    for row in native_exception_table(native):
        handler = (instructions[index_of_unit[row.target // UNIT]], row.depth, row.lasti)
        for instruction in instructions[index_of_unit[row.start // UNIT] : index_of_unit[row.end // UNIT]]:
            instruction.handler = handler
    return instructions, index_of_unit[:-1]


def take_apart(
    instructions: Sequence[Instruction], index_of_unit: Sequence[int]
) -> tuple[list[Instruction], list[int]]:
    """What `disassemble` gives, with each instruction that stands for two as two; its unit is that of the first."""
    if not any(DIALECT.halves_of(each.name, each.argument) for each in instructions):
        return list(instructions), list(index_of_unit)
    parts: list[Instruction] = []
    first_of: list[int] = []
    for instruction in instructions:
        first_of.append(len(parts))
        parts.append(instruction)
        halves = DIALECT.halves_of(instruction.name, instruction.argument)
        if halves:
            first, second = halves
            rest = instruction.copy()
            rest.rename(second.name)
            rest.argument = second.argument(instruction.argument)
            instruction.rename(first.name)
            instruction.argument = first.argument(instruction.argument)
            parts.append(rest)
    return parts, [first_of[index] for index in index_of_unit]


def assemble(
    instructions: Sequence[Instruction],
    template: CodeType,
    *,
    constants: tuple[object, ...],
    variables: tuple[str, ...],
    cells: tuple[str, ...],
    free: tuple[str, ...],
    argument_count: int,
    stack_size: int,
) -> CodeType:
    """A code object that runs `instructions`; what is not named here is as in `template`.

    All parameters are positional ones. Raises ValueError for a jump whose opcode points the other way.
    """
    widths = place(instructions)
    return template.replace(
        co_argcount=argument_count,
        co_posonlyargcount=0,
        co_kwonlyargcount=0,
        co_nlocals=len(variables),
        co_stacksize=stack_size,
        co_flags=template.co_flags & ~(CO_VARARGS | CO_VARKEYWORDS),
        co_code=encode(instructions, widths),
        co_consts=constants,
        co_varnames=variables,
        co_cellvars=cells,
        co_freevars=free,
        co_linetable=line_table(instructions, widths, template.co_firstlineno),
        co_exceptiontable=exception_table(instructions, widths),
    )


def place(instructions: Sequence[Instruction]) -> list[int]:
    """Give every instruction its unit, and every jump its distance; return the code units that each takes.

    Prefixes make instructions longer and so jumps farther: repeat until nothing grows.
    """
    widths = [1 + prefixes(each.argument) + CACHES[each.number] for each in instructions]
    grew = True
    while grew:
        grew = False
        unit = 0
        for instruction, width in zip(instructions, widths, strict=True):
            instruction.unit = unit
            unit += width
        for index, instruction in enumerate(instructions):
            if instruction.target is None:
                continue
            distance = instruction.target.unit - instruction.unit - widths[index]
            if instruction.number in BACKWARD:
                distance = -distance
            if distance < 0:
                raise ValueError(f"{instruction.name} jumps the wrong way, by {distance} code units")
            instruction.argument = distance
            width = 1 + prefixes(distance) + CACHES[instruction.number]
            if width > widths[index]:
                widths[index] = width
                grew = True
    return widths


def prefixes(argument: int) -> int:
    """How many EXTENDED_ARG an argument needs."""
    return max(0, (argument.bit_length() - 1) // 8)


def encode(instructions: Sequence[Instruction], widths: Sequence[int]) -> bytes:
    """The bytes of instructions, each of its width in code units: prefixes, the instruction, its caches."""
    raw = bytearray()
    for instruction, width in zip(instructions, widths, strict=True):
        caches = CACHES[instruction.number]
        for shift in range((width - caches - 1) * 8, 0, -8):
            raw += bytes((EXTENDED_ARG, instruction.argument >> shift & 0xFF))
        raw += bytes((instruction.number, instruction.argument & 0xFF))
        raw += bytes(caches * UNIT)
    return bytes(raw)


def exception_table(instructions: Sequence[Instruction], widths: Sequence[int]) -> bytes:
    """Format: CPython's Objects/exception_handling_notes.txt."""
    table = bytearray()
    start = 0
    for index, instruction in enumerate(instructions):
        last = index + 1 == len(instructions)
        if not last and instructions[index + 1].handler == instruction.handler:
            continue
        if instruction.handler is not None:
            target, depth, lasti = instruction.handler
            begin = instructions[start].unit
            length = instruction.unit + widths[index] - begin
            table += big_endian_number(begin, start_bit=True)
            table += big_endian_number(length) + big_endian_number(target.unit)
            table += big_endian_number(depth << 1 | lasti)
        start = index + 1
    return bytes(table)


def big_endian_number(value: int, start_bit: bool = False) -> bytes:
    """Groups of six bits, the most significant first; bit 6 says that more follow, bit 7 that a row starts."""
    groups = [value & 0x3F]
    while value := value >> 6:
        groups.append(value & 0x3F | 0x40)
    groups.reverse()
    if start_bit:
        groups[0] |= 0x80
    return bytes(groups)


LONG_FORM, LINE_ONLY, NO_LOCATION = 14, 13, 15
UNITS_A_ROW = 8


def line_table(instructions: Sequence[Instruction], widths: Sequence[int], first_line: int) -> bytes:
    """Format: CPython's Objects/locations.md."""
    table = bytearray()
    line = first_line
    for location, length in spans(instructions, widths):
        while length > 0:
            units = min(length, UNITS_A_ROW)
            length -= units
            table += location_row(location, units, line)
            line = line if location[0] is None else location[0]
    return bytes(table)


def spans(instructions: Iterable[Instruction], widths: Iterable[int]) -> Iterable[tuple[Positions, int]]:
    """Runs of code units with one location: (location, length)."""
    location, length = NOWHERE, 0
    for instruction, width in zip(instructions, widths, strict=True):
        if instruction.location != location:
            if length:
                yield location, length
            location, length = instruction.location, 0
        length += width
    if length:
        yield location, length


def location_row(location: Positions, units: int, previous_line: int) -> bytes:
    """One entry of a code object's `co_linetable`, for 1 to 8 code units (CPython's Objects/locations.md)."""
    line, end_line, column, end_column = location
    if line is None:
        return bytes((0x80 | NO_LOCATION << 3 | units - 1,))
    if end_line is None or column is None or end_column is None:
        return bytes((0x80 | LINE_ONLY << 3 | units - 1,)) + signed_number(line - previous_line)
    return (
        bytes((0x80 | LONG_FORM << 3 | units - 1,))
        + signed_number(line - previous_line)
        + little_endian_number(end_line - line)
        + little_endian_number(column + 1)
        + little_endian_number(end_column + 1)
    )


def little_endian_number(value: int) -> bytes:
    """Groups of six bits, the least significant first; bit 6 says that more follow."""
    groups = bytearray()
    while value >= 0x40:
        groups.append(value & 0x3F | 0x40)
        value >>= 6
    groups.append(value)
    return bytes(groups)


def signed_number(value: int) -> bytes:
    """A signed number as the table of locations has it: the sign is the lowest bit."""
    return little_endian_number(-value << 1 | 1 if value < 0 else value << 1)
