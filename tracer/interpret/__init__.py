"""The bytecode interpreter. `run` shows it alone: it interprets a function, tensors or not.

Importing this package registers every opcode handler and every row of the call policy.
"""

from __future__ import annotations

from tracer.interpret import handlers, library
from tracer.interpret.run import run

__all__ = ["handlers", "library", "run"]
