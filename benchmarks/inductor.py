"""Writes docs/inductor.md: what inductor computes otherwise than eager on torch's operator database, with scripts.

`python -m benchmarks.inductor 600` checks the first sample of each operator, in a random order that is the same each
time, for 600 seconds. Each operator is captured, compiled by inductor and compared by crosscheck; the script of each
difference was run and ended with its own assertion.
"""

from __future__ import annotations

import os
import platform
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from backends.crosscheck.report import CrosscheckFinding, CrosscheckReport
from tracer import capture

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "inductor.md"
HEAD: Final = """# Where inductor differs from eager

Written by `python -m benchmarks.inductor {seconds}` with torch {torch} on {machine}: the first sample in float32 of
{checked} operators of torch's operator database, in a random order, each compiled by inductor and compared with eager.
{failed} more have no graph of one call under this check. {count} differ. Each script was run; those that are shown
ended with their own assertion. Layouts and gradients were not tried, nor other samples, dtypes and sizes; the operators
that were not reached in this time are named below.

| operator | kind | difference | script |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Checked:
    """An operator of the database, and what the check of its first sample found; `error` where it did not run."""

    name: str
    findings: tuple[CrosscheckFinding, ...] = ()
    error: str = ""


def operators() -> list[Any]:
    """The operators of the database that take float32, in a random order that is the same each time."""
    from torch.testing._internal.common_methods_invocations import op_db

    shuffled = random.Random(0).sample(op_db, len(op_db))
    return [info for info in shuffled if torch.float32 in info.supported_dtypes("cpu") and "jiterator" not in info.name]


def full_name(info: Any) -> str:
    """The name of an operator with that of its variant."""
    return f"{info.name} {info.variant_test_name}".strip()


def checks(seconds: float, folder: Path) -> Iterator[Checked]:
    """As many of the operators as fit in the time."""
    end = time.monotonic() + seconds
    for info in operators():
        if time.monotonic() > end:
            return
        sample = next(iter(info.sample_inputs("cpu", torch.float32)), None)
        if sample is None:
            yield Checked(full_name(info), error="no sample")
        else:
            yield check(full_name(info), info.op, (sample.input, *sample.args), sample.kwargs, folder)


def check(name: str, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], folder: Path) -> Checked:
    """One operator, compiled by inductor, beside eager."""
    reports: list[CrosscheckReport] = []

    def program(*args: Any, **kwargs: Any) -> Any:
        return operator(*args, **kwargs)

    options = {"candidate": "inductor", "report": reports.append, "folder": folder, "shrink": 10.0, "layouts": False}
    try:
        with torch.no_grad():
            capture(program, backend="crosscheck", options=options)(*args, **kwargs)
    except (RuntimeError, ValueError, TypeError, NotImplementedError, IndexError) as error:
        return Checked(name, error=f"{type(error).__name__}: {error}".splitlines()[0])
    if not reports:
        return Checked(name, error="no graph")
    return Checked(name, tuple(finding for report in reports for finding in report.findings))


def page(results: list[Checked], seconds: float) -> str:
    """The page as Markdown: a table, then the script of each difference."""
    differing = [(result.name, finding) for result in results for finding in result.findings]
    machine = f"{platform.system()}, {platform.machine()}"
    failed = [result for result in results if result.error]
    head = HEAD.format(
        seconds=f"{seconds:.0f}",
        torch=torch.__version__,
        machine=machine,
        checked=len(results) - len(failed),
        failed=len(failed),
        count=len({name for name, _ in differing}),
    )
    rows, scripts = [], []
    for number, (name, finding) in enumerate(differing, 1):
        detail = f"{finding.difference.what}: {finding.difference.detail}".replace("|", "\\|").replace("\n", " ")
        shown = f"[{number}](#script-{number})" if finding.fails else "ends with another error"
        rows.append(f"| {name} | {finding.difference.kind} | {detail} | {shown} |")
        if finding.fails:
            text = (finding.script or "").rstrip().replace(f"{ROOT}/", "")
            scripts.append(f"\n### Script {number}\n\n{name}\n\n```python\n{text}\n```\n")
    reached = {result.name for result in results}
    missing = sorted(name for name in map(full_name, operators()) if name not in reached)
    without_graph = ", ".join(sorted(result.name for result in failed))
    ends = f"\n## Without a graph\n\n{without_graph}\n\n## Not reached\n\n{', '.join(missing)}\n"
    return head + "\n".join(rows) + "\n" + "".join(scripts) + ends


def main() -> int:
    warnings.simplefilter("ignore")
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    results: list[Checked] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(folder, "inductor"))
        for result in checks(seconds, Path(folder)):
            results.append(result)
            print(result.name, result.error or f"{len(result.findings)} differences", flush=True)
            PAGE.write_text(page(results, seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
