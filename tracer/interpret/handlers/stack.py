"""Instructions that only move things: constants, locals, cells, globals, the stack itself."""

from __future__ import annotations

from tracer.code.decode import Op
from tracer.interpret.frame import Frame, callee_pair
from tracer.interpret.global_names import load_global, store_global
from tracer.interpret.registry import handles
from tracer.values.base import MISSING, NULL, Lazy
from tracer.values.cells import CellValue
from tracer.values.raising import throw


@handles("LOAD_CONST")
def load_const(frame: Frame, op: Op) -> None:
    frame.stack.append(op.operand)


@handles("LOAD_FAST")
def load_fast(frame: Frame, op: Op) -> None:
    item = frame.slots[op.arg]
    if item is MISSING:
        _unbound(frame, op)
    frame.stack.append(item)


@handles("STORE_FAST")
def store_fast(frame: Frame, op: Op) -> None:
    """What an inlined comprehension has hidden may be, in a continuation, a cell from outside, or null."""
    item = frame.stack.pop()
    if type(item) is Lazy and op.arg in frame.code.cell_slots:
        item = item.realise(frame.trace)
    frame.slots[op.arg] = MISSING if item is NULL else item


@handles("DELETE_FAST")
def delete_fast(frame: Frame, op: Op) -> None:
    if frame.slots[op.arg] is MISSING:
        _unbound(frame, op)
    frame.slots[op.arg] = MISSING


@handles("LOAD_FAST_AND_CLEAR")
def load_fast_and_clear(frame: Frame, op: Op) -> None:
    """Put aside what an inlined comprehension hides: a value, a cell, or MISSING, which STORE_FAST will put back."""
    frame.push(frame.slots[op.arg])
    frame.slots[op.arg] = MISSING


def _unbound(frame: Frame, op: Op) -> None:
    throw(
        frame.trace,
        UnboundLocalError,
        f"cannot access local variable '{op.slot_name}' where it is not associated with a value",
    )


@handles("MAKE_CELL")
def make_cell(frame: Frame, op: Op) -> None:
    frame.slots[op.arg] = CellValue(frame.slots[op.arg])


@handles("COPY_FREE_VARS")
def copy_free_vars(frame: Frame, op: Op) -> None:
    for slot, cell in zip(frame.code.free_slots, frame.closure, strict=True):
        frame.slots[slot] = cell


@handles("LOAD_CLOSURE")
def load_closure(frame: Frame, op: Op) -> None:
    frame.push(frame.slots[op.arg])


@handles("LOAD_DEREF")
def load_deref(frame: Frame, op: Op) -> None:
    item = frame.slots[op.arg].read(frame.trace)
    if item is MISSING:
        _unbound_free(frame, op)
    frame.push(item)


@handles("STORE_DEREF")
def store_deref(frame: Frame, op: Op) -> None:
    frame.slots[op.arg].write(frame.trace, frame.pop())


@handles("DELETE_DEREF")
def delete_deref(frame: Frame, op: Op) -> None:
    cell = frame.slots[op.arg]
    if cell.read(frame.trace) is MISSING:
        _unbound_free(frame, op)
    cell.write(frame.trace, MISSING)


def _unbound_free(frame: Frame, op: Op) -> None:
    if op.slot_name in frame.code.free_names:
        throw(
            frame.trace,
            NameError,
            f"cannot access free variable '{op.slot_name}' where it is not associated with a value in enclosing scope",
        )
    _unbound(frame, op)


@handles("LOAD_GLOBAL")
def load_global_name(frame: Frame, op: Op) -> None:
    item = load_global(frame, op.operand)
    if op.push_null:
        frame.stack += callee_pair(item)
    else:
        frame.stack.append(item)


@handles("STORE_GLOBAL")
def store_global_name(frame: Frame, op: Op) -> None:
    store_global(frame, op.operand, frame.pop())


@handles("DELETE_GLOBAL")
def delete_global(frame: Frame, op: Op) -> None:
    load_global(frame, op.operand)
    store_global(frame, op.operand, MISSING)


@handles("PUSH_NULL")
def push_null(frame: Frame, op: Op) -> None:
    frame.push(NULL)


@handles("POP_TOP")
def pop_top(frame: Frame, op: Op) -> None:
    frame.stack.pop()


@handles("COPY")
def copy(frame: Frame, op: Op) -> None:
    frame.push(frame.peek(op.arg))


@handles("SWAP")
def swap(frame: Frame, op: Op) -> None:
    frame.swap(op.arg)
