"""Writes docs/inductor.md: what inductor computes otherwise than eager on torch's operator database, with scripts.

`python -m benchmarks.inductor 600` checks the first sample of each operator, in a random order that is the same each
time, for 600 seconds. Each operator is captured, compiled by inductor and compared by crosscheck; the script of each
difference was run and ended with its own assertion. What was found is kept in `STORE`, and the next run goes on from
there; it checks those that differ again. What inductor compiled is kept beside it: of the 70 seconds that the first
operator took on a busy machine, 46 were inductor's search for the instructions of the processor. Each operator takes
twelve programs, ten of which differ only in the values of their inputs, so that no C++ is compiled for them.
"""

from __future__ import annotations

import json
import os
import platform
import random
import sys
import tempfile
import textwrap
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from backends.crosscheck.report import CrosscheckFinding, CrosscheckReport
from tracer import capture

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "inductor.md"
STORE: Final = ROOT / "build" / "inductor.json"
CACHE: Final = ROOT / "build" / "inductor"
HEAD: Final = """# Where inductor differs from eager

Written by `python -m benchmarks.inductor` with torch {torch} on {machine}: the first sample in float32 of {checked}
operators of torch's operator database, each compiled by inductor and compared with eager. {failed} more have no graph
of one call under this check. {count} differ. Each script was run; those that are shown ended with their own assertion.
Layouts and gradients were not tried, nor other samples, dtypes and sizes.

| operator | kind | difference | script |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Shown:
    """One difference: its kind, a sentence, and the script that ended with its own assertion (None: it did not)."""

    kind: str
    detail: str
    script: str | None


@dataclass(frozen=True)
class Checked:
    """An operator of the database, and what the check of its first sample found; `error` where it did not run."""

    name: str
    differences: tuple[Shown, ...] = ()
    error: str = ""


def operators() -> list[Any]:
    """The operators of the database that take float32, in a random order that is the same each time."""
    from torch.testing._internal.common_methods_invocations import op_db

    shuffled = random.Random(0).sample(op_db, len(op_db))
    return [info for info in shuffled if torch.float32 in info.supported_dtypes("cpu") and "jiterator" not in info.name]


def full_name(info: Any) -> str:
    """The name of an operator with that of its variant."""
    return f"{info.name} {info.variant_test_name}".strip()


def checks(seconds: float, known: dict[str, Checked], folder: Path) -> Iterator[Checked]:
    """As many of the operators as fit in the time: first those that differed, then those that are not known."""
    end = time.monotonic() + seconds
    chosen = [info for info in operators() if full_name(info) not in known or known[full_name(info)].differences]
    for info in sorted(chosen, key=lambda info: full_name(info) not in known):
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

    options = {"candidate": "inductor", "report": reports.append, "folder": folder, "shrink": 10.0}
    try:
        with torch.no_grad():
            capture(program, backend="crosscheck", options=options | {"layouts": False, "sizes": False})(
                *args, **kwargs
            )
    except (RuntimeError, ValueError, TypeError, NotImplementedError, IndexError) as error:
        return Checked(name, error=f"{type(error).__name__}: {error}".splitlines()[0])
    if not reports:
        return Checked(name, error="no graph")
    return Checked(name, tuple(shown(finding) for report in reports for finding in report.findings))


def shown(finding: CrosscheckFinding) -> Shown:
    """What the page says of a finding."""
    detail = f"{finding.difference.what}: {finding.difference.detail}".replace("\n", " ")
    script = (finding.script or "").rstrip().replace(f"{ROOT}/", "")
    return Shown(finding.difference.kind, detail, script if finding.fails else None)


def stored() -> dict[str, Checked]:
    """What earlier runs found with this torch."""
    found = json.loads(STORE.read_text()) if STORE.exists() else {}
    return {
        row["name"]: Checked(row["name"], tuple(Shown(**one) for one in row["differences"]), row["error"])
        for row in found.get(torch.__version__, [])
    }


def page(results: list[Checked]) -> str:
    """The page as Markdown: a table, then the script of each difference."""
    differing = [(result.name, difference) for result in results for difference in result.differences]
    failed = sorted(result.name for result in results if result.error)
    head = HEAD.format(
        torch=torch.__version__,
        machine=f"{platform.system()}, {platform.machine()}",
        checked=len(results) - len(failed),
        failed=len(failed),
        count=len({name for name, _ in differing}),
    )
    rows, scripts = [], []
    for number, (name, difference) in enumerate(differing, 1):
        place = f"[{number}](#script-{number})" if difference.script else "ends with another error"
        rows.append(f"| {name} | {difference.kind} | {difference.detail.replace('|', chr(92) + '|')} | {place} |")
        if difference.script:
            scripts.append(f"\n### Script {number}\n\n{name}\n\n```python\n{difference.script}\n```\n")
    reached = {result.name for result in results}
    missing = sorted(name for name in map(full_name, operators()) if name not in reached)
    ends = f"\n## Without a graph\n\n{_wrapped(failed)}\n"
    ends += f"\n## Not reached\n\n{_wrapped(missing)}\n" if missing else ""
    return head + "\n".join(rows) + "\n" + "".join(scripts) + ends


def _wrapped(names: list[str]) -> str:
    return textwrap.fill(", ".join(names), 120, break_long_words=False, break_on_hyphens=False)


def main() -> int:
    warnings.simplefilter("ignore")
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    known = stored()
    STORE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(CACHE))
        for result in checks(seconds, known, Path(folder)):
            known[result.name] = result
            print(result.name, result.error or f"{len(result.differences)} differences", flush=True)
            STORE.write_text(json.dumps({torch.__version__: [asdict(one) for one in known.values()]}))
    PAGE.write_text(page(sorted(known.values(), key=lambda result: result.name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
