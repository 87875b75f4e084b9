"""The measurements of the tracer: overhead per call, first capture, eager replay, small modules, import.

Each yields rows: one quantity, measured for eager, TorchDynamo and bytegraph, with the limit for bytegraph.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.measure import Spread, differences, first_calls, interleaved, ratios, spread
from benchmarks.subjects import CALLED, CAPTURERS, REPLAYED, SMALL, SUBJECTS, Subject, forget, from_zoo, precomputed
from benchmarks.warm import seconds_in_new_processes

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Effort:
    """How long to measure: `rounds` of turns of `seconds`, `captures` first calls, one small module in `every`."""

    rounds: int = 40
    seconds: float = 0.02
    captures: int = 3
    every: int = 1


QUICK = Effort(rounds=9, seconds=0.005, captures=1, every=8)


@dataclass(frozen=True)
class Row:
    """One quantity. `limit` is the most that bytegraph may take, in the row's unit; None where there is no limit."""

    group: str
    name: str
    unit: str
    eager: Spread | None
    dynamo: Spread | None
    bytegraph: Spread | None
    limit: float | None

    @property
    def reached(self) -> bool | None:
        if self.limit is None or self.bytegraph is None:
            return None
        return self.bytegraph.median <= self.limit


OVERHEAD_LIMITS = {
    "x + 1, 8 floats": 0.5e-6,
    "x + 1, as a module": 0.6e-6,
    "GPT-2, 12 layers": 6e-6,
    "Qwen3, 36 layers": 14e-6,
}
WARM_LIMITS = {"GPT-2, 12 layers": 0.015, "Qwen3, 36 layers": 0.04}
CAPTURE_LIMITS = {"GPT-2, 12 layers": 0.13, "Qwen3, 36 layers": 0.5}


def overhead_per_call(effort: Effort) -> Iterator[Row]:
    """Seconds of a captured call beyond those of a function that returns precomputed outputs."""
    for name, build in CALLED.items():
        subject = build()
        outputs = subject.call()()
        forget()
        calls = {"plain": subject.call(lambda *args, _outputs=outputs, **kwargs: _outputs)}
        for contestant, capturer in CAPTURERS.items():
            calls[contestant] = subject.call(capturer(subject, precomputed))
        samples = interleaved(calls, effort.rounds, effort.seconds)
        times = {capturer: differences(samples[capturer], samples["plain"]) for capturer in CAPTURERS}
        yield Row("overhead per call", name, "s", None, times["dynamo"], times["bytegraph"], OVERHEAD_LIMITS[name])


def first_capture(effort: Effort) -> Iterator[Row]:
    """Seconds of the first call of a newly captured program, in a process that has captured it before."""
    for name, build in SUBJECTS.items():
        subject = build()
        times = {}
        for contestant, capturer in CAPTURERS.items():

            def prepare(capturer: Callable[..., object] = capturer, subject: Subject = subject) -> Callable[[], object]:
                forget()
                return subject.call(capturer(subject))

            times[contestant] = spread(first_calls(prepare, effort.captures))
        limit = CAPTURE_LIMITS.get(name)
        yield Row("first capture", name, "s", None, times["dynamo"], times["bytegraph"], limit)


def warm_start(effort: Effort) -> Iterator[Row]:
    """Seconds of the first call in a new process, where an earlier one has stored the captures."""
    for name, limit in WARM_LIMITS.items():
        times = {capturer: spread(seconds_in_new_processes(name, capturer, effort.captures)) for capturer in CAPTURERS}
        yield Row("first call, captures stored", name, "s", None, times["dynamo"], times["bytegraph"], limit)


def replay(effort: Effort) -> Iterator[Row]:
    """The time of a captured call, with the eager backend, over that of an eager call."""
    for name, build in REPLAYED.items():
        times = against_eager(build(), effort)
        limit = min(1.0, times["dynamo"].median)
        yield Row("warm call / eager", name, "x", None, times["dynamo"], times["bytegraph"], limit)


def small_modules(effort: Effort) -> Iterator[Row]:
    """The same for many small modules: the median over the modules."""
    medians: dict[str, list[float]] = {capturer: [] for capturer in CAPTURERS}
    names = SMALL[:: effort.every]
    brief = Effort(rounds=max(5, effort.rounds // 4), seconds=effort.seconds / 10)
    for name in names:
        for capturer, times in against_eager(from_zoo(name), brief).items():
            medians[capturer].append(times.median)
    label = f"{len(names)} modules of torch.nn"
    times = {capturer: spread(values) for capturer, values in medians.items()}
    yield Row("warm call / eager", label, "x", None, times["dynamo"], times["bytegraph"], 1.0)


def against_eager(subject: Subject, effort: Effort) -> dict[str, Spread]:
    """The time of a captured call over that of an eager one, for each capturer."""
    forget()
    calls = {"eager": subject.call()}
    for contestant, capturer in CAPTURERS.items():
        calls[contestant] = subject.call(capturer(subject))
    samples = interleaved(calls, effort.rounds, effort.seconds)
    return {contestant: ratios(samples[contestant], samples["eager"]) for contestant in CAPTURERS}


def import_time(effort: Effort) -> Iterator[Row]:
    """Seconds of `import tracer` after `import torch`, and of the first `capture(f)` after it, which imports the
    interpreter, in new processes; the first of them writes .pyc files and is dropped.
    """
    code = (
        "import time, torch; before = time.perf_counter(); import tracer; imported = time.perf_counter(); "
        "tracer.capture(lambda x: x); print(imported - before, time.perf_counter() - imported)"
    )
    command = [sys.executable, "-c", code]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    samples = [
        subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment).stdout.split()
        for _ in range(max(4, effort.captures + 1))
    ][1:]
    imports, captures = ([float(seconds) for seconds in column] for column in zip(*samples, strict=True))
    yield Row("import", "tracer after torch", "s", None, None, spread(imports), 0.04)
    yield Row("import", "first capture(f), not called", "s", None, None, spread(captures), None)


MEASUREMENTS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "overhead per call": overhead_per_call,
    "first capture": first_capture,
    "warm start": warm_start,
    "replay": replay,
    "small modules": small_modules,
    "import": import_time,
}


def run(effort: Effort, only: str | None = None) -> Iterator[Row]:
    """Yield the rows of all measurements, or of those whose names contain `only`, as they are measured."""
    torch.set_num_threads(1)
    with torch.no_grad():
        for name, measurement in MEASUREMENTS.items():
            if only is None or only in name:
                yield from measurement(effort)
