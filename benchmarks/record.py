"""What recording costs: microseconds per repeated call, bytes per call, seconds to load and group a corpus.

`python -m benchmarks.record` measures this alone; `make bench` does it with the rest.
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

CALLS = 200  # in one turn, so that entering a mode does not count
ROWS = 1_000_000
LIMIT_PER_CALL, LIMIT_BYTES, LIMIT_LOADING = 10e-6, 3.0, 2.0


class BareDispatch(TorchDispatchMode):
    """What any dispatch mode costs."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


class BareFunction(TorchFunctionMode):
    """What any function mode costs."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def repeated(mode: AbstractContextManager[Any], call: Callable[[], object]) -> Contestant:
    def contestant() -> None:
        with mode:
            for _ in range(CALLS):
                call()

    return contestant


def overhead(effort: Effort) -> Iterator[Row]:
    """Seconds that recording adds to a call that was seen before, to a bare mode of torch and to no mode."""
    x, y = torch.ones(8), torch.ones(8)
    subjects: dict[str, Callable[[], object]] = {
        "x + y": lambda: x + y,
        "torch.cat, 8 tensors": lambda parts=[x] * 8: torch.cat(parts),
        "x.add_(y)": lambda: x.add_(y),
    }
    with tempfile.TemporaryDirectory() as folder:
        for level, bare in (("aten", BareDispatch), ("function", BareFunction)):
            recorder = Recorder(folder, [level])
            for name, call in subjects.items():
                modes = {"plain": nullcontext(), "bare": bare(), "recorder": recorder}
                contestants = {who: repeated(mode, call) for who, mode in modes.items()}
                samples = interleaved(contestants, effort.rounds, effort.seconds)
                per_call = {who: [value / CALLS for value in values] for who, values in samples.items()}
                for said, who, than, limit in (
                    ("beyond a bare mode", "recorder", "bare", LIMIT_PER_CALL),
                    ("with the mode", "recorder", "plain", None),
                ):
                    added = differences(per_call[who], per_call[than])
                    yield Row("recording adds", f"{name}, {level}, {said}", "s", None, None, added, limit)


def corpus_of_operators(folder: str, effort: Effort) -> Corpus:
    """A corpus of torch's database of operators: every 18th, and fewer if it is to be quick."""
    recorder = Recorder(folder)
    with torch.enable_grad():
        for _ in operators.run(recorder, operators.Plan(part=3, parts=18 * effort.every)):
            pass
    recorder.close()
    return Corpus(folder)


def one(value: float) -> Spread:
    return spread([value])


def size_and_loading(effort: Effort) -> Iterator[Row]:
    """Bytes per raw call, against writing every call; seconds to load and group a million rows by operator."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = corpus_of_operators(folder, effort)
        found = corpus.statistics()
        name = f"{found.calls:,} calls, {found.rows:,} different"
        yield Row("bytes per call", f"corpus of {name}", "bytes", None, None, one(found.bytes_per_call), LIMIT_BYTES)
        per_row = found.bytes / found.rows
        yield Row("bytes per call", "corpus, per different call", "bytes", None, None, one(per_row), None)
        for form, size in sizes_when_written_one_by_one(corpus).items():
            yield Row("bytes per call", form, "bytes", None, None, one(size / found.calls), None)
        yield from loading(corpus, folder, effort)


def sizes_when_written_one_by_one(corpus: Corpus) -> dict[str, int]:
    """Bytes of all raw calls, each written by itself."""
    sizes = {"pickle": 0, "JSONL": 0}
    for row in corpus.load().to_pylist():
        count = row.pop("count")
        sizes["pickle"] += count * len(pickle.dumps(row, pickle.HIGHEST_PROTOCOL))
        sizes["JSONL"] += count * (len(json.dumps(row)) + 1)
    return sizes


def loading(corpus: Corpus, folder: str, effort: Effort) -> Iterator[Row]:
    million = Corpus(a_million_rows(corpus, Path(folder) / "million"))
    tasks: dict[str, Callable[[], object]] = {
        "load all columns, a table per operator": million.by_operator,
        "SQL: calls per operator": lambda: million.sql("select op, sum(count) from calls group by op"),
    }
    for name, task in tasks.items():
        samples = [seconds(task) for _ in range(max(3, effort.captures))]
        yield Row("a million rows", name, "s", None, None, spread(samples), LIMIT_LOADING)


def a_million_rows(corpus: Corpus, folder: Path) -> Path:
    """A corpus of so many rows: the same ones over and over, sorted as ever."""
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
