"""Importing large modules, torch's and ours, when they are first needed."""

from __future__ import annotations

import sys
import threading
from importlib import import_module


def import_apart(*names: str) -> None:
    """Import modules, if they are not there yet, in a thread of their own.

    Functions that torch's modules call keep their frames in cycles, and with them all the frames that called them and
    what these hold: the program's objects, were they imported where a program runs. Modes that the program is in, such
    as those for torch functions, would see what modules call, too; they are of its thread. A module that another
    thread is importing is waited for.
    """
    for name in names:
        if name in sys.modules:
            import_module(name)
    missing = [name for name in names if name not in sys.modules]
    if missing:
        importing = threading.Thread(target=lambda: [import_module(name) for name in missing])
        importing.start()
        importing.join()
