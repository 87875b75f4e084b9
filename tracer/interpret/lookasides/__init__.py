"""What the tracer does instead of running a function: importing this package fills the table."""

from tracer.interpret.lookasides import builtin, mappings, modules, objects, sequences, torch_state

__all__ = ["builtin", "mappings", "modules", "objects", "sequences", "torch_state"]
