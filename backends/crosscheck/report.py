"""Reports of what was checked and which differences were found, for people and as JSON."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from backends.crosscheck.compare import CrosscheckDifference
from backends.crosscheck.sweep import Variation

SCRIPT_SECONDS = 300.0  # a script that is not done by then is not verified


class Divergence(AssertionError):
    """A candidate computes something other than the reference. `report` is the CrosscheckReport."""

    def __init__(self, report: CrosscheckReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True)
class CrosscheckFinding:
    """One operator that goes wrong: which, how, the user's line, and a script that shows it.

    `operators` are the operators of the smallest graph that shows it. `fails` says whether the script, run by itself,
    ended with an error; None when it was not run, or not written (`why` says why not).
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
            verified = {True: "fails when run", False: "does not fail when run", None: "not run"}[self.fails]
            lines.append(f"  script: {self.path} ({verified})")
        elif self.why:
            lines.append(f"  no script: {self.why}")
        return "\n".join(lines)


@dataclass
class CrosscheckReport:
    """What a check covered: calls of the graph, calls compared, variations tried; findings; what was left out.

    `latent` holds findings that do not affect the values of this graph: bugs of torch's own operators in calls that the
    graph does not make (other layouts, `out=`), and outputs of a compiler whose strides differ from the plain graph's.
    """

    candidate: str
    calls: int = 0
    checked: int = 0
    variations: int = 0
    seconds: float = 0.0
    findings: list[CrosscheckFinding] = field(default_factory=list[CrosscheckFinding])
    latent: list[CrosscheckFinding] = field(default_factory=list[CrosscheckFinding])
    notes: list[str] = field(default_factory=list[str])

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
        return "\n".join([head, *map(str, self.findings), *latent, *(f"note: {note}" for note in self.notes)])

    def to_json(self) -> dict[str, Any]:
        """The report as data that JSON can hold."""
        facts: dict[str, Any] = asdict(self) | {"ok": self.ok}
        for name in ("findings", "latent"):
            for finding, plain in zip(getattr(self, name), facts[name], strict=True):
                plain["variation"] = finding.variation._asdict()
        return facts


def write(text: str, name: str, folder: str | Path | None) -> Path:
    """Write a script into `folder`, or among the temporary files."""
    if folder is None:
        with tempfile.NamedTemporaryFile("w", prefix=f"crosscheck_{name}_", suffix=".py", delete=False) as file:
            file.write(text)
        return Path(file.name)
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder) / f"crosscheck_{name}.py"
    path.write_text(text)
    return path


def fails(path: Path) -> bool | None:
    """Whether the script ends with an error in a process of its own that cannot import bytegraph."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(path)], capture_output=True, timeout=SCRIPT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return done.returncode != 0
