"""The measurements: what is added to a call, the first capture, replay against eager, small modules, import.

Each returns rows: one quantity for eager, TorchDynamo and bytegraph, with the limit that bytegraph must keep to.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.measure import Spread, differences, first_calls, interleaved, ratios, spread
from benchmarks.subjects import CAPTURERS, REPLAYED, SMALL, SUBJECTS, Subject, forget, from_zoo, ready_made

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int = 40
    seconds: float = 0.02
    captures: int = 3
    every: int = 1


QUICK = Effort(rounds=9, seconds=0.005, captures=1, every=8)


@dataclass(frozen=True)
class Row:
    """One quantity. `limit` is what bytegraph must reach, in the row's unit; None where only shown."""

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


ADDED_LIMITS = {"x + 1, 8 floats": 0.5e-6, "GPT-2, 12 layers": 6e-6, "Qwen3, 36 layers": 17e-6}
CAPTURE_LIMITS = {"GPT-2, 12 layers": 0.13, "Qwen3, 36 layers": 0.5}


def added_per_call(effort: Effort) -> Iterator[Row]:
    """Seconds that a captured call takes beyond a function that returns the ready-made outputs at once."""
    for name, build in SUBJECTS.items():
        subject = build()
        outputs = subject.call()()
        forget()
        calls = {"plain": subject.call(lambda *args, _outputs=outputs, **kwargs: _outputs)}
        for who, capturer in CAPTURERS.items():
            calls[who] = subject.call(capturer(subject, ready_made))
        samples = interleaved(calls, effort.rounds, effort.seconds)
        added = {who: differences(samples[who], samples["plain"]) for who in CAPTURERS}
        yield Row("added per call", name, "s", None, added["dynamo"], added["bytegraph"], ADDED_LIMITS[name])


def first_capture(effort: Effort) -> Iterator[Row]:
    """Seconds of the first call of a newly captured program, in a process that captured it before."""
    for name, build in SUBJECTS.items():
        subject = build()
        found = {}
        for who, capturer in CAPTURERS.items():

            def prepare(capturer: Callable[..., object] = capturer, subject: Subject = subject) -> Callable[[], object]:
                forget()
                return subject.call(capturer(subject))

            found[who] = spread(first_calls(prepare, effort.captures))
        limit = CAPTURE_LIMITS.get(name)
        yield Row("first capture", name, "s", None, found["dynamo"], found["bytegraph"], limit)


def replay(effort: Effort) -> Iterator[Row]:
    """A captured call over an eager one, with the eager backend."""
    for name, build in REPLAYED.items():
        found = against_eager(build(), effort)
        limit = min(1.0, found["dynamo"].median)
        yield Row("warm call / eager", name, "x", None, found["dynamo"], found["bytegraph"], limit)


def small_modules(effort: Effort) -> Iterator[Row]:
    """The same over many small modules: the median module."""
    medians: dict[str, list[float]] = {who: [] for who in CAPTURERS}
    names = SMALL[:: effort.every]
    brief = Effort(rounds=max(5, effort.rounds // 4), seconds=effort.seconds / 10)
    for name in names:
        for who, found in against_eager(from_zoo(name), brief).items():
            medians[who].append(found.median)
    label = f"{len(names)} modules of torch.nn"
    found = {who: spread(values) for who, values in medians.items()}
    yield Row("warm call / eager", label, "x", None, found["dynamo"], found["bytegraph"], 1.0)


def against_eager(subject: Subject, effort: Effort) -> dict[str, Spread]:
    forget()
    calls = {"eager": subject.call()}
    for who, capturer in CAPTURERS.items():
        calls[who] = subject.call(capturer(subject))
    samples = interleaved(calls, effort.rounds, effort.seconds)
    return {who: ratios(samples[who], samples["eager"]) for who in CAPTURERS}


def import_time(effort: Effort) -> Iterator[Row]:
    """Seconds that `import tracer` adds to `import torch`, each time in a new process; the first writes .pyc files."""
    code = "import time, torch; start = time.perf_counter(); import tracer; print(time.perf_counter() - start)"
    command = [sys.executable, "-c", code]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    samples = [
        float(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment).stdout)
        for _ in range(max(4, effort.captures + 1))
    ][1:]
    yield Row("import", "tracer after torch", "s", None, None, spread(samples), 0.15)


MEASUREMENTS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "added per call": added_per_call,
    "first capture": first_capture,
    "replay": replay,
    "small modules": small_modules,
    "import": import_time,
}


def run(effort: Effort, only: str | None = None) -> Iterator[Row]:
    """All rows, or those of the measurements whose names contain `only`, as they are measured."""
    torch.set_num_threads(1)
    with torch.no_grad():
        for name, measurement in MEASUREMENTS.items():
            if only is None or only in name:
                yield from measurement(effort)
