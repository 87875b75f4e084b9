"""Worker processes that record: tasks are handed out one by one, and each is recorded into its process's shard.

A worker that dies, of a segmentation fault in a kernel say, costs one task: those that it had done but not written are
done again by another worker. Knows nothing of what the tasks are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final

import torch

from passes.record.recorder import Recorder
from passes.record.schema import CorpusError

MakeRecorder = Callable[[], Recorder]
Do = Callable[[str], None]
Start = Callable[[Recorder], Do]  # makes the function that does a task under a recorder

# A new process has none of the parent's threads, locks and loaded libraries.
PROCESSES: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class FinishedTask:
    """A task that is over; `failure` says in words how it failed."""

    name: str
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A message of a worker: the task just done, the tasks that its death would undo, and whether it ends now."""

    done: str | None = None
    unwritten: tuple[str, ...] = ()
    last: bool = False


@dataclass(slots=True)
class RecordingWorker:
    """One process as its parent sees it."""

    process: BaseProcess
    connection: Connection
    task: str | None = None
    unwritten: tuple[str, ...] = ()


def in_this_process(recorder: Recorder, start: Start, tasks: Sequence[str]) -> Iterator[FinishedTask]:
    """Do the tasks one after the other; an exception ends it all."""
    do = start(recorder)
    for task in tasks:
        do(task)
        yield FinishedTask(task)


def in_workers(make_recorder: MakeRecorder, start: Start, tasks: Sequence[str], jobs: int) -> Iterator[FinishedTask]:
    """Do the tasks in `jobs` processes; gives each when it is over, in no particular order.

    `make_recorder` and `start` are pickled for the processes. Of a task that kills its process, or raises, the
    step says how that ended; the other tasks are done all the same (and twice counted what a worker had
    written of a task whose rest it took along). Raises CorpusError if a process cannot start, or cannot write.
    """
    waiting, over = deque(tasks), set[str]()
    workers: list[RecordingWorker] = []
    try:
        while waiting or workers:
            while len(workers) < jobs and sum(worker.task is None for worker in workers) < len(waiting):
                workers.append(_started(make_recorder, start, jobs))
            for worker in _with_news(workers):
                report = _received(worker)
                if report is None:
                    workers.remove(worker)
                    waiting.extendleft(worker.unwritten)
                    step = _finished_by_death(worker)
                else:
                    worker.unwritten = report.unwritten
                    step = None if report.done is None else FinishedTask(report.done)
                    if not report.last:
                        worker.task = waiting.popleft() if waiting else None
                        _send(worker.connection, worker.task)
                if step is not None and step.name not in over:
                    over.add(step.name)
                    yield step
    finally:
        for worker in workers:  # who finds that nobody listens any more writes what there is
            worker.connection.close()
        for worker in workers:
            worker.process.join()


def _started(make_recorder: MakeRecorder, start: Start, jobs: int) -> RecordingWorker:
    ours, theirs = PROCESSES.Pipe()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    process = PROCESSES.Process(target=_work, args=(theirs, make_recorder, start, threads), daemon=True)
    process.start()
    theirs.close()
    return RecordingWorker(process, ours)


def _with_news(workers: Sequence[RecordingWorker]) -> list[RecordingWorker]:
    """The workers that have sent a message, or died."""
    ready = wait([worker.connection for worker in workers])
    return [worker for worker in workers if worker.connection in ready]


def _received(worker: RecordingWorker) -> WorkerReport | None:
    """The message of a worker; None if it has died."""
    try:
        return worker.connection.recv()
    except (EOFError, ConnectionResetError):
        return None


def _send(connection: Connection, message: object) -> None:
    with suppress(BrokenPipeError):  # the other side has just died, which the next receive reports
        connection.send(message)


def _finished_by_death(worker: RecordingWorker) -> FinishedTask | None:
    """The task that a process died in the middle of, as a failure; None if it was in none."""
    worker.process.join()
    worker.connection.close()
    status = worker.process.exitcode or 0
    if status == 0:
        return None
    ending = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    if worker.task is None:
        raise CorpusError(f"a worker was {ending} while it started, or wrote")
    return FinishedTask(worker.task, ending)


def _work(connection: Connection, make_recorder: MakeRecorder, start: Start, threads: int) -> None:
    """The main function of a worker: one task after the other, until there is none."""
    torch.set_num_threads(threads)
    recorder = make_recorder()
    do = start(recorder)
    unwritten: list[str] = []
    _send(connection, WorkerReport())
    try:
        while (task := connection.recv()) is not None:
            parts = recorder.parts
            do(task)
            if recorder.parts > parts:
                unwritten.clear()
            if recorder.has_unwritten:
                unwritten.append(task)
            _send(connection, WorkerReport(task, tuple(unwritten)))
    except EOFError:  # the parent has ended
        pass
    finally:
        recorder.close()
        _send(connection, WorkerReport(last=True))
