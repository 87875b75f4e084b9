"""Tasks handed out by dask.distributed: to processes here, or to the cluster that DASK_SCHEDULER_ADDRESS names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from passes.infer.engines.local import study_here
from passes.infer.run import StudyJob, StudyReport, Task
from passes.rules.language import RuleError


def run(job: StudyJob, tasks: Sequence[Task], jobs: int) -> Iterator[StudyReport]:
    """Reports in the order in which tasks end. Raises RuleError if dask is not installed."""
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise RuleError("the engine dask needs its package: pip install 'bytegraph[dask]'") from error
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    here = {"n_workers": jobs, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.Client(address) if address else distributed.Client(**here) as client:
        tasks_by_future = {
            client.submit(study_here, job, task, priority=-place, pure=False): task for place, task in enumerate(tasks)
        }
        for future in distributed.as_completed(tasks_by_future):
            error = future.exception()  # of a worker that was killed, or of dask
            task = tasks_by_future[future]
            yield future.result() if error is None else StudyReport(task.op, task.level, task.hash, failure=repr(error))
