"""The engine that needs nothing installed: so many desks, on this machine."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache

from passes.infer.run import StudyJob, StudyReport, Task
from passes.infer.study_process import StudyProcess


def run(job: StudyJob, tasks: Sequence[Task], jobs: int) -> Iterator[StudyReport]:
    """Reports in the order in which tasks end. One that kills its desk, or hangs, is reported as failed."""
    waiting = deque(tasks)
    with ExitStack() as at_the_end:
        desks = [at_the_end.enter_context(StudyProcess(job)) for _ in range(min(jobs, len(tasks)))]
        while busy := _given(desks, waiting):
            left = min(desk.left() for desk in busy)
            select.select(busy, [], [], max(0.0, left))
            for desk in busy:
                report = desk.take()
                if report is None:
                    continue
                if not desk.is_usable:
                    desk.end()
                    desks[desks.index(desk)] = at_the_end.enter_context(StudyProcess(job))
                yield report


def _given(desks: Sequence[StudyProcess], waiting: deque[Task]) -> list[StudyProcess]:
    """The desks that are at work, after those that were not got what is waiting."""
    for desk in desks:
        if desk.task is None and waiting:
            desk.give(waiting.popleft())
    return [desk for desk in desks if desk.task is not None]


@lru_cache(maxsize=1)
def _desk(job: StudyJob) -> list[StudyProcess]:
    """The desk of this process, in a list so that it can be replaced."""
    return [StudyProcess(job)]


def at_desk(job: StudyJob, task: Task) -> StudyReport:
    """Study one operator at a desk that this process keeps: what the processes of a cluster do."""
    kept = _desk(job)
    desk = kept[0]
    desk.give(task)
    report = desk.take()
    while report is None:
        select.select([desk], [], [], max(0.0, desk.left()))
        report = desk.take()
    if not desk.is_usable:
        desk.end()
        kept[0] = StudyProcess(job)
    return report
