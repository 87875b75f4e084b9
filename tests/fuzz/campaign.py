"""Many random programs in child processes: a chunk of programs each, the first difference of a chunk shrunk and kept.

A chunk is determined by its seed, so that a run is the same every time. Its process writes the program that it is about
to run into a file; where the process dies or hangs, that program is to blame.
"""

from __future__ import annotations

import faulthandler
import gc
import hashlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Flaky
from hypothesis.internal.conjecture import providers

from tests.cpython.processes import Child, import_for_all
from tests.fuzz.grammar import compiles, programs
from tests.fuzz.program import Program
from tests.fuzz.worlds import difference

CHUNK = 50
LIMIT = 60.0
"""Seconds for one program; a program that takes more hangs."""
PAUSE = 0.1


@dataclass(frozen=True)
class Finding:
    """A program that can be told apart when it is captured, and how."""

    program: Program
    difference: str
    seed: int

    @property
    def kind(self) -> str:
        """The difference without what varies between programs of one kind."""
        return re.sub(r"\d+|'[^']*'|\[[^]]*\]", "_", self.difference)[:160]

    @property
    def test(self) -> str:
        """A test module that fails as long as the program is told apart."""
        name = hashlib.sha256(str(self.program).encode()).hexdigest()[:8]
        comment = "\n".join(f"# {line}" for line in self.difference.splitlines()[:12])
        return (
            f'"""Found by `make fuzz`, seed {self.seed}."""\n\nfrom tests.fuzz.program import Program\n'
            f"from tests.fuzz.worlds import assert_same\n\n\n{comment}\n"
            f"def test_program_{name}():\n    assert_same({self.program})\n"
        )


class Told(AssertionError):
    """A program was told apart; Hypothesis shrinks what raises it."""


@contextmanager
def without_constants_of_modules() -> Iterator[None]:
    """A context in which a seed gives the same programs whatever modules are loaded: Hypothesis else draws some numbers
    from the constants of all that are local, so that a change of any file would give other programs.
    """
    provider: Any = providers.HypothesisProvider
    drawn_from = vars(provider)["_local_constants"]
    provider._local_constants = providers.Constants()
    providers.CONSTANTS_CACHE.cache.clear()
    try:
        yield
    finally:
        provider._local_constants = drawn_from
        providers.CONSTANTS_CACHE.cache.clear()


def explore(
    number: int,
    count: int,
    note: Callable[[Program], None],
    compare: Callable[[Program], str],
    known: Iterable[str] = (),
    **fixed: Any,
) -> Iterator[Finding]:
    """Run `count` programs from a seed; each kind that `compare` tells apart, shrunk, once, except those `known`.

    `fixed` are fields of all programs.
    """
    kinds, ran, rounds = set(known), 0, 0
    latest: list[Finding] = []
    while ran < count:
        latest.clear()

        @seed(f"{number}, round {rounds}" if rounds else number)
        @settings(
            max_examples=count - ran,
            database=None,
            deadline=None,
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
        )
        @given(programs(**fixed))
        def run(program: Program) -> None:
            nonlocal ran
            if not compiles(program.source):
                return
            ran += not latest  # what is run while shrinking is not new
            note(program)
            finding = Finding(program, compare(program), number)
            if finding.difference and finding.kind not in kinds:
                latest[:] = [finding]
                raise Told(finding.difference)

        try:
            with without_constants_of_modules():
                run()
        except Told:
            pass
        except Flaky:  # what was told apart is not in another run of the same program
            latest[:] = [replace(latest[0], difference=f"not in every run: {latest[0].difference}")]
        if not latest:
            return
        kinds.add(latest[0].kind)
        rounds += 1
        yield latest[0]


def explore_into(number: int, count: int, folder: Path, known: set[str], fixed: dict[str, Any]) -> None:
    """A child process: explore one seed; the programs go to `current` and each finding to a line of `findings`."""
    current = folder / "current"

    def note(program: Program) -> None:
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        current.write_text(json.dumps(asdict(program)))

    gc.collect()
    gc.freeze()
    gc.disable()  # when it runs would tell two runs of a program apart
    for finding in explore(number, count, note, difference, known, **fixed):
        told = {"program": asdict(finding.program), "difference": finding.difference}
        with (folder / "findings").open("a") as file:
            file.write(json.dumps(told) + "\n")
    faulthandler.cancel_dump_traceback_later()
    sys.stderr.flush()
    os._exit(0)


def program_of(fields: dict[str, Any]) -> Program:
    """A program from what JSON has kept of it."""
    return Program(**{**fields, "changes": tuple(fields["changes"])})


def findings_in(folder: Path, returncode: int, number: int) -> list[Finding]:
    """What the process of a seed left in its folder."""
    findings: list[Finding] = []
    if (folder / "findings").exists():
        for line in (folder / "findings").read_text().splitlines():
            told = json.loads(line)
            findings.append(Finding(program_of(told["program"]), told["difference"], number))
    if returncode == 0:
        return findings
    log = (folder / "log").read_text(errors="replace")
    if not (folder / "current").exists():
        raise RuntimeError(f"the process of seed {number} ended with {returncode} before its first program:\n{log}")
    how = "hangs" if "Timeout (" in log else f"the process ended with {returncode}"
    blamed = program_of(json.loads((folder / "current").read_text()))
    return [*findings, Finding(blamed, f"{how}\n{log[-2000:]}", number)]


@dataclass
class Campaign:
    """Chunks of programs from consecutive seeds, `jobs` at a time. `findings` has one of each kind of difference.

    `fixed` are fields that all programs have alike.
    """

    programs: int
    first_seed: int = 0
    jobs: int = 2
    seconds: float = float("inf")
    fixed: dict[str, Any] = field(default_factory=dict)
    report: Callable[[str], None] = lambda line: None
    findings: dict[str, Finding] = field(default_factory=dict)
    repeated: int = 0
    explored: int = 0

    def run(self) -> None:
        """Explore; what is found is in `findings`."""
        import_for_all()
        deadline = time.time() + self.seconds
        waiting = list(range(self.first_seed, self.first_seed - (-self.programs // CHUNK)))[::-1]
        live: list[tuple[Child, Path, int]] = []
        with tempfile.TemporaryDirectory(prefix="fuzz_") as root:
            try:
                while live or (waiting and time.time() < deadline):
                    while waiting and len(live) < self.jobs and time.time() < deadline:
                        live.append(self._start(Path(root), waiting.pop()))
                    time.sleep(PAUSE)
                    for one in [one for one in live if one[0].poll() is not None]:
                        live.remove(one)
                        self._end(*one)
            finally:
                for child, _, _ in live:
                    child.kill()

    def _start(self, root: Path, number: int) -> tuple[Child, Path, int]:
        folder = root / str(number)
        folder.mkdir()
        target = partial(explore_into, number, min(CHUNK, self.programs), folder, set(self.findings), self.fixed)
        return Child(target, folder, folder / "log", root), folder, number

    def _end(self, child: Child, folder: Path, number: int) -> None:
        assert child.returncode is not None
        self.explored += min(CHUNK, self.programs)
        for finding in findings_in(folder, child.returncode, number):
            if finding.kind in self.findings:
                self.repeated += 1
                continue
            self.findings[finding.kind] = finding
            self.report(f"{finding.difference}\n{finding.program}")
        self.report(f"{self.explored} programs, {len(self.findings)} kinds of difference")
