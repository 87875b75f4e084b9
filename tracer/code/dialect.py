"""How one version of CPython writes down canonical instructions: the table that its file fills.

`python311.py`, `python312.py` and `python313.py` hold one `Dialect` each; `native.py` picks that of the running
interpreter, and `decode.py`, `emit.py` and `resume.py` read it. Nothing here knows how an instruction is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

Reader = Callable[[CodeType, str, int], Any]
"""Reads an operand: (code object, canonical name, native argument) to `Op.operand`."""


@dataclass(frozen=True, slots=True)
class Half:
    """One of the two instructions that a combined native instruction stands for; its name is a native one, too."""

    name: str
    argument: Callable[[int], int]
    """Its argument, from that of the combined instruction."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between versions of CPython in how instructions are encoded."""

    dropped: frozenset[str]
    """Native opcodes with no canonical counterpart."""
    unused: frozenset[str]
    """Canonical opcodes that this version does not have."""
    slots: frozenset[str]
    """Native opcodes whose argument is a slot of the frame."""
    call: tuple[str, ...]
    """The instructions that make a call, each with the number of arguments."""
    plain_loads: Mapping[str, str]
    """Canonical opcodes that leave a method unbound: the native one that loads the bound method instead."""
    plain_argument: Callable[[int], int]
    """The argument of that one, from that of the instruction which leaves a method unbound."""
    forward: Mapping[str, str]
    """Native jumps backward: the same jump forward."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Native opcodes that are canonical ones of another name, jumps apart."""
    flagged: Mapping[str, str] = field(default_factory=dict)
    """Native opcodes that are another canonical one if the lowest bit of their argument is set."""
    numbered: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Native opcodes whose argument says which canonical one they are, where they are not the one of their own name."""
    halves: Mapping[str, tuple[Half, Half]] = field(default_factory=dict)
    """Native opcodes that stand for two instructions, of which the second has the offset of the first plus one."""
    halved_by: Mapping[str, int] = field(default_factory=dict)
    """Those of them that stand for two only if this bit of their argument is set."""
    absorbing: Mapping[str, str] = field(default_factory=dict)
    """Native opcodes: the canonical one that, directly in front of them, is a part of what they mean."""
    completing: Mapping[str, str] = field(default_factory=dict)
    """Native opcodes whose argument is a part of that of the canonical one directly in front of them."""
    operands: Mapping[str, Reader] = field(default_factory=dict)
    """Readers by canonical opcode, where this version encodes the operand in a way of its own."""
    hidden_handlers: frozenset[str] = frozenset()
    """Canonical opcodes that begin a handler which the compiler adds for what a generator does by itself elsewhere."""
    exit_of_loop: tuple[str, ...] = ()
    """The native instructions that FOR_ITER expects where it jumps to, and passes over."""
    load_cell: str = "LOAD_CLOSURE"
    """The native opcode that pushes a cell itself."""
    is_null_above: bool = False
    """Whether a call has its null, or the instance of a method, above the callable."""
    new_dict_of_locals: bool = False
    """Whether `locals()` in a function returns a new dictionary each time."""
    close_returns: bool = False
    """Whether `generator.close()` returns what the generator returned."""

    def halves_of(self, name: str, argument: int) -> tuple[Half, Half] | None:
        """The two instructions that a native one stands for; None for one that stands for itself."""
        bit = self.halved_by.get(name, 0)
        return self.halves.get(name) if argument & bit == bit else None
