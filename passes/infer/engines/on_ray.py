"""Tasks handed out by ray: to processes here, or to the cluster that RAY_ADDRESS names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from passes.infer.engines.local import study_here
from passes.infer.run import StudyJob, StudyReport, Task
from passes.rules.language import RuleError


def run(job: StudyJob, tasks: Sequence[Task], jobs: int) -> Iterator[StudyReport]:
    """Reports in the order in which tasks end. Raises RuleError if ray is not installed."""
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise RuleError("the engine ray needs its package: pip install 'bytegraph[ray]'") from error
    here = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": jobs, "include_dashboard": False}
    with ray.init(log_to_driver=False, **here):
        study = ray.remote(num_cpus=1, max_retries=0)(study_here)
        tasks_by_reference = {study.remote(job, task): task for task in tasks}
        running = list(tasks_by_reference)
        while running:
            (done,), running = ray.wait(running, num_returns=1)
            task = tasks_by_reference[done]
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:  # of a worker that was killed, or of ray
                yield StudyReport(task.op, task.level, task.hash, failure=f"{type(error).__name__}: {error}")
