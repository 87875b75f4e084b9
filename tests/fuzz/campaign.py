"""Many random programs in child processes: a chunk of programs each, the first difference of a chunk shrunk and kept.

A chunk is determined by its seed, so that a run is the same every time. Its process writes the program that it is about
to run into a file; where the process dies or hangs, that program is to blame.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Flaky

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


def explore(
    number: int, count: int, note: Callable[[Program], None], compare: Callable[[Program], str]
) -> Finding | None:
    """Run `count` programs from a seed; the first that is told apart by `compare`, shrunk, or None."""
    latest: list[tuple[Program, str]] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )
    @given(programs())
    def run(program: Program) -> None:
        if not compiles(program.source):
            return
        note(program)
        told = compare(program)
        if told:
            latest[:] = [(program, told)]
            raise Told(told)

    try:
        run()
    except Told:
        return Finding(*latest[0], number)
    except Flaky:  # what was told apart is not in another run of the same program
        program, told = latest[0]
        return Finding(program, f"not in every run: {told}", number)
    return None


def explore_into(number: int, count: int, folder: Path) -> None:
    """A child process: explore one seed; the programs go to `current` and the finding to `finding` in a folder."""
    current = folder / "current"
    pause = faulthandler.dump_traceback_later

    def note(program: Program) -> None:
        pause(LIMIT, exit=True)
        current.write_text(json.dumps(asdict(program)))

    finding = explore(number, count, note, difference)
    faulthandler.cancel_dump_traceback_later()
    if finding is not None:
        told = {"program": asdict(finding.program), "difference": finding.difference}
        (folder / "finding").write_text(json.dumps(told))
    sys.stderr.flush()
    os._exit(0)


def program_of(fields: dict[str, Any]) -> Program:
    """A program from what JSON has kept of it."""
    return Program(**{**fields, "changes": tuple(fields["changes"])})


def finding_in(folder: Path, returncode: int, number: int) -> Finding | None:
    """What the process of a seed left in its folder."""
    if (folder / "finding").exists():
        told = json.loads((folder / "finding").read_text())
        return Finding(program_of(told["program"]), told["difference"], number)
    if returncode == 0:
        return None
    log = (folder / "log").read_text(errors="replace")
    if not (folder / "current").exists():
        raise RuntimeError(f"the process of seed {number} ended with {returncode} before its first program:\n{log}")
    how = "hangs" if "Timeout (" in log else f"the process ended with {returncode}"
    return Finding(program_of(json.loads((folder / "current").read_text())), f"{how}\n{log[-2000:]}", number)


@dataclass
class Campaign:
    """Chunks of programs from consecutive seeds, `jobs` at a time. `findings` has one of each kind of difference."""

    programs: int
    first_seed: int = 0
    jobs: int = 2
    seconds: float = float("inf")
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
        target = partial(explore_into, number, min(CHUNK, self.programs), folder)
        return Child(target, folder, folder / "log", root), folder, number

    def _end(self, child: Child, folder: Path, number: int) -> None:
        assert child.returncode is not None
        self.explored += min(CHUNK, self.programs)
        finding = finding_in(folder, child.returncode, number)
        if finding is not None and finding.kind in self.findings:
            self.repeated += 1
        elif finding is not None:
            self.findings[finding.kind] = finding
            self.report(f"{finding.difference}\n{finding.program}")
        self.report(f"{self.explored} programs, {len(self.findings)} kinds of difference")
