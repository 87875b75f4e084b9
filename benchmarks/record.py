"""The cost of recording: time per repeated call, bytes per call, time to load and group a corpus.

`python -m benchmarks.record` runs these measurements alone.
"""

from __future__ import annotations

import json
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.measure import Contestant, Spread, differences, interleaved, spread
from benchmarks.suite import QUICK, Effort, Row
from benchmarks.table import table
from passes.record import Corpus, Recorder, storage
from passes.record.sources import operators

CALLS = 200  # in one turn, so that the time to enter a mode is negligible
ROWS = 1_000_000
LIMIT_PER_CALL, LIMIT_BYTES, LIMIT_LOADING = 10e-6, 3.0, 2.0


class EmptyDispatchMode(TorchDispatchMode):
    """An empty dispatch mode: the cost of any dispatch mode."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


class EmptyFunctionMode(TorchFunctionMode):
    """An empty function mode: the cost of any function mode."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def repeated(mode: AbstractContextManager[Any], call: Callable[[], object]) -> Contestant:
    def contestant() -> None:
        with mode:
            for _ in range(CALLS):
                call()

    return contestant


def overhead(effort: Effort) -> Iterator[Row]:
    """Overhead of recording a call that was recorded before, over an empty mode of torch and over no mode."""
    x, y = torch.ones(8), torch.ones(8)
    subjects: dict[str, Callable[[], object]] = {
        "x + y": lambda: x + y,
        "torch.cat, 8 tensors": lambda parts=[x] * 8: torch.cat(parts),
        "x.add_(y)": lambda: x.add_(y),
    }
    with tempfile.TemporaryDirectory() as folder:
        for level, empty in (("aten", EmptyDispatchMode), ("function", EmptyFunctionMode)):
            recorder = Recorder(folder, [level])
            for name, call in subjects.items():
                modes = {"plain": nullcontext(), "empty": empty(), "recorder": recorder}
                contestants = {key: repeated(mode, call) for key, mode in modes.items()}
                samples = interleaved(contestants, effort.rounds, effort.seconds)
                per_call = {key: [value / CALLS for value in values] for key, values in samples.items()}
                for label, baseline, limit in (
                    ("over an empty mode", "empty", LIMIT_PER_CALL),
                    ("over no mode", "plain", None),
                ):
                    added = differences(per_call["recorder"], per_call[baseline])
                    yield Row("recording overhead", f"{name}, {level}, {label}", "s", None, None, added, limit)


def corpus_of_operators(folder: str, effort: Effort) -> Corpus:
    """A corpus of every 18th operator of torch's operator database, or of fewer where `effort` says so."""
    recorder = Recorder(folder)
    with torch.enable_grad():
        for _ in operators.run(recorder, operators.OpInfoPlan(part=3, parts=18 * effort.every)):
            pass
    recorder.close()
    return Corpus(folder)


def one(value: float) -> Spread:
    return spread([value])


def size_and_loading(effort: Effort) -> Iterator[Row]:
    """Bytes per raw call, and if every call were written; seconds to load a million rows and group them by operator."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = corpus_of_operators(folder, effort)
        statistics = corpus.statistics()
        name = f"{statistics.calls:,} calls, {statistics.rows:,} distinct"
        size = one(statistics.bytes_per_call)
        yield Row("corpus size per call", f"corpus of {name}", "bytes", None, None, size, LIMIT_BYTES)
        per_row = statistics.bytes / statistics.rows
        yield Row("corpus size per call", "corpus, per distinct call", "bytes", None, None, one(per_row), None)
        for form, size in sizes_when_written_one_by_one(corpus).items():
            yield Row("corpus size per call", form, "bytes", None, None, one(size / statistics.calls), None)
        yield from loading(corpus, folder, effort)


def sizes_when_written_one_by_one(corpus: Corpus) -> dict[str, int]:
    """Bytes of all raw calls if each were written separately, by form."""
    sizes = {"pickle": 0, "JSONL": 0}
    for row in corpus.load().to_pylist():
        count = row.pop("count")
        sizes["pickle"] += count * len(pickle.dumps(row, pickle.HIGHEST_PROTOCOL))
        sizes["JSONL"] += count * (len(json.dumps(row)) + 1)
    return sizes


def loading(corpus: Corpus, folder: str, effort: Effort) -> Iterator[Row]:
    million = Corpus(a_million_rows(corpus, Path(folder) / "million"))
    tasks: dict[str, Callable[[], object]] = {
        "load all columns, one table per operator": million.by_operator,
        "SQL: calls per operator": lambda: million.sql("select op, sum(count) from calls group by op"),
    }
    for name, task in tasks.items():
        samples = [seconds(task) for _ in range(max(3, effort.captures))]
        yield Row("query a million rows", name, "s", None, None, spread(samples), LIMIT_LOADING)


def a_million_rows(corpus: Corpus, folder: Path) -> Path:
    """A corpus of a million rows, made by repeating those of `corpus` in their order."""
    import pyarrow as pa

    groups = corpus.by_operator()
    times = -(-ROWS // sum(len(group) for group in groups.values()))
    folder.mkdir()
    whole = pa.concat_tables([group for op in sorted(groups) for group in [groups[op]] * times])
    storage.write(folder / "calls-million.parquet", [whole.cast(storage.arrow_schema())])
    return folder


def seconds(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


MEASUREMENTS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "recording": overhead,
    "corpus": size_and_loading,
}


def main() -> int:
    torch.set_num_threads(1)
    effort = QUICK if "--quick" in sys.argv else Effort()
    rows = [row for measurement in MEASUREMENTS.values() for row in measurement(effort)]
    Console().print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
