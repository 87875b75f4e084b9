"""The first call of a captured program in a new process, where an earlier process has stored the captures.

`python -m benchmarks.warm "GPT-2, 12 layers" bytegraph eager FOLDER` prints the seconds of one such call, after imports
and a call of the plain program. torch.compile has torch's own caches, in the same folder.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import tracer
from benchmarks.subjects import SUBJECTS

ROOT = Path(__file__).parent.parent


def seconds_in_new_processes(subject: str, capturer: str, count: int, backend: str = "eager") -> list[float]:
    """Seconds of the first call in each of `count` processes, after one that has filled the caches."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.warm", subject, capturer, backend, folder]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor"}
        seconds = []
        for _ in range(1 + count):
            run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment)
            seconds.append(float(run.stdout.split()[-1]))
    return seconds[1:]


def first_call(subject: str, capturer: str, backend: str, folder: str) -> float:
    """Seconds of the first call in this process."""
    chosen = SUBJECTS[subject]()
    if capturer == "bytegraph":
        program = tracer.capture(chosen.program, backend=backend, cache=f"{folder}/captures")
    else:
        program = torch.compile(chosen.program, backend=backend)
    with torch.no_grad():
        chosen.call()()
        begun = time.perf_counter()
        chosen.call(program)()
        return time.perf_counter() - begun


if __name__ == "__main__":
    torch.manual_seed(0)
    print(first_call(*sys.argv[1:]))
