"""The interpreter, put together: every opcode handler, the library, and the machine that traces are given."""

from __future__ import annotations

from typing import Any

from tracer.interpret import handlers, library
from tracer.interpret.call import call
from tracer.interpret.constant_data import constant_data
from tracer.interpret.mode_calls import ask_modes, tensor_op_in_modes
from tracer.interpret.policy import PROTOCOLS
from tracer.interpret.wrapper_ops import wrapper_op
from tracer.values.machine import Machine
from tracer.values.protocols.descriptors import bind

REGISTERED = (handlers, library)
"""Imported for what they register."""


class Interpreter:
    """Implements `tracer.values.machine.Machine`."""

    call = staticmethod(call)
    bind = staticmethod(bind)
    tensor_op = staticmethod(tensor_op_in_modes)
    constant_data = staticmethod(constant_data)
    ask_modes = staticmethod(ask_modes)
    wrapper_op = staticmethod(wrapper_op)

    @staticmethod
    def polyfill(name: str) -> Any:
        """The Python function that stands for a protocol which CPython has in C only."""
        return PROTOCOLS[name]


MACHINE: Machine = Interpreter()
