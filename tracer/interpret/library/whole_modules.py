"""Modules of the standard library, and numpy, that are treated as a whole: pure, or left to run natively.

A module with rows for single functions has a file of its own beside this one.
"""

from __future__ import annotations

from tracer.interpret.policy import pure_module, refuse_modules
from tracer.reasons import (
    CLOCK,
    DEBUGGER,
    FRAME_INSPECTION,
    INPUT_OUTPUT,
    PYTHON_RANDOM,
    SKIPPED_FUNCTION,
    WAITING,
)

pure_module("cmath", "_struct", "binascii", "unicodedata", "_string")

refuse_modules(CLOCK, "time")
refuse_modules(PYTHON_RANDOM, "random", "_random", "secrets", "uuid")
refuse_modules(WAITING, "threading", "_thread", "queue", "multiprocessing", "concurrent", "asyncio")
refuse_modules(INPUT_OUTPUT, "subprocess", "posix", "io", "_io", "pathlib", "shutil", "tempfile", "socket", "pickle")
refuse_modules(FRAME_INSPECTION, "traceback", "linecache", "ast")
refuse_modules(DEBUGGER, "pdb", "bdb", "ipdb", "pudb", "debugpy", "pydevd", "IPython.core.debugger", "trace", "profile")
refuse_modules(SKIPPED_FUNCTION, "json", "unittest", "numpy")
