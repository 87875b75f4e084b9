"""What the tracer does instead of running a function: importing this package fills the table."""

from tracer.interpret.lookasides import (
    autograd,
    builtin,
    deep_copies,
    exceptions,
    legacy_tensors,
    libraries,
    mappings,
    modules,
    objects,
    sequences,
    sets,
    tensors,
    torch_state,
    torch_utilities,
)

__all__ = [
    "autograd",
    "builtin",
    "deep_copies",
    "exceptions",
    "legacy_tensors",
    "libraries",
    "mappings",
    "modules",
    "objects",
    "sequences",
    "sets",
    "tensors",
    "torch_state",
    "torch_utilities",
]
