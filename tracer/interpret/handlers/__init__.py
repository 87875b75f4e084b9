"""One handler for each canonical opcode: importing this package fills the registry."""

from tracer.interpret.handlers import calls, class_bodies, containers, control, exceptions, operators, stack

__all__ = ["calls", "class_bodies", "containers", "control", "exceptions", "operators", "stack"]
