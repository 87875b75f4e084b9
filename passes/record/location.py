"""Where in the user's code a call comes from. Knows nothing of calls."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Final

import torch

OURS: Final = tuple(f"{Path(module_file).parent}/" for module_file in (__file__, torch.__file__))


def user_location() -> str:
    """`file:line` of the innermost frame that is neither torch's nor the recorder's; empty if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if _is_users(file):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


@lru_cache(maxsize=1 << 12)
def _is_users(file: str) -> bool:
    return not file.startswith((*OURS, "<frozen", "<__array_function__"))
