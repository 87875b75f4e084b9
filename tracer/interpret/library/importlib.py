"""importlib: importing, and asking what could be imported, depends on files and breaks the graph."""

from __future__ import annotations

from tracer.interpret.policy import refuse_modules
from tracer.reasons import IMPORT_STATEMENT

refuse_modules(IMPORT_STATEMENT, "importlib")
