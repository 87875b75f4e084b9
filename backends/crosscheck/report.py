"""Reports of what was checked and which differences were found, for people and as JSON."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from backends.crosscheck.compare import CrosscheckDifference
from backends.crosscheck.sweep import Variation
from backends.crosscheck.text import CannotWrite
from backends.verdict import Verdict

MOST_LETTERS: Final = 100  # of a name, in the name of a file
SCRIPT_SECONDS = 300.0  # a script that is not done by then is not verified
CHECKED: Final = "BYTEGRAPH_CHECKED_SCRIPT"  # set in the environment of a script that is run to see how it ends


class Divergence(Verdict):
    """A candidate computes something other than the reference. `report` is the CrosscheckReport."""

    def __init__(self, report: CrosscheckReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True)
class CrosscheckFinding:
    """One operator that goes wrong: which, how, the user's line, and a script that shows it.

    `operators` are the operators of the smallest graph that shows it. `fails` says whether the script, run by itself,
    ended with its own assertion; None when it was not run, or not written. `why` says why it was not written, or how it
    ended otherwise.
    """

    node: str
    operator: str
    variation: Variation
    difference: CrosscheckDifference
    line: str | None
    operators: list[str] = field(default_factory=list[str])
    script: str | None = None
    path: str | None = None
    fails: bool | None = None
    why: str | None = None

    def __str__(self) -> str:
        kind = self.difference.kind
        lines = [f"{self.operator} ({self.node}): {kind}, {self.variation.words}"]
        lines.append(f"  {self.difference.what}: {self.difference.detail}")
        if self.line:
            lines.append(textwrap.indent(textwrap.dedent(self.line).rstrip(), "  "))
        if len(self.operators) > 1:
            lines.append(f"  seen with {len(self.operators)} operators together: {', '.join(self.operators)}")
        if self.path:
            lines.append(f"  script: {self.path} ({verdict(self.fails, self.why)})")
        elif self.why:
            lines.append(f"  no script: {self.why}")
        return "\n".join(lines)


def verdict(fails: bool | None, why: str | None) -> str:
    """In words how a script ended."""
    return "fails when run" if fails else why or "not run"


@dataclass
class CrosscheckReport:
    """What a check covered: calls of the graph, calls compared, variations tried; findings; what was left out.

    `latent` holds findings that do not affect the values of this graph: bugs of torch's own operators in calls that the
    graph does not make (other layouts, `out=`).
    `untried` says what was not looked for, and which option does.
    """

    candidate: str
    calls: int = 0
    checked: int = 0
    variations: int = 0
    seconds: float = 0.0
    findings: list[CrosscheckFinding] = field(default_factory=list[CrosscheckFinding])
    latent: list[CrosscheckFinding] = field(default_factory=list[CrosscheckFinding])
    notes: list[str] = field(default_factory=list[str])
    untried: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Whether there is no finding."""
        return not self.findings

    @property
    def first(self) -> CrosscheckFinding | None:
        """The first operator that goes wrong."""
        return self.findings[0] if self.findings else None

    def __str__(self) -> str:
        figures = f"{self.checked} of {self.calls} calls, {self.variations} variations, {self.seconds:.1f} s"
        head = f"crosscheck of {self.candidate}: {'no difference' if self.ok else 'differences'} ({figures})"
        latent = (f"latent, the values of this graph are right: {finding}" for finding in self.latent)
        untried = [f"not tried: {', '.join(self.untried)}"] if self.untried else []
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([head, *map(str, self.findings), *latent, *notes, *untried])

    def to_json(self) -> dict[str, Any]:
        """The report as data that JSON can hold."""
        facts: dict[str, Any] = asdict(self) | {"ok": self.ok}
        for name in ("findings", "latent"):
            for finding, plain in zip(getattr(self, name), facts[name], strict=True):
                plain["variation"] = finding.variation._asdict()
        return facts


def write(text: str, name: str, folder: str | Path | None) -> Path:
    """Write a script to a new file in `folder`, or among the temporary files."""
    name = re.sub(r"\W", "_", name)[:MOST_LETTERS]
    if folder is None:
        prefix = f"crosscheck_{name}_"
        with tempfile.NamedTemporaryFile("w", prefix=prefix, suffix=".py", delete=False, encoding="utf-8") as file:
            file.write(text)
        return Path(file.name)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        path = Path(folder) / (f"crosscheck_{name}.py" if number == 1 else f"crosscheck_{name}_{number}.py")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        return path
    raise AssertionError("there is always a next number")


class ScriptEnd(NamedTuple):
    """How a script ended, run by itself: whether by its own assertion (None: not within SCRIPT_SECONDS), and the words
    for another end.
    """

    fails: bool | None
    words: str = ""


def ending(path: Path) -> ScriptEnd:
    """Run the script in a process of its own that cannot import bytegraph, and tell how it ended.

    A script in which a check runs must not have this check run another one: CHECKED says so to it.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(path)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SCRIPT_SECONDS,
            check=False,
            env={**os.environ, CHECKED: "1"},
        )
    except subprocess.TimeoutExpired:
        return ScriptEnd(None, f"not done after {SCRIPT_SECONDS:.0f} seconds")
    if done.returncode == 0:
        return ScriptEnd(False, "does not fail when run")
    lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
    assertions = [line for line in path.read_text().splitlines() if line.strip().startswith("assert ")]
    kind, _, message = lines[-1].partition(": ")
    if kind == "AssertionError" and message and any(f'"{message}"' in line for line in assertions):
        return ScriptEnd(True)
    return ScriptEnd(False, f"ends with {lines[-1]} when run")


def refuse_inside_a_script() -> None:
    """Raise CannotWrite where a script of a check is running: it would run itself."""
    if CHECKED in os.environ:
        raise CannotWrite("this is a script of a check itself")
