"""Graph breaks as data: why an entry ends before its frame does, and where the original function goes on.

The code that goes on is always derived from the function that the program has; a file says only at which instruction,
and which slots are alive there. It may name places where whatever those hold is handled as any object: CPython does not
ask what lies on its stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from types import CodeType
from typing import Any, Final

from tracer._native import hidden
from tracer.breaks import Break
from tracer.code.analyse import METHOD, NULL, VALUE, handler_of, live_names, stack_kinds, successors
from tracer.code.decode import Code, Op, Position, decode
from tracer.code.resume import Layout, passed_slots
from tracer.interpret.location import Location
from tracer.output.program import BranchPlace
from tracer.reasons import REASONS
from tracer.store.errors import BadFile, Unstorable
from tracer.store.paths import StoredCode, written_code

HIDDEN: Final = type(hidden(len))

CALLS: Final = frozenset({"CALL", "CALL_FUNCTION_EX"})
TAKES_ANY_OBJECT: Final = CALLS | frozenset(
    {"POP_TOP", "STORE_FAST", "STORE_GLOBAL", "STORE_DEREF", "RETURN_VALUE", "RAISE_VARARGS", "GET_ITER", "BEFORE_WITH"}
    | {"UNARY_POSITIVE", "UNARY_NEGATIVE", "UNARY_NOT", "UNARY_INVERT", "TO_BOOL", "BINARY_OP", "COMPARE_OP", "IS_OP"}
    | {"CONTAINS_OP", "BINARY_SUBSCR", "STORE_SUBSCR", "DELETE_SUBSCR", "BINARY_SLICE", "STORE_SLICE"}
    | {"LOAD_ATTR", "STORE_ATTR", "DELETE_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "LOAD_SUPER_METHOD"}
    | {"BUILD_TUPLE", "BUILD_LIST", "BUILD_SET", "BUILD_MAP", "BUILD_SLICE", "BUILD_STRING", "UNPACK_SEQUENCE"}
    | {"CONVERT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "FORMAT_VALUE", "UNPACK_EX", "LIST_EXTEND", "LIST_APPEND"}
    | {"SET_ADD", "MAP_ADD", "SET_UPDATE", "DICT_UPDATE", "POP_JUMP_IF_TRUE", "POP_JUMP_IF_FALSE", "POP_JUMP_IF_NONE"}
    | {"POP_JUMP_IF_NOT_NONE", "JUMP_IF_TRUE_OR_POP", "JUMP_IF_FALSE_OR_POP"}
)
"""Opcodes that take any object from the stack: of an unfit one they raise an exception."""
FILLS: Final = frozenset(
    {"LIST_APPEND", "SET_ADD", "MAP_ADD", "LIST_EXTEND", "SET_UPDATE", "DICT_UPDATE", "DICT_MERGE"}
)
"""Opcodes that write to a container further below, without asking what it is."""
PEEKS: Final = frozenset({"MATCH_KEYS", "MATCH_CLASS"})
"""Opcodes that read what is on top of the stack in a way that only fits what other instructions leave there."""


def write_branch(constant: Any) -> list[Any] | None:
    """What a program calls where it breaks, as JSON; None for any other constant. Raises Unstorable."""
    place = constant.place if type(constant) is HIDDEN else None
    if type(place) is not BranchPlace:
        return None
    code, offset, layout = place
    try:
        _iterators(decode(code), offset, layout)
    except ValueError as error:
        raise Unstorable("a graph break where the stack holds what only CPython makes", str(error)) from None
    return [offset, list(layout.stack), list(layout.locals)]


def read_branch(row: list[Any], code: CodeType, make_branch: Callable[[Code, int, Layout], Any]) -> Any:
    """The callable for a branch of a file, in an entry of `code`. Raises BadFile."""
    if len(row) != 3 or not all(map(_are_names, row[1:])):
        raise BadFile("a branch that is none")
    offset, layout = row[0], Layout(tuple(row[1]), tuple(row[2]))
    original = decode(written_code(code))
    try:
        iterators = _iterators(original, offset, layout)
        branch = make_branch(original, offset, layout)
    except ValueError as error:
        raise BadFile(f"a branch that is none: {error}") from None
    slots = passed_slots(layout.stack)
    places = [slots.index(slot) for slot in iterators]
    return hidden(_Checking(branch, places)) if places else branch


def _are_names(data: Any) -> bool:
    return type(data) is list and all(type(each) is str for each in data)


class _Checking:
    """A branch that is only taken if what a loop goes on with is an iterator, at these places of its slots."""

    def __init__(self, branch: Any, places: list[int]) -> None:
        self.branch = branch
        self.place = branch.place
        self.iterators = places

    def __call__(self, globals: Any, cells: Any, *slots: Any) -> Any:
        if not all(hasattr(type(slots[place]), "__next__") for place in self.iterators):
            raise BadFile("a loop goes on with what is no iterator")
        return self.branch(globals, cells, *slots)


def _iterators(code: Code, offset: Any, layout: Layout) -> list[int]:
    """The stack slots that loops go on with. Raises ValueError for a place that is not entered from a file."""
    index = code.index_at.get(offset) if type(offset) is int else None
    kinds = None if index is None or index == len(code.ops) else stack_kinds(code)[index]
    if index is None or kinds is None or len(kinds) != len(layout.stack):
        raise ValueError(f"no instruction at {offset!r} has such a stack")
    if not {VALUE, METHOD, NULL}.issuperset(kinds):
        raise ValueError("an exception is being handled")
    if not set(layout.locals).issuperset(live_names(code, index)):
        raise ValueError("a variable that is read is not bound")
    iterators = []
    for slot, kind in enumerate(kinds):
        names = {op.name for op in _consumers(code, index, slot)}
        if kind != VALUE and not names <= CALLS:
            raise ValueError("a slot that may be empty")
        if not names - {"FOR_ITER"} <= TAKES_ANY_OBJECT:
            raise ValueError(f"{min(names - TAKES_ANY_OBJECT)} takes a slot")
        if "FOR_ITER" in names:
            iterators.append(slot)
    return iterators


def _consumers(code: Code, index: int, slot: int) -> Iterator[Op]:
    """The instructions that take what a stack slot holds before an instruction, or write to it where it stays."""
    kinds = stack_kinds(code)
    pending, seen = [(index, slot)], set[tuple[int, int]]()
    while pending:
        state = pending.pop()
        if state in seen or state[0] >= len(code.ops):
            continue
        seen.add(state)
        index, slot = state
        op, depth = code.ops[index], len(kinds[index] or ())
        handler = handler_of(code, op)
        if handler is not None and slot < handler.depth:
            pending.append((handler.target, slot))
        if op.name in PEEKS and slot >= depth - 3:
            raise ValueError(f"{op.name} reads a slot")
        if op.name == "SWAP":
            ends = (depth - 1, depth - op.arg)
            slot = ends[slot == ends[0]] if slot in ends else slot
        pops, _ = (0, 0) if op.name in ("SWAP", "COPY") else op.opcode.effect(op.arg)
        if op.name in FILLS and slot == depth - pops - op.arg:
            raise ValueError(f"{op.name} writes to a slot")
        if slot >= depth - pops:
            yield op
        for after, jump in successors(op):
            if slot < depth - pops or (op.name in STAYS and jump == (op.name != "FOR_ITER")):
                pending.append((after, slot))


STAYS: Final = frozenset({"FOR_ITER", "JUMP_IF_TRUE_OR_POP", "JUMP_IF_FALSE_OR_POP"})
"""Opcodes that leave what they take: a loop that goes on, and a jump with the value of a condition."""


FIELDS: Final = tuple(field.name for field in fields(Position))


# Why an entry ends ---------------------------------------------------------------------------------------


def write_break(end: Break | None) -> Any:
    """The break of an entry as JSON. Raises Unstorable."""
    if end is None:
        return None
    if end.long:
        raise Unstorable("a function that is followed for too long")
    return [end.reason.id, end.detail, *map(_write_location, (end.location, *end.calls))]


def _write_location(location: Location) -> list[Any]:
    positions = location.positions
    return [
        location.file,
        location.line,
        location.function,
        None if positions is None else [getattr(positions, field) for field in FIELDS],
    ]


def read_break(data: Any) -> Break | None:
    """The break that `write_break` has written. Raises BadFile."""
    if data is None:
        return None
    if type(data) is not list or len(data) < 3 or type(data[1]) is not str or data[0] not in [*REASONS]:
        raise BadFile("a break that is none")
    location, *calls = map(_read_location, data[2:])
    return Break(REASONS[data[0]], data[1], location, tuple(calls))


def _read_location(row: Any) -> Location:
    if type(row) is not list or list(map(type, row[:3])) != [str, int, str]:
        raise BadFile("a line that is none")
    file, line, function, positions = row
    if positions is not None:
        if (
            type(positions) is not list
            or len(positions) != len(FIELDS)
            or not all(each is None or type(each) is int for each in positions)
        ):
            raise BadFile("a line that is none")
        positions = Position(*positions)
    return Location(StoredCode(file, function), line, positions)
