"""All modules, several at a time, within a budget of time; what was not the same runs again, alone in a new process.

A module whose process dies goes on behind the test that is to blame. No module takes more than its share of the time
while others wait.
"""

from __future__ import annotations

import pkgutil
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.cpython.exclusions import exclusion_of_module
from tests.cpython.processes import Child, Following, import_folder, import_for_all, temporary_folder
from tests.cpython.worker import Job, main

BAD = ("wrong", "internal error", "crash", "hang")
MODES = ("followed", "native")
PAUSE = 0.1
STARTS = 200
"""Processes that one module may take."""


@dataclass(frozen=True)
class Settings:
    """How to run: seconds for all together, how many processes at a time, and what each job is made from."""

    seconds: float = 3600.0
    jobs: int = 2
    modes: tuple[str, ...] = MODES
    package: str = "test"
    limit: float = 20.0
    excluded_too: bool = False
    backend: str = "eager"
    strict: bool = False
    confirm: bool = True
    search: Path | None = None
    """Where the package is; None: the interpreter's own `test`."""


@dataclass
class ModuleRun:
    """One module in one mode: what its processes, one after the other, came to."""

    job: Job
    ids: list[str] | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    note: str = ""
    starts: int = 0

    @property
    def left(self) -> bool:
        """Whether there are tests that have no result yet."""
        expected = self.ids if self.job.only is None else None if self.ids is None else [*self.job.only]
        return expected is None or any(name not in self.results for name in expected)


@dataclass
class Live:
    """A process that runs now."""

    run: ModuleRun
    child: Child
    following: Following
    killed: bool = False

    def ended(self) -> bool:
        """Take in what the process wrote; whether it has ended, with its results given to the module."""
        self.following.read()
        if self.child.poll() is None:
            if not self.following.overdue():
                return False
            self.killed = True
            self.child.kill()
        self.following.read()
        assert self.child.returncode is not None
        note = self.following.blame(self.child.returncode, self.killed) or self.following.failed_import
        run = self.run
        if run.ids is None:
            run.ids = [] if self.following.ids is None and note else self.following.ids
        run.results.update(self.following.results)
        run.note = note
        return True


def modules_of(package: str = "test") -> list[str]:
    """The modules of tests in the `test` package that are not excluded, shuffled, always in the same order.

    Raises ImportError where the package is not installed.
    """
    path = __import__(package).__path__
    names = sorted(module.name for module in pkgutil.iter_modules(path) if module.name.startswith("test_"))
    names = [name for name in names if exclusion_of_module(name) is None]
    random.Random(1).shuffle(names)  # so that a run that ends early is a sample of all
    return names


class Suite:
    """A run over modules."""

    def __init__(self, settings: Settings, modules: Iterable[str], only: frozenset[str] | None = None) -> None:
        """`only` are the ids of the tests to run; None for all."""
        self.settings = settings
        self.only = only
        self.runs = [ModuleRun(self._job(module, mode)) for module in modules for mode in settings.modes]
        self.report: Callable[[str], None] = lambda line: None
        self._files = 0

    def _job(self, module: str, mode: str) -> Job:
        settings = self.settings
        return Job(
            package=settings.package,
            module=module,
            mode=mode,
            only=self.only and frozenset(name for name in self.only if name.split(".")[1] == module),
            limit=settings.limit,
            excluded_too=settings.excluded_too,
            backend=settings.backend,
            strict=settings.strict,
        )

    def measure(self) -> list[ModuleRun]:
        """Run everything; what the time did not suffice for has no result."""
        import_for_all()
        with temporary_folder() as folder:
            root = Path(folder)
            search = self.settings.search or import_folder(root)
            deadline = time.time() + self.settings.seconds
            self._all(root, search, deadline)
            if self.settings.confirm:
                self._confirm(root, search, time.time() + max(60.0, self.settings.seconds / 4))
        return self.runs

    def _start(self, run: ModuleRun, job: Job, root: Path, search: Path) -> Live:
        self._files += 1
        base = root / f"{self._files}.{job.module}"
        base.mkdir()
        events, log = base.with_suffix(".events"), base.with_suffix(".log")
        events.touch()
        run.starts += 1
        return Live(run, Child(partial(main, job, str(events)), base, log, search), Following(events, log, job.limit))

    def _all(self, root: Path, search: Path, deadline: float) -> None:
        waiting, live = deque(self.runs), list[Live]()
        try:
            while waiting or live:
                while waiting and len(live) < self.settings.jobs and time.time() < deadline:
                    run = waiting.popleft()
                    share = 2 * (deadline - time.time()) * self.settings.jobs / (len(waiting) + 1)
                    until = min(deadline, time.time() + max(share, 10.0))
                    job = replace(run.job, done=frozenset(run.results), deadline=until)
                    live.append(self._start(run, job, root, search))
                if not live:
                    return
                time.sleep(PAUSE)
                for one in [one for one in live if one.ended()]:
                    live.remove(one)
                    run = one.run
                    self.report(
                        f"{run.job.mode} {run.job.module}: {len(run.results)} of {len(run.ids or ())} {run.note[:80]}"
                    )
                    if run.left and run.starts < STARTS:
                        (waiting.append if one.following.paused else waiting.appendleft)(run)
        finally:
            for one in live:
                one.child.kill()

    def _confirm(self, root: Path, search: Path, deadline: float) -> None:
        """Run each test that was not the same alone; one that was only slow is the same, given more time."""
        waiting = deque((run, name) for run in self.runs for name in run.results if run.results[name]["outcome"] in BAD)
        live: list[tuple[Live, ModuleRun, str]] = []
        try:
            while live or (waiting and time.time() < deadline):
                while waiting and len(live) < self.settings.jobs and time.time() < deadline:
                    run, name = waiting.popleft()
                    longer = 3 if run.results[name]["outcome"] == "hang" else 1
                    alone = replace(run.job, only=frozenset({name}), limit=run.job.limit * longer)
                    live.append((self._start(ModuleRun(alone), alone, root, search), run, name))
                time.sleep(PAUSE)
                for row in [row for row in live if row[0].ended()]:
                    live.remove(row)
                    one, run, name = row
                    again = one.run.results.get(name)
                    if again is None:
                        continue
                    if run.results[name]["outcome"] == "hang" and again["outcome"] not in BAD:
                        run.results[name] = again
                    else:
                        run.results[name]["alone"] = again["outcome"]
        finally:
            for one, _, _ in live:
                one.child.kill()
