"""Study processes: a process that studies one operator after another, and that is killed when it hangs.

Tasks and reports are lines of JSON. The process leads a process group, which its laboratory belongs to: killing the
group leaves nothing behind. Knows nothing of which tasks there are.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import Final, Self

import torch

from passes.infer.run import StudyJob, StudyReport, Task, report_from, study_task
from passes.infer.worker import Laboratory
from passes.processes import command_of, environment

READ: Final = 1 << 16
# One thread each: there are as many study processes as processors.
ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# Seconds of the clock after which a study is taken to hang, and reported as a failure. A study's work is counted, and
# its laboratory ends trials that hang: this is the net below both.
HANGING: Final = 3600.0


class StudyProcess:
    """One process: `give` it a task, wait until `fileno` is readable, `take` the report; `end` it at last."""

    def __init__(self, job: StudyJob) -> None:
        command = command_of("passes.infer.study_process")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, env=environment() | ENVIRONMENT, start_new_session=True, bufsize=0
        )
        self._unread = b""
        self._started = 0.0
        self.task: Task | None = None
        self._write(asdict(job))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.end()

    def fileno(self) -> int:
        """The file descriptor on which the process answers, for `select`."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def give(self, task: Task) -> None:
        """Hand a task to the process, and start its clock."""
        self.task = task
        self._started = time.monotonic()
        self._write(asdict(task))

    def left(self) -> float:
        """Seconds until the task is taken to hang."""
        return self._started + HANGING - time.monotonic()

    def take(self) -> StudyReport | None:
        """The report of the task, or None while there is none; does not wait.

        A process that has ended, or hangs, is reported as a failure, and is not usable any more.
        """
        assert self.task is not None
        if select.select([self], [], [], 0)[0]:
            read = os.read(self.fileno(), READ)
            self._unread += read
            if not read:
                return self._failed(f"the process was {_ending(self._process.wait())}")
        elif self.left() <= 0:
            self.end()
            return self._failed(f"no answer for {HANGING:g} s: the study hangs")
        line, end, rest = self._unread.partition(b"\n")
        if not end:
            return None
        self._unread, self.task = rest, None
        return report_from(json.loads(line))

    @property
    def is_usable(self) -> bool:
        """Whether the process is still alive."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill the process and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def _failed(self, why: str) -> StudyReport:
        assert self.task is not None
        task, self.task = self.task, None
        return StudyReport(task.op, task.level, task.hash, failure=why)

    def _write(self, message: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which `take` reports
            self._process.stdin.write(json.dumps(message).encode() + b"\n")


def _ending(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def serve() -> None:
    """Study the tasks that arrive on stdin until it closes. What an operator prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    job = _job(sys.stdin.readline())
    with Laboratory(job.modules) as laboratory, suppress(BrokenPipeError):  # the asking process has ended
        for line in sys.stdin:
            answers.write(json.dumps(asdict(_report(job, Task(**json.loads(line)), laboratory))) + "\n")
            answers.flush()


def _job(line: str) -> StudyJob:
    facts = json.loads(line)
    return StudyJob(**facts | {name: tuple(facts[name]) for name in ("corpora", "modules")})


def _report(job: StudyJob, task: Task, laboratory: Laboratory) -> StudyReport:
    with _StudyFailure() as failure:
        return study_task(job, task, laboratory)
    return StudyReport(task.op, task.level, task.hash, failure=failure.words)


class _StudyFailure:
    """Turns an exception of one study into words, so that the other studies go on."""

    words = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        where = "" if traceback is None else f" at {traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"
        self.words = f"{type(error).__name__}: {error}{where}"
        return True


if __name__ == "__main__":
    serve()
