"""importlib: what is installed is asked while tracing; importing breaks the graph."""

from __future__ import annotations

import importlib.metadata
import importlib.util

from tracer.interpret.policy import pure, refuse_modules
from tracer.reasons import IMPORT_STATEMENT

pure(importlib.util.find_spec, importlib.metadata.version)
refuse_modules(IMPORT_STATEMENT, "importlib")
