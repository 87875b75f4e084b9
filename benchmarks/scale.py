"""What grows with use: processes that share one folder of captures, modules and facts of one model, captured functions.

`python -m benchmarks --only scale` measures them. Growth is the exponent of the size that fits best: 1 where a quantity
grows with the size, 0 where it does not.
"""

import gc
import math
import multiprocessing
import os
import stat
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, Final, NamedTuple

import torch

import tracer
from benchmarks.measure import repeat, spread
from benchmarks.subjects import precomputed
from benchmarks.suite import Effort, Row
from tracer.events import LOG

NOBODY: Final = 65534
"""A user who may write to no folder of others, which root could."""
KINDS: Final = ("capture", "loaded", "stored", "file refused", "not stored", "bug")
FACTS: Final = 9
"""Facts of one module of the model: its attributes that are read, besides its type and its dictionary."""
WARM_UP: Final = 10
"""Modules of the model that a process captures before its memory is measured."""
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Cell(torch.nn.Module):
    """A module of which a call reads FACTS attributes."""

    def __init__(self, number: int) -> None:
        super().__init__()
        for fact in range(FACTS):
            setattr(self, f"fact_{fact}", number + fact / 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = 0.0
        for fact in range(FACTS):
            total += getattr(self, f"fact_{fact}")
        return x + total


class Model(torch.nn.Module):
    """Modules in a row."""

    def __init__(self, modules: int) -> None:
        super().__init__()
        self.cells = torch.nn.ModuleList(map(Cell, range(modules)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for cell in self.cells:
            x = cell(x)
        return x


def resident() -> int:
    """Bytes of memory that this process has now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The power of the size that a quantity grows with: the slope of a line through the logarithms."""
    return statistics.linear_regression([*map(math.log, sizes)], [*map(math.log, values)]).slope


# Processes that share a folder -------------------------------------------------------------------------


class Answer(NamedTuple):
    """What one process has seen: seconds of its first call, whether that was right, and its events."""

    seconds: float
    is_right: bool
    events: dict[str, int]


def _first_call(folder: str, user: int, ready: Any, answers: Any) -> None:
    """In a process of its own: wait for all others, and make one call."""
    if user:
        os.setuid(user)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, x = Model(20), torch.randn(8)
    expected = model(x)
    program = tracer.capture(model, cache=folder)
    ready.wait()
    begun = time.perf_counter()
    result = program(x)
    seconds = time.perf_counter() - begun
    kinds = [event.kind for event in LOG.recent()]
    answers.put(Answer(seconds, torch.equal(result, expected), {kind: kinds.count(kind) for kind in KINDS}))


def in_processes(folder: str, count: int, user: int = 0) -> list[Answer]:
    """The answers of `count` processes that make their first call at once, in a folder they share."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    ready, answers = context.Barrier(count), context.Queue()
    processes = [context.Process(target=_first_call, args=(folder, user, ready, answers)) for _ in range(count)]
    for process in processes:
        process.start()
    received = [answers.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    assert not any(process.exitcode for process in processes)
    return received


def _reader(folder: Path) -> int:
    """The user who may only read the folder; 0 for this one, where that is not root or others do not reach it."""
    is_reached = all(parent.stat().st_mode & stat.S_IXOTH for parent in folder.parents)
    return NOBODY if os.geteuid() == 0 and is_reached else 0


def shared_folder(count: int) -> Iterator[tuple[str, list[Answer]]]:
    """Processes that all find an empty folder, then one that is full, then one that they may only read."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        folder = os.path.join(place, "captures")
        yield "empty", in_processes(folder, count)
        yield "full", in_processes(folder, count)
        kept = {path: path.stat().st_size for path in Path(folder).rglob("*")}
        for path in (Path(folder), *Path(folder).iterdir()):
            path.chmod(0o555)
        yield "read-only", in_processes(folder, count, _reader(Path(folder)))
        assert kept == {path: path.stat().st_size for path in Path(folder).rglob("*")}, "a file was changed"
        for path in (Path(folder), *Path(folder).iterdir()):
            path.chmod(0o755)


def of_processes(count: int) -> Iterator[Row]:
    """Seconds of first calls, and how many processes captured, per state of the folder."""
    for state, answers in shared_folder(count):
        assert all(answer.is_right and not answer.events["bug"] for answer in answers)
        name = f"{count} processes, {state} folder"
        yield Row("first call at once", name, "s", None, None, spread([each.seconds for each in answers]), None)
        for kind, group in (("capture", "processes that captured"), ("file refused", "processes that refused a file")):
            number = sum(answer.events[kind] > 0 for answer in answers)
            limit = None if state == "empty" and kind == "capture" else 0
            yield Row(group, name, "", None, None, spread([float(number)]), limit)


# A model with many modules -----------------------------------------------------------------------------


class Size(NamedTuple):
    """What one size of the model costs: seconds, bytes, and how many guards there are."""

    capture: float
    load: float
    call: float
    memory: float
    file: float
    guards: int


def measured(modules: int) -> Size:
    """Capture a model, load it as another process would, and call it."""
    model, x = Model(modules), torch.randn(8)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        tracer.reset()
        begun = time.perf_counter()
        program: Any = tracer.capture(model, cache=folder)
        program(x)
        capture = time.perf_counter() - begun
        (file,) = Path(folder).rglob("*.capture")
        size = file.stat().st_size
        tracer.reset()
        bare: Any = tracer.capture(model, backend=precomputed)
        bare(x)
        call = min(repeat(lambda: bare(x), 20) for _ in range(10))
        tracer.reset()
        loaded: Any = tracer.capture(model, cache=folder)
        begun = time.perf_counter()
        loaded(x)
        load = time.perf_counter() - begun
        (entry,) = loaded.entries
        assert "from the cache" in entry.why
        return Size(capture, load, call, memory_of_entry(modules), size, len(entry.guards))


def memory_of_entry(modules: int) -> int:
    """Bytes that a process grows by when it captures a model. In one of its own: what others left is used again."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("forkserver").Process(target=_grow, args=(modules, sender))
    process.start()
    grown = receiver.recv()
    process.join()
    return grown


def _grow(modules: int, sender: Any) -> None:
    """In a process of its own: capture a small model, which loads what captures need, then one of this size.

    What fits into pages that the process already had counts as one page, the least that can be seen.
    """
    x = torch.randn(8)
    with torch.no_grad():
        tracer.capture(Model(WARM_UP))(x)
        model = Model(modules)
        before = resident()
        tracer.capture(model)(x)
        sender.send(max(resident() - before, PAGE))


NAMES: Final = {
    "capture": "capture and store",
    "load": "load",
    "call": "guards and call of nothing",
    "memory": "memory of the entry",
    "file": "size of the file",
}
GROWTH_LIMITS: Final = {"capture": 1.15, "load": 1.15, "call": 1.15, "memory": 1.15, "file": 1.1}
UNITS: Final = {"memory": "B", "file": "B"}


def of_model(modules: int) -> Iterator[Row]:
    """The costs of a model of so many modules, and the exponents of their growth from an eighth of that on."""
    measured(modules // 16)
    sizes = [modules // 8, modules // 4, modules // 2, modules]
    costs = [measured(size) for size in sizes]
    name = f"{modules} modules, {costs[-1].guards} guards"
    for field, words in NAMES.items():
        values = [getattr(cost, field) for cost in costs]
        yield Row(
            "many modules", f"{words}, {name}", UNITS.get(field, "s"), None, None, spread([float(values[-1])]), None
        )
        growth = exponent(sizes, values)
        yield Row(
            "many modules: exponent of growth",
            f"{words}, {name}",
            "",
            None,
            None,
            spread([growth]),
            GROWTH_LIMITS[field],
        )


# Many captured functions -------------------------------------------------------------------------------


def _template(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def functions(count: int) -> list[Callable[..., Any]]:
    """Functions with code of their own."""
    made = []
    for number in range(count):
        code = _template.__code__.replace(co_consts=(None, number), co_name=f"add_{number}")
        made.append(FunctionType(code, globals(), f"add_{number}"))
    return made


def of_functions(count: int) -> Iterator[Row]:
    """The time of a call when there are few captured functions, and many, and what each takes."""
    tracer.reset()
    captured: list[Any] = [tracer.capture(each) for each in functions(count)]
    x = torch.randn(8)
    first = captured[0]
    for each in captured[:10]:
        each(x)
    few = [repeat(lambda: first(x), 1000) for _ in range(25)]
    before = resident()
    for each in captured[10:]:
        each(x)
    memory = (resident() - before) / (count - 10)
    last = captured[-1]
    many = [repeat(lambda: first(x), 1000) for _ in range(25)]
    others = [repeat(lambda: last(x), 1000) for _ in range(25)]
    rotating = [repeat(lambda: [each(x) for each in captured], 3) / count for _ in range(10)]
    name = f"{count} captured functions"
    ratio = min(min(many), min(others)) / min(few)
    yield Row("many functions", f"call / call among 10, {name}", "x", None, None, spread([ratio]), 1.1)
    yield Row("many functions", f"call of each in turn, {name}", "s", None, None, spread(rotating), None)
    yield Row("many functions", f"memory of an entry, {name}", "B", None, None, spread([memory]), None)


def _part(effort: Effort, count: int) -> int:
    """How many there are of something, an eighth where the effort is small."""
    return count if effort.every == 1 else count // 8


MEASUREMENTS: Final[dict[str, Callable[[Effort], Iterator[Row]]]] = {
    "scale: processes": lambda effort: of_processes(_part(effort, 50)),
    "scale: modules": lambda effort: of_model(_part(effort, 2000)),
    "scale: functions": lambda effort: of_functions(_part(effort, 1000)),
}
