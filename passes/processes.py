"""Other processes that run a module of ours: how they are started, whatever the folder where the program runs holds."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

ROOT: Final = str(Path(__file__).parents[1])


def command_of(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours. `-P` keeps what lies in the current folder from hiding it."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The environment of such a process: it finds our packages first, then modules where this process finds them."""
    folders = dict.fromkeys([ROOT, *(folder or os.getcwd() for folder in sys.path)])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
