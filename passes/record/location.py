"""The line of the user's code that makes a call. Knows nothing of calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

import torch

OURS: Final = tuple(f"{Path(module_file).parent}/" for module_file in (__file__, torch.__file__))
SOURCES: Final = f"{OURS[0]}sources/"  # these make calls, as users do


def user_location() -> str:
    """`file:line` of the innermost frame that is neither torch's nor the recorder's; empty if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if _is_users(file):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def in_model(name: str) -> Callable[[], str]:
    """A location function that names a model beside the line; corpora can be split by model."""
    return lambda: f"model {name} at {user_location()}"


@lru_cache(maxsize=1 << 12)
def _is_users(file: str) -> bool:
    return file.startswith(SOURCES) or not file.startswith((*OURS, "<frozen", "<__array_function__"))
