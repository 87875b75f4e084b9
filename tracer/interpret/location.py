"""Lines of the user's program: what graphs, guards and breaks refer to."""

from __future__ import annotations

from os import path
from typing import Any

import torch

INTERNAL_FOLDERS = (path.dirname(torch.__file__) + path.sep, path.dirname(path.dirname(__file__)) + path.sep)
"""Files whose lines are never shown as the user's."""

_user_files: dict[str, bool] = {}


class Location:
    """A line of the user's program."""

    __slots__ = ("code", "file", "function", "line")

    def __init__(self, code: Any, line: int) -> None:
        self.code = code
        self.file: str = code.filename
        self.line = line
        self.function: str = code.name

    @property
    def text(self) -> str:
        """As messages show it: `mlp.py:12`."""
        return f"{path.basename(self.file)}:{self.line}"

    def __repr__(self) -> str:
        return f"{self.text} in {self.function}"


def is_user_file(filename: str) -> bool:
    """Whether a file belongs to the user: not to torch, and not to the tracer."""
    answer = _user_files.get(filename)
    if answer is None:
        answer = _user_files[filename] = not filename.startswith(INTERNAL_FOLDERS)
    return answer
