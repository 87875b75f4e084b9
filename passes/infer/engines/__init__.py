"""Engines: how the tasks of an inference run are handed out, to processes here or to a cluster's.

All of them do the same work: `study_here` of local.py, or what it is made of.
"""

from __future__ import annotations

import os
from typing import Final

from passes.infer.engines import local, on_dask, on_ray
from passes.infer.run import Engine


def usual_jobs() -> int:
    """How many studies to make at a time: one more than there are processors, since each waits for its laboratory."""
    return (os.cpu_count() or 1) + 1


ENGINES: Final[dict[str, Engine]] = {"local": local.run, "dask": on_dask.run, "ray": on_ray.run}

__all__ = ["ENGINES", "usual_jobs"]
