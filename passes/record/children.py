"""Child processes: Python processes that a recorded program starts record their own calls, into one shard each.

The environment makes them do so: hook/sitecustomize.py is on their PYTHONPATH, and a variable holds the settings of the
recorder. Processes started with another environment, or told to ignore it (`python -I`), are not reached. Forked
processes need none of this, see recorder.py.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from passes.record.recorder import Recorder

VARIABLE: Final = "BYTEGRAPH_RECORD"
HOOK: Final = str(Path(__file__).parent / "hook")


@contextmanager
def recorded_children(recorder: Recorder) -> Iterator[None]:
    """Make processes that are started inside record as `recorder` does, into its folder."""
    before = {name: os.environ.get(name) for name in (VARIABLE, "PYTHONPATH")}
    searched = [HOOK, before["PYTHONPATH"]] if before["PYTHONPATH"] else [HOOK]
    os.environ |= {VARIABLE: json.dumps(recorder.settings), "PYTHONPATH": os.pathsep.join(searched)}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def record_this_process() -> None:
    """Record until the process ends; called in the thread that imports torch first."""
    recorder = Recorder(**json.loads(os.environ[VARIABLE]))
    recorder.__enter__()
    atexit.register(recorder.close)
    recorder.close_when_terminated()
