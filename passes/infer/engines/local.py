"""The engine that needs nothing installed: study processes on this machine."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache

from passes.infer.run import StudyJob, StudyReport, Task
from passes.infer.study_process import StudyProcess


def run(job: StudyJob, tasks: Sequence[Task], jobs: int) -> Iterator[StudyReport]:
    """Reports in the order in which tasks end. One that kills its process, or hangs, is reported as failed."""
    waiting = deque(tasks)
    with ExitStack() as at_the_end:
        processes = [at_the_end.enter_context(StudyProcess(job)) for _ in range(min(jobs, len(tasks)))]
        while busy := _busy(processes, waiting):
            left = min(process.left() for process in busy)
            select.select(busy, [], [], max(0.0, left))
            for process in busy:
                report = process.take()
                if report is None:
                    continue
                if not process.is_usable:
                    process.end()
                    processes[processes.index(process)] = at_the_end.enter_context(StudyProcess(job))
                yield report


def _busy(processes: Sequence[StudyProcess], waiting: deque[Task]) -> list[StudyProcess]:
    """The processes at work, once the idle ones were given what is waiting."""
    for process in processes:
        if process.task is None and waiting:
            process.give(waiting.popleft())
    return [process for process in processes if process.task is not None]


@lru_cache(maxsize=1)
def _kept_process(job: StudyJob) -> list[StudyProcess]:
    """The study process that this process keeps, in a list so that it can be replaced."""
    return [StudyProcess(job)]


def study_here(job: StudyJob, task: Task) -> StudyReport:
    """Study one operator in a study process that this process keeps: what the processes of a cluster do."""
    kept = _kept_process(job)
    process = kept[0]
    process.give(task)
    report = process.take()
    while report is None:
        select.select([process], [], [], max(0.0, process.left()))
        report = process.take()
    if not process.is_usable:
        process.end()
        kept[0] = StudyProcess(job)
    return report
