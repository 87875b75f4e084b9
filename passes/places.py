"""Lines of the program: how messages name them, and their text."""

from __future__ import annotations

import linecache
import sys
from os import path
from typing import Any


def file_name(file: str) -> str:
    """A file as messages name it: `mlp.py`, or `cell 4` of a notebook."""
    return _cell_of(file) or path.basename(file)


def line_name(file: str, line: int) -> str:
    """A line as messages name it: `mlp.py:12`, or `cell 4, line 12` of a notebook."""
    cell = _cell_of(file)
    return f"{cell}, line {line}" if cell else f"{path.basename(file)}:{line}"


def source_lines(file: str) -> list[str]:
    """The lines of a file, with their ends; none where there is no such file, or none can have this name."""
    try:
        return linecache.getlines(file)
    except ValueError:  # a NUL, or half of a character
        return []


def _cell_of(file: str) -> str:
    """The cell of a notebook that IPython compiled under this name; "" for files."""
    shell: Any = sys.modules.get("IPython.core.interactiveshell")
    if shell is None or not shell.InteractiveShell.initialized():
        return ""
    numbers = getattr(shell.InteractiveShell.instance().compile, "_filename_map", {})
    return f"cell {numbers[file]}" if file in numbers else ""
