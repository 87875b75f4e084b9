"""One handler for each canonical opcode: importing this package fills the registry."""

from tracer.interpret.handlers import calls, containers, control, exceptions, operators, stack

__all__ = ["calls", "containers", "control", "exceptions", "operators", "stack"]
