"""Code objects that enter a function in the middle: continuations, and trampolines for one native instruction.

Both keep the original's bytecode after a prologue that puts the saved stack, variables, cells and handled exceptions
back in place. They are always derived from the code object the user wrote, so that paths which meet share one
continuation. Only bytecode is known here, nothing of tensors, guards, graphs or how values are traced.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import CO_NEWLOCALS, CO_OPTIMIZED
from types import CellType, CodeType, FunctionType
from typing import Any

from tracer.code.analyse import (
    CALLEE,
    ENDS_LOCAL,
    EXCEPTION,
    LASTI,
    METHOD,
    NULL,
    PREVIOUS,
    VALUE,
    Kinds,
    stack_after,
    stack_kinds,
    successors,
)
from tracer.code.decode import UNIT, Code, Op, decode
from tracer.code.emit import Instruction, assemble, disassemble, place, take_apart
from tracer.code.native import DIALECT


@dataclass(frozen=True, slots=True)
class Layout:
    """What is alive where a function is entered: kinds of the stack slots, bottom first, and names of bound locals.

    Kinds: "value"; "null"; "previous", the slot that PUSH_EXC_INFO saved, one for each exception being handled;
    "exception", the exception being handled, directly above its "previous". Cells are not listed: all are passed.
    """

    stack: Kinds = ()
    locals: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what a continuation takes, in order.

        A "value" or "exception" slot takes itself, a "null" nothing; a "previous" takes the exception being handled
        there, unless the slot above is that "exception".
        """
        return tuple(f"_stack_{index}" for index in passed_slots(self.stack)) + self.locals


def passed_slots(stack: Kinds) -> list[int]:
    """The stack slots that are handed over as a parameter."""
    return [
        index
        for index, kind in enumerate(stack)
        if kind != NULL and not (kind == PREVIOUS and stack[index + 1 : index + 2] == (EXCEPTION,))
    ]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a continuation comes from: it enters `code`, which the user wrote, at `offset` with `layout`."""

    code: CodeType
    offset: int
    layout: Layout
    offsets: Mapping[int, int]
    """Offset of each instruction of the continuation's body: offset of the same one in `code`."""


_ORIGINS: dict[int, Origin] = {}
_CONTINUATIONS: dict[tuple[int, int, Layout], weakref.ref[CodeType]] = {}

ALLOWED = {
    VALUE: (VALUE,),
    NULL: (NULL,),
    METHOD: (VALUE, NULL),
    PREVIOUS: (PREVIOUS,),
    EXCEPTION: (EXCEPTION, VALUE),
    LASTI: (VALUE, LASTI),
}
"""By the kind that a slot must be of: the kinds that a layout may give it."""

HIDDEN_ARGUMENT = ".first"


def origin(code: CodeType) -> Origin | None:
    """Where a continuation comes from; None for any other code object."""
    return _ORIGINS.get(id(code))


def original_place(code: CodeType, offset: int) -> tuple[CodeType, int]:
    """The code object that the user wrote, and the offset in it that `offset` in `code` stands for."""
    origin = _ORIGINS.get(id(code))
    if origin is None:
        return code, offset
    if offset not in origin.offsets:
        raise ValueError(f"offset {offset} is in the prologue of a continuation of {origin.code.co_qualname}")
    return origin.code, origin.offsets[offset]


def continuation(code: CodeType, offset: int, layout: Layout) -> CodeType:
    """A code object that enters `code` at native `offset`; the same one for the same arguments while it is in use.

    Its parameters are `layout.parameters`; its free variables are the original's cells, then its free variables.
    Raises ValueError when `layout` cannot be what the stack holds there, or when `code` makes a generator.
    """
    original, place_in_original = original_place(code, offset)
    decoded = decode(original)
    op = decoded.ops[decoded.index_at[place_in_original]]
    layout, kinds = checked(decoded, op, layout)
    key = (id(original), op.offset, layout)
    reference = _CONTINUATIONS.get(key)
    entry = None if reference is None else reference()
    if entry is None:
        assembly = Assembly(decoded, layout, kinds)
        assembly.enter(assembly.at(op.offset))
        entry = assembly.finish()
        offsets = {each.unit * UNIT: offset for offset, each in assembly.original_offsets()}
        _ORIGINS[id(entry)] = Origin(original, op.offset, layout, offsets)
        weakref.finalize(entry, _ORIGINS.pop, id(entry)).atexit = False
        _CONTINUATIONS[key] = weakref.ref(entry, partial(_forget, key))
    return entry


def _forget(key: tuple[int, int, Layout], reference: weakref.ref[CodeType]) -> None:
    if _CONTINUATIONS.get(key) is reference:
        del _CONTINUATIONS[key]


def trampoline(
    code: CodeType, offset: int, layout: Layout, resume_at: Callable[[int, Layout], Callable[..., Any]]
) -> CodeType:
    """A code object that runs natively the one instruction at `offset`, then goes on elsewhere.

    It takes the same parameters and free variables as `continuation(code, offset, layout)`. For each place where the
    instruction may lead, `resume_at(its offset in the original, its layout)` is called now, and what it returns is
    called then as `target(cells, *stack values, *locals)`, with no exception handler of the original around it. When
    the instruction raises, the original's handlers apply, natively in the same frame.
    Every local that is bound then is passed on, also one that nothing reads again: it is alive until the function ends.
    """
    original, place_in_original = original_place(code, offset)
    decoded = decode(original)
    op = decoded.ops[decoded.index_at[place_in_original]]
    if op.opcode.suspends:
        raise ValueError(f"{decoded!r}: {op!r} suspends its frame")
    layout, kinds = checked(decoded, op, layout)
    scratch = max((len(stack_after(op, kinds, jump)) for _, jump in successors(op)), default=0)
    assembly = Assembly(decoded, layout, kinds, scratch)
    stub = assembly.stub(op)
    assembly.enter(stub[0])
    assembly.tail += stub
    for index, jump in successors(op):
        after = stack_after(op, kinds, jump)
        if op.name in DIALECT.plain_loads:
            after = (*after[:-2], *(NULL if kind == METHOD else kind for kind in CALLEE))
        elif op.name == "LOAD_FAST_AND_CLEAR":
            after = (*after[:-1], VALUE if op.slot_name in layout.locals else NULL)
        bound = bound_after(decoded, op, layout)
        target_layout = Layout(shown(after), bound)
        target = resume_at(decoded.ops[index].offset, target_layout)
        way_out = assembly.leave(after, bound, target_layout.locals, target, stub[-1].location, op.name if jump else "")
        if jump:
            stub[-1].target = way_out
    return assembly.finish()


def make_function(code: CodeType, global_names: dict[str, Any], name: str, cells: Iterable[CellType]) -> FunctionType:
    """A function that runs a continuation or a trampoline with these globals and cells."""
    defaults = (None,) if code.co_varnames[:1] == (HIDDEN_ARGUMENT,) else None
    return FunctionType(code, global_names, name, defaults, tuple(cells))


def kinds_at(code: CodeType, offset: int) -> Kinds:
    """Kinds of the stack slots before the instruction at `offset`; "method" where only a run can tell value from null.

    "lasti" slots are given to a continuation as a "value": the code unit, in the original, of what raised.
    """
    original, place_in_original = original_place(code, offset)
    decoded = decode(original)
    kinds = stack_kinds(decoded)[decoded.index_at[place_in_original]]
    if kinds is None:
        raise ValueError(f"{decoded!r}: nothing leads to offset {offset}")
    return kinds


def checked(code: Code, op: Op, layout: Layout) -> tuple[Layout, Kinds]:
    """The layout in its one spelling, and the kind of each slot, "lasti" included."""
    native = code.native
    if code.suspends or not native.co_flags & CO_OPTIMIZED or not native.co_flags & CO_NEWLOCALS:
        raise ValueError(f"{code!r} cannot be entered in the middle: a generator, coroutine, class or module body")
    expected = stack_kinds(code)[op.index]
    if expected is None:
        raise ValueError(f"{code!r}: nothing leads to {op!r}")
    if len(expected) != len(layout.stack) or any(
        actual not in ALLOWED[kind] for kind, actual in zip(expected, layout.stack, strict=True)
    ):
        raise ValueError(f"{code!r}: the stack at {op!r} is {expected}, not {layout.stack}")
    plain = set(code.local_names).difference(code.cell_names)
    if not plain.issuperset(layout.locals) or len(set(layout.locals)) < len(layout.locals):
        raise ValueError(f"{code!r}: {layout.locals} are not distinct locals among {sorted(plain)}")
    kinds = tuple(LASTI if kind == LASTI else actual for kind, actual in zip(expected, layout.stack, strict=True))
    return Layout(shown(kinds), layout.locals), kinds


def shown(kinds: Kinds) -> Kinds:
    """Kinds as a layout spells them."""
    return tuple(VALUE if kind == LASTI else kind for kind in kinds)


def bound_after(code: Code, op: Op, layout: Layout) -> tuple[str, ...]:
    """Locals bound after `op`, given those bound before, in the order of their slots."""
    if op.name not in ENDS_LOCAL:
        return layout.locals
    # What a comprehension has hidden and stores back may be null.
    is_bound = op.name == "STORE_FAST" and layout.stack[-1] != NULL and op.slot_name not in code.cell_names
    if is_bound and op.slot_name not in layout.locals:
        return tuple(sorted((*layout.locals, op.slot_name), key=code.local_names.index))
    return layout.locals if is_bound else tuple(name for name in layout.locals if name != op.slot_name)


CELL_SETUP = frozenset({"MAKE_CELL", "COPY_FREE_VARS"})


class Assembly:
    """One code object in the making: a prologue, the body of the original, and a tail.

    Slots: the parameters, the original's other locals, scratch ones, its cells, then the free variables, which are
    the cells once more (from where the prologue moves them to the cells proper) and its own free variables.
    """

    def __init__(self, code: Code, layout: Layout, kinds: Kinds, scratch: int = 0) -> None:
        self.code = code
        self.layout = layout
        self.kinds = kinds
        self.first = self.first_argument()
        self.parameters = layout.parameters
        if not self.parameters and self.first is not None:
            self.parameters = (HIDDEN_ARGUMENT,)
        self.variables = list(self.parameters)
        self.moved = self.first is not None and self.parameters[0] in layout.locals and self.parameters[0] != self.first
        """Whether the first parameter is a local that must give its slot to `super()`."""
        if self.moved:
            self.variables.append(self.parameters[0])
        self.variables += [
            name for name in code.local_names if name not in code.cell_names and name not in self.variables
        ]
        self.scratch = len(self.variables)
        """The first of `scratch` slots that ways out may use."""
        self.variables += [f".scratch {index}" for index in range(scratch)]
        self.passed = passed_slots(layout.stack)
        """Stack slots handed over; the parameters begin with them."""
        self.slots = {name: index for index, name in enumerate(self.variables)}
        self.constants = list(code.native.co_consts)
        self.body, self.index_of_unit = take_apart(*disassemble(code.native))
        self.prologue: list[Instruction] = []
        self.tail: list[Instruction] = []
        self.to_new: int | None = None
        self.to_original: int | None = None
        """Constants that translate code units, once needed."""
        self.renumber()

    def first_argument(self) -> str | None:
        """The variable that `super()` without arguments takes from slot 0, when there is one and it is bound."""
        if "__class__" not in self.code.free_names or self.code.argument_count == 0:
            return None
        name = self.code.local_names[0]
        return name if name in self.code.cell_names or name in self.layout.locals else None

    @property
    def free(self) -> tuple[str, ...]:
        """Names of cells and free variables of the original, all of which are free here."""
        return self.code.cell_names + self.code.free_names

    def cell_slot(self, index: int) -> int:
        """The slot of a cell of the original."""
        return len(self.variables) + index

    def free_slot(self, index: int) -> int:
        """The slot of a free variable of the original."""
        return len(self.variables) + len(self.code.cell_names) + index

    def renumber(self) -> None:
        """Make the body use the new slots; its own cell set-up becomes void."""
        new = [self.slots.get(name, -1) for name in self.code.slot_names]
        for index, slot in enumerate(self.code.cell_slots):
            new[slot] = self.cell_slot(index)
        for index, slot in enumerate(self.code.free_slots):
            new[slot] = self.free_slot(len(self.code.cell_names) + index)
        is_set_up = False
        for instruction in self.body:
            is_set_up = is_set_up or instruction.name == "RESUME"
            if instruction.name in DIALECT.slots or (is_set_up and instruction.name == "MAKE_CELL"):
                instruction.argument = new[instruction.argument]
            elif instruction.name in CELL_SETUP:
                instruction.rename("NOP")
                instruction.argument = 0

    def index(self, offset: int) -> int:
        """The number in the body of the instruction at `offset` in the original."""
        unit = offset // UNIT
        return self.index_of_unit[unit] + offset % UNIT if unit < len(self.index_of_unit) else len(self.body)

    def at(self, offset: int) -> Instruction:
        """The instruction of the body that stands at `offset` in the original."""
        return self.body[self.index(offset)]

    def between(self, start: int, end: int) -> list[Instruction]:
        """The instructions of the body between two offsets in bytes."""
        return self.body[self.index(start) : self.index(end)]

    def stub(self, op: Op) -> list[Instruction]:
        """The native instructions of `op` once more, to stand in the tail.

        What leaves a method unbound leaves a bound method and null there, so that what it leaves is known beforehand.
        """
        stub = [each.copy() for each in self.between(op.offset, op.end)]
        for each in stub:
            if each.name in DIALECT.forward:
                each.rename(DIALECT.forward[each.name])
        if op.name in DIALECT.plain_loads:
            load = stub[-1]
            load.rename(DIALECT.plain_loads[op.name])
            load.argument = DIALECT.plain_argument(load.argument)
            null = Instruction("PUSH_NULL")
            operands, _ = op.opcode.effect(op.arg)
            below = [Instruction("SWAP", depth) for depth in range(operands + 1, 1, -1)]
            stub = [load, null] if DIALECT.is_null_above else [null, *below, load]
            for each in stub:
                each.location = load.location
        # Where a call raises, 3.13 looks for the handler of the code unit in front of it.
        padding = stub[0].copy()
        padding.rename("NOP")
        padding.argument, padding.target = 0, None
        return [padding, *stub]

    def original_offsets(self) -> list[tuple[int, Instruction]]:
        """(offset in the original, instruction) of the body."""
        units = {index: unit for unit, index in reversed(list(enumerate(self.index_of_unit)))}
        return [
            (units[index] * UNIT if index in units else units[index - 1] * UNIT + 1, instruction)
            for index, instruction in enumerate(self.body)
        ]

    def constant(self, value: object) -> int:
        """Add a constant, and give its index."""
        self.constants.append(value)
        return len(self.constants) - 1

    def enter(self, target: Instruction) -> None:
        """Write the prologue: everything back in its place, then on to `target`."""
        make = self.prologue.append
        free = self.free
        if free:
            make(Instruction("COPY_FREE_VARS", len(free)))
        cells = range(len(self.code.cell_names))
        for index in cells:
            make(Instruction("MAKE_CELL", self.cell_slot(index)))
        before = len(self.prologue)
        make(Instruction("RESUME", 0))
        for index in cells:
            make(Instruction(DIALECT.load_cell, self.free_slot(index)))
            make(Instruction("STORE_FAST", self.cell_slot(index)))
        for index, kind in enumerate(self.kinds):
            if kind == NULL:
                make(Instruction("PUSH_NULL"))
            elif index in self.passed:
                self.load_slot(self.passed.index(index), kind)
        for parameter in range(len(self.passed)):
            make(Instruction("DELETE_FAST", parameter))
        self.place_first_argument()
        make(Instruction("JUMP_FORWARD", target=target))
        for instruction in self.prologue[before:]:
            instruction.location = target.location

    def load_slot(self, parameter: int, kind: str) -> None:
        """Push the stack slot passed as `parameter`; if it marks a handled exception, that is handled from here on."""
        make = self.prologue.append
        if kind == LASTI:
            self.to_new = self.constant(None) if self.to_new is None else self.to_new
            make(Instruction("LOAD_CONST", self.to_new))
        make(Instruction("LOAD_FAST", parameter))
        if kind == LASTI:
            make(Instruction("BINARY_SUBSCR"))
        elif kind == EXCEPTION:
            make(Instruction("PUSH_EXC_INFO"))
        elif kind == PREVIOUS:
            make(Instruction("PUSH_EXC_INFO"))
            make(Instruction("POP_TOP"))

    def place_first_argument(self) -> None:
        """Emit what moves the first argument to where the body (and `super()`) looks for it."""
        if self.first is None or self.parameters[0] == self.first:
            return
        make = self.prologue.append
        if self.moved:
            make(Instruction("LOAD_FAST", 0))
            make(Instruction("STORE_FAST", self.slots[self.parameters[0]]))
        if self.first in self.code.cell_names:
            make(Instruction("LOAD_DEREF", self.cell_slot(self.code.cell_names.index(self.first))))
        else:
            make(Instruction("LOAD_FAST", self.slots[self.first]))
        make(Instruction("STORE_FAST", 0))

    def leave(
        self,
        kinds: Kinds,
        bound: tuple[str, ...],
        passed: tuple[str, ...],
        target: object,
        location: tuple[int | None, int | None, int | None, int | None],
        jump: str = "",
    ) -> Instruction:
        """Append the way out: unwind the stack into scratch slots, let go of all variables, call `target`.

        Returns its first instruction, which the canonical opcode `jump`, if any, jumps to."""
        start = len(self.tail)
        make = self.tail.append
        if jump == "FOR_ITER":
            for name in DIALECT.exit_of_loop:
                make(Instruction(name))
        slots = passed_slots(shown(kinds))
        scratch = {index: self.scratch + number for number, index in enumerate(slots)}
        for index in reversed(range(len(kinds))):
            self.unwind(kinds[index], scratch.get(index))
        self.load_callee(target)
        cell_count = len(self.code.cell_names)
        for index in range(cell_count):
            make(Instruction(DIALECT.load_cell, self.cell_slot(index)))
        for index in range(cell_count, len(self.free)):
            make(Instruction(DIALECT.load_cell, self.free_slot(index)))
        make(Instruction("BUILD_TUPLE", len(self.free)))
        for index in slots:
            if kinds[index] == LASTI:
                self.to_original = self.constant(None) if self.to_original is None else self.to_original
                make(Instruction("LOAD_CONST", self.to_original))
            make(Instruction("LOAD_FAST", scratch[index]))
            if kinds[index] == LASTI:
                make(Instruction("BINARY_SUBSCR"))
        for name in passed:
            make(Instruction("LOAD_FAST", self.slots[name]))
        for slot in [*scratch.values(), *(self.slots[name] for name in bound)]:
            make(Instruction("DELETE_FAST", slot))
        count = 1 + len(slots) + len(passed)
        self.tail += [Instruction(name, count) for name in DIALECT.call]
        make(Instruction("RETURN_VALUE"))
        for instruction in self.tail[start:]:
            instruction.location = location
        return self.tail[start]

    def unwind(self, kind: str, scratch: int | None) -> None:
        """Take one slot off the stack, into `scratch` when it is passed on; end the handling that it marks."""
        make = self.tail.append
        if kind == NULL:  # which only a call may take away
            make(Instruction("LOAD_CONST", self.constant(tuple)))
            if DIALECT.is_null_above:
                make(Instruction("SWAP", 2))
            self.tail += [Instruction(name, 0) for name in DIALECT.call]
            make(Instruction("POP_TOP"))
            return
        if kind == PREVIOUS and scratch is not None:
            self.call_constant(sys.exception)
        if scratch is not None:
            make(Instruction("STORE_FAST", scratch))
        if kind == PREVIOUS:
            make(Instruction("POP_EXCEPT"))

    def call_constant(self, function: object) -> None:
        """Emit a call of a function without arguments, which is a constant."""
        self.load_callee(function)
        self.tail += [Instruction(name, 0) for name in DIALECT.call]

    def load_callee(self, function: object) -> None:
        """Emit what pushes a function that is called, a constant."""
        pair = [Instruction("LOAD_CONST", self.constant(function)), Instruction("PUSH_NULL")]
        self.tail += pair if DIALECT.is_null_above else reversed(pair)

    def finish(self) -> CodeType:
        """The code object: prologue, body and tail, with their tables."""
        instructions = [*self.prologue, *self.body, *self.tail]
        if self.to_new is not None:
            place(instructions)
            self.constants[self.to_new] = tuple(self.body[index].unit for index in self.index_of_unit)
        if self.to_original is not None:
            units = [0] * (self.body[-1].unit + 1)
            for offset, instruction in self.original_offsets():
                units[instruction.unit] = offset // UNIT
            self.constants[self.to_original] = tuple(units)
        native = self.code.native
        return assemble(
            instructions,
            native,
            constants=tuple(self.constants),
            variables=tuple(self.variables),
            cells=self.code.cell_names,
            free=self.free,
            argument_count=len(self.parameters),
            stack_size=native.co_stacksize + len(self.free) + len(self.variables) + 4,
        )
