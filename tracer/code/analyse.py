"""What can be said of a decoded code object without running it: live variables and the kinds of its stack slots.

Works on canonical instructions only; knows nothing of native encodings, tensors, guards or graphs.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from tracer.code.decode import Code, Handler, Op
from tracer.code.native import DIALECT

VALUE = "value"
"""An ordinary object."""
NULL = "null"
"""The empty slot beside a callable that is not a method."""
METHOD = "method"
"""A value or null, known only at run time: what LOAD_METHOD leaves beside, or a variable that a comprehension hides."""
PREVIOUS = "previous"
"""What PUSH_EXC_INFO saved; marks one exception being handled, until POP_EXCEPT."""
EXCEPTION = "exception"
"""The exception being handled, directly above its PREVIOUS slot."""
LASTI = "lasti"
"""The code unit of the instruction that raised, which RERAISE uses for the traceback."""

Kinds = tuple[str, ...]

FRAME_READERS = {
    "LOAD_GLOBAL": frozenset({"locals", "vars", "dir", "eval", "exec"}),
    "LOAD_ATTR": frozenset({"_getframe", "currentframe"}),
    "LOAD_METHOD": frozenset({"_getframe", "currentframe"}),
}
"""By opcode the names whose use may read variables that the function's own instructions do not."""


NEVER_RAISES = frozenset({"PUSH_EXC_INFO", "POP_EXCEPT", "POP_TOP", "PUSH_NULL", "COPY", "SWAP", "LOAD_CONST"})
"""Opcodes whose exception handler is never entered from them, although the table covers them."""

USES_LOCAL = frozenset({"LOAD_FAST", "LOAD_FAST_AND_CLEAR", "DELETE_FAST"})
"""Opcodes that need what a local holds."""
ENDS_LOCAL = frozenset({"STORE_FAST", "LOAD_FAST_AND_CLEAR", "DELETE_FAST"})
"""Opcodes after which a local no longer holds what it held."""

Fact = TypeVar("Fact")


def once_for_each_code(analysis: Callable[[Code], Fact]) -> Callable[[Code], Fact]:
    """Remember what an analysis says of a code object, for as long as that lives."""
    facts: weakref.WeakKeyDictionary[Code, Fact] = weakref.WeakKeyDictionary()

    def recalled(code: Code) -> Fact:
        if code not in facts:
            facts[code] = analysis(code)
        return facts[code]

    return recalled


def handler_of(code: Code, op: Op) -> Handler | None:
    """Where an exception of `op` goes, if it can raise one and this function handles it."""
    return None if op.name in NEVER_RAISES else code.handlers[op.index]


def successors(op: Op) -> Iterator[tuple[int, bool]]:
    """(index of a next op, whether by a jump), exceptions aside."""
    if op.opcode.falls_through:
        yield op.index + 1, False
    if op.opcode.jumps:
        yield op.operand, True


@once_for_each_code
def live_slots(code: Code) -> list[int]:
    """For each op the local slots whose content may still be used from there on, as a bit mask.

    A slot counts as used by its deletion (which fails when it is unbound), by an exception handler that the op may
    reach, throughout a function that may read its own frame, and, for the first argument, where `super()` may.
    """
    uses = [1 << op.arg if op.name in USES_LOCAL else 0 for op in code.ops]
    keeps = [~(1 << op.arg) if op.name in ENDS_LOCAL else -1 for op in code.ops]
    always = 0
    if any(op.operand in FRAME_READERS[op.name] for op in code.ops if op.name in FRAME_READERS):
        always = (1 << len(code.local_names)) - 1
    elif argument_of_super(code) is not None:
        always = 1
    live = [always] * (len(code.ops) + 1)
    changed = True
    while changed:
        changed = False
        for op in reversed(code.ops):
            index = op.index
            after = 0
            for successor, _ in successors(op):
                after |= live[successor]
            now = after & keeps[index] | uses[index] | always
            handler = handler_of(code, op)
            if handler is not None:
                now |= live[handler.target]
            if now != live[index]:
                live[index] = now
                changed = True
    return live[:-1]


def argument_of_super(code: Code) -> str | None:
    """The local that `super()` without arguments would read: the first, in a function that a class body defines."""
    return code.local_names[0] if "__class__" in code.free_names and code.argument_count > 0 else None


class RaisingWay(NamedTuple):
    """Of a jump on a condition, one way of which only raises: the `truth` that leads the other way, and the `names` of
    globals that are read on the way to the `raise`, such as that of the exception."""

    truth: bool
    names: frozenset[str]


@once_for_each_code
def raising_ways(code: Code) -> dict[int, RaisingWay]:
    """By index the jumps on a condition of which just one way comes to a `raise`, whatever it does until then."""
    raising: list[frozenset[str] | None] = [None] * (len(code.ops) + 1)
    for op in reversed(code.ops):
        if op.name == "RAISE_VARARGS":
            raising[op.index] = frozenset()
            continue
        ways = [raising[successor] for successor, _ in successors(op)]
        names = [way for way in ways if way is not None]
        if names and len(names) == len(ways) and op.name not in SUSPENDING:
            raising[op.index] = frozenset().union(*names, NAMES_READ.get(op.name, lambda op: ())(op))
    jumps: dict[int, RaisingWay] = {}
    for op in code.ops:
        if op.name in TRUTH_OF_JUMP:
            passing, jumping = raising[op.index + 1], raising[op.operand]
            if jumping is not None and passing is None:
                jumps[op.index] = RaisingWay(not TRUTH_OF_JUMP[op.name], jumping)
            elif passing is not None and jumping is None:
                jumps[op.index] = RaisingWay(TRUTH_OF_JUMP[op.name], passing)
    return jumps


SUSPENDING = frozenset({"YIELD_VALUE", "SEND"})
TRUTH_OF_JUMP = {"POP_JUMP_IF_TRUE": True, "POP_JUMP_IF_FALSE": False}
NAMES_READ: dict[str, Callable[[Op], tuple[str, ...]]] = {
    "LOAD_GLOBAL": lambda op: (op.operand,),
    "LOAD_ASSERTION_ERROR": lambda op: ("AssertionError",),
}


def live_names(code: Code, index: int) -> tuple[str, ...]:
    """Names of the locals live before op `index`, in slot order; cells are not among them."""
    mask = live_slots(code)[index]
    captured = set(code.cell_slots)
    return tuple(name for slot, name in enumerate(code.local_names) if mask >> slot & 1 and slot not in captured)


def normal(kinds: list[str]) -> Kinds:
    """An exception that is not directly above its PREVIOUS slot is a value like any other."""
    return tuple(
        VALUE if kind == EXCEPTION and (index == 0 or kinds[index - 1] != PREVIOUS) else kind
        for index, kind in enumerate(kinds)
    )


def stack_after(op: Op, before: Kinds, jump: bool = False) -> Kinds:
    """Kinds of the stack slots, bottom first, after `op` has run on a stack of kinds `before`."""
    kinds = list(before)
    name = op.name
    if name == "SWAP":
        kinds[-1], kinds[-op.arg] = kinds[-op.arg], kinds[-1]
    elif name == "COPY":
        copied = kinds[-op.arg]
        if copied == PREVIOUS:
            # The copy is what POP_EXCEPT will consume; what it was copied from is left behind as a value.
            kinds[-op.arg] = VALUE
        kinds.append(VALUE if copied == EXCEPTION else copied)
    else:
        pops, pushes = op.opcode.effect(op.arg, jump)
        if pops:
            del kinds[-pops:]
        kinds += SPECIAL_PUSHES[name] if name in SPECIAL_PUSHES else [VALUE] * pushes
        if op.push_null:
            kinds[-len(CALLEE) :] = [NULL if kind == METHOD else kind for kind in CALLEE]
        if name == "CHECK_EG_MATCH":
            # The matching part becomes the exception being handled; the slot keeps the whole group.
            kinds = [VALUE if kind == EXCEPTION else kind for kind in kinds]
    return normal(kinds)


CALLEE = [VALUE, METHOD] if DIALECT.is_null_above else [METHOD, VALUE]
"""What a call has on the stack below its arguments."""

SPECIAL_PUSHES = {
    "PUSH_NULL": [NULL],
    "LOAD_METHOD": CALLEE,
    "LOAD_SUPER_METHOD": CALLEE,
    "LOAD_FAST_AND_CLEAR": [METHOD],
    "PUSH_EXC_INFO": [PREVIOUS, EXCEPTION],
}


@once_for_each_code
def stack_kinds(code: Code) -> list[Kinds | None]:
    """For each op the kinds of the stack slots before it, bottom first; None where no path leads."""
    kinds: list[Kinds | None] = [None] * (len(code.ops) + 1)
    kinds[0] = ()
    pending = [0]
    while pending:
        index = pending.pop()
        before = kinds[index]
        if index == len(code.ops) or before is None:
            continue
        op = code.ops[index]
        following = [(successor, stack_after(op, before, jump)) for successor, jump in successors(op)]
        handler = handler_of(code, op)
        if handler is not None:
            pushed = (LASTI, VALUE) if handler.lasti else (VALUE,)
            following.append((handler.target, normal(list(before[: handler.depth])) + pushed))
        for successor, after in following:
            earlier = kinds[successor]
            merged = after if earlier is None else merge(code, successor, earlier, after)
            if merged != earlier:
                kinds[successor] = merged
                pending.append(successor)
    return kinds[:-1]


def merge(code: Code, index: int, first: Kinds, second: Kinds) -> Kinds:
    """Kinds where two paths meet: slots that differ are plain values, save that METHOD absorbs value and null."""
    if first == second:
        return first
    if len(first) != len(second):
        raise ValueError(f"{code!r}: paths meet at {code.ops[index]!r} with stacks {first} and {second}")
    return normal(
        [one if one == other else MEETING[frozenset((one, other))] for one, other in zip(first, second, strict=True)]
    )


MEETING: dict[frozenset[str], str] = {
    frozenset((VALUE, EXCEPTION)): VALUE,
    frozenset((VALUE, LASTI)): VALUE,
    frozenset((VALUE, PREVIOUS)): VALUE,
    frozenset((VALUE, METHOD)): METHOD,
    frozenset((NULL, METHOD)): METHOD,
    frozenset((VALUE, NULL)): METHOD,
}
