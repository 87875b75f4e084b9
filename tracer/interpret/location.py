"""Lines of the user's program: what graphs, guards and breaks refer to."""

from __future__ import annotations

import sysconfig
from os import path
from typing import Any, Final

import torch

from passes.places import line_name

INTERNAL_FOLDERS = (path.dirname(torch.__file__) + path.sep, path.dirname(path.dirname(__file__)) + path.sep)
"""Files whose lines are never shown as the user's."""

LIBRARIES: Final = tuple(
    {f"{sysconfig.get_path(name)}{path.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
"""Folders of code that is not the user's own."""

_user_files: dict[str, bool] = {}


class Location:
    """A line of the user's program, and for breaks the `positions` of an instruction in it."""

    __slots__ = ("code", "file", "function", "line", "positions")

    def __init__(self, code: Any, line: int, positions: Any = None) -> None:
        self.code = code
        self.positions = positions
        self.file: str = code.filename
        self.line = line
        self.function: str = code.name

    @property
    def text(self) -> str:
        """As messages show it: `mlp.py:12`."""
        return line_name(self.file, self.line)

    @property
    def is_of_library(self) -> bool:
        """Whether the line is in an installed package, and not in the user's own files."""
        return is_library_file(self.file)

    def __repr__(self) -> str:
        return f"{self.text} in {self.function}"


def is_library_file(filename: str) -> bool:
    """Whether a file belongs to the standard library or to an installed package."""
    return filename.startswith(LIBRARIES)


def is_user_file(filename: str) -> bool:
    """Whether a file belongs to the user: not to torch, and not to the tracer."""
    answer = _user_files.get(filename)
    if answer is None:
        answer = _user_files[filename] = not filename.startswith(INTERNAL_FOLDERS)
    return answer
