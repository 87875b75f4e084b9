"""Workers as child processes: started by forking, followed by their lines, and blamed rightly when they die.

A worker is forked from this process, which has imported torch and the tracer already, and works in a folder of its own.
Knows nothing of what is measured.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GRACE = 20.0
"""Seconds past its limit after which a test is ended from outside: the worker's own watch did not end it."""


class Child:
    """A forked process that calls `target`; a log keeps what it writes to stderr, and nothing else is kept."""

    def __init__(self, target: Callable[[], None], folder: Path, log: Path, search: Path) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid:
            return
        try:
            os.setsid()
            os.chdir(folder)
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 0)
            os.dup2(nothing, 1)
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            sys.path.insert(0, str(search))
            target()
        except BaseException:  # the child must never return into its parent's code
            traceback.print_exc()
        finally:
            os._exit(1)

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self) -> None:
        """End the process and all that it has started."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)


@dataclass
class Following:
    """What the lines of one worker have said so far."""

    events: Path
    log: Path
    limit: float
    ids: list[str] | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    running: dict[str, Any] | None = None
    failed_import: str = ""
    paused: bool = False
    finished: bool = False
    _position: int = 0

    def read(self) -> None:
        """Take in the lines that are new."""
        with self.events.open() as file:
            file.seek(self._position)
            text = file.read()
        complete = text[: text.rfind("\n") + 1]
        self._position += len(complete.encode())
        for line in complete.splitlines():
            self.take(json.loads(line))

    def take(self, event: dict[str, Any]) -> None:
        """One line."""
        kind = event.pop("kind")
        if kind == "tests":
            self.ids = event["ids"]
        elif kind == "failed import":
            self.failed_import, self.finished = event["message"], True
        elif kind == "start":
            self.running = {**event, "number": 0}
        elif kind == "call":
            assert self.running is not None
            self.running.update(event)
        elif kind == "end":
            self.results[event.pop("id")] = event
            self.running = None
        else:
            setattr(self, kind, True)

    def overdue(self) -> bool:
        """Whether the running test is far past its limit."""
        return self.running is not None and time.time() > self.running["time"] + self.limit + GRACE

    def blame(self, returncode: int, killed: bool) -> str:
        """Attribute the end of the process to the test that ran; a sentence if it ended unexpectedly and none did."""
        log = self.log.read_text(errors="replace")
        if self.running is None:
            return (
                ""
                if self.finished or self.paused
                else f"the process ended with {returncode} between tests\n{log[-800:]}"
            )
        hung = killed or "Timeout (" in log
        call = self.running["number"]
        outcome = "hang" if hung else "crash"
        self.results[self.running["id"]] = {
            "outcome": outcome if call else "fails plainly",
            "plain": "pass" if call else outcome,
            "captured": outcome if call else None,
            "call": call,
            "message": f"the process ended with {returncode}\n{log[-3000:]}",
        }
        self.running = None
        return ""


def import_folder(root: Path) -> Path:
    """A folder with a link to the `test` package: the tracer does not capture what lies in the standard library."""
    folder = root / "lib"
    folder.mkdir()
    (folder / "test").symlink_to(Path(sysconfig.get_path("stdlib")).resolve() / "test")
    return folder


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Where workers put their files, removed with all that is in it."""
    return tempfile.TemporaryDirectory(prefix="cpython_suite_", ignore_cleanup_errors=True)


def import_for_all() -> None:
    """Import in this process what every worker would import, and capture once."""
    import sympy  # noqa: F401
    import torch.fx.experimental.symbolic_shapes  # noqa: F401

    from tracer import capture, reset

    torch.set_num_threads(1)
    add = capture(lambda tensor, number: tensor + number)
    for number in (1, 2, 3):
        add(torch.ones(2), number)
    reset()
