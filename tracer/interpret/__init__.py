"""The bytecode interpreter. `run` shows it alone: it interprets a function, tensors or not.

Importing this package registers every opcode handler and every lookaside.
"""

from __future__ import annotations

from tracer.interpret import handlers, lookasides
from tracer.interpret.run import run

__all__ = ["handlers", "lookasides", "run"]
