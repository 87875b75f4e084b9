"""Tasks handed out by ray: to processes here, or to the cluster that RAY_ADDRESS names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from passes.infer.engines.local import at_desk
from passes.infer.run import Job, Report, Task
from passes.rules.language import RuleError


def run(job: Job, tasks: Sequence[Task], jobs: int) -> Iterator[Report]:
    """Reports in the order in which tasks end. Raises RuleError if ray is not installed."""
    try:
        import ray
    except ImportError as error:
        raise RuleError("the engine ray needs its package: pip install 'bytegraph[ray]'") from error
    here = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": jobs, "include_dashboard": False}
    with ray.init(log_to_driver=False, **here):
        study = ray.remote(num_cpus=1, max_retries=0)(at_desk)
        running = [study.remote(job, task) for task in tasks]
        while running:
            (done,), running = ray.wait(running, num_returns=1)
            yield ray.get(done)
