"""Compiling in another process, so that the threads of this one go on: the worker fills Inductor's caches on disk.

    python -m backends.tiered.worker        reads jobs, a line of JSON each, and answers each with a line

Inductor stores compiled code in a folder, under a key made from everything that went into it. A job that the worker has
done takes a small part of the time when it is repeated here. One worker serves a process; it is started for the first
job, runs at a low priority, and ends when its input ends.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from backends.inductor import inductor
from backends.tiered.attempt import GuardedAttempt
from backends.tiered.job import read_job
from backends.tiered.transport import read_value
from passes.processes import command_of, environment

NICENESS: Final = 19
"""How much the worker, from its first instruction on, and the compilers that it runs give way to others."""

THREADS_VARIABLE: Final = "TORCHINDUCTOR_COMPILE_THREADS"


class WorkerFailed(RuntimeError):
    """The compiler raised in the worker, or the worker ended."""


class CompileWorker:
    """The handle of the worker process, which does one job at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def compile(self, job: Mapping[str, Any]) -> float:
        """Send a job, wait for the answer, and return the seconds it took there. Raises WorkerFailed."""
        with self._lock:
            process = self._process
            if process is None or process.poll() is not None:
                process = self._process = _started()
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(json.dumps(job) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except (OSError, ValueError) as error:
                raise WorkerFailed(f"the compiling process ended: {error}") from None
        if not line:
            raise WorkerFailed(f"the compiling process ended with status {process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer["seconds"]

    def after_fork(self) -> None:
        """In a forked process: the worker is the parent's, as is whoever held the lock."""
        self._lock = threading.Lock()
        self._process = None

    def stop(self) -> None:
        """End the process, even in the middle of a job."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.kill()


def _started() -> subprocess.Popen[str]:
    """The process. One compiler runs at a time, unless the environment says otherwise: callers keep the other CPUs."""
    process = subprocess.Popen(
        command_of("backends.tiered.worker"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={THREADS_VARIABLE: "1", **environment()},
    )
    with suppress(OSError):  # it has ended at once, which the first job tells
        os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
    return process


WORKER: Final = CompileWorker()
atexit.register(WORKER.stop)
os.register_at_fork(after_in_child=WORKER.after_fork)


def serve() -> None:
    """Do jobs until the input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what compilers print is no answer
    for line in sys.stdin:
        data = json.loads(line)
        begun = time.perf_counter()
        with GuardedAttempt() as attempt:
            read_job(data).compile(inductor(read_value(data["options"], {})))
        seconds = time.perf_counter() - begun
        answers.write(json.dumps({"error": attempt.words} if attempt.words else {"seconds": seconds}) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
